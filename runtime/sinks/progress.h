#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace bitpilot {

/// How long work reports itself on stderr: a bar with the time left on a terminal, plain lines (at most one in ten
/// seconds) otherwise and under NO_COLOR, nothing when quiet.  Not thread-safe.
class Progress {
 public:
  enum class Style { kBar, kLines, kSilent };
  /// What fits this process: kSilent when `quiet`, kBar on a terminal without NO_COLOR, else kLines.
  static Style style(bool quiet);

  /// `total` 0: unknown, then neither share nor time left is shown.
  Progress(std::string what, std::uint64_t total, Style style);
  ~Progress();  ///< ends the bar's line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of `total`; `note` stands behind ("loss 0.41").  Prints when it is time to.
  void update(std::uint64_t done, const std::string& note = "");
  /// A message of its own line, whatever the style: it does not mix with the bar.
  void say(const std::string& message);
  /// The last line: what was done in how long.  Later calls do nothing.
  void finish(const std::string& note = "");

  /// The text of one report, without line end: "train  41 %  [####      ]  820/2000  1m 3s left  loss 0.41".
  static std::string line(const std::string& what, std::uint64_t done, std::uint64_t total, double elapsed_s,
                          const std::string& note, bool bar);
  /// "850 ms", "3.4 s", "2m 5s", "1h 4m".
  static std::string duration(double seconds);

 private:
  using Clock = std::chrono::steady_clock;
  std::string what_;
  std::uint64_t total_ = 0, done_ = 0;
  Style style_ = Style::kSilent;
  Clock::time_point start_, last_;
  bool finished_ = false, printed_ = false;
};

}  // namespace bitpilot
