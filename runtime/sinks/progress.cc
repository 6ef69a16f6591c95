#include "runtime/sinks/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace bitpilot {

namespace {

constexpr double kBarInterval = 0.1, kLineInterval = 10.0;  // seconds between two reports
constexpr int kBarWidth = 24;

void put(const std::string& text) {
  // One write: lines of several threads and programs do not mix.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

Progress::Style Progress::style(bool quiet) {
  if (quiet) return Style::kSilent;
  const char* no_color = std::getenv("NO_COLOR");
  const bool plain = no_color != nullptr && *no_color != '\0';
  return isatty(STDERR_FILENO) == 1 && !plain ? Style::kBar : Style::kLines;
}

Progress::Progress(std::string what, std::uint64_t total, Style style)
    : what_(std::move(what)), total_(total), style_(style), start_(Clock::now()), last_(start_) {}

Progress::~Progress() {
  if (style_ == Style::kBar && printed_ && !finished_) put("\n");
}

std::string Progress::duration(double seconds) {
  char text[32];
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (seconds < 1) {
    std::snprintf(text, sizeof text, "%d ms", static_cast<int>(seconds * 1000));
  } else if (seconds < 60) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else if (whole < 3600) {
    std::snprintf(text, sizeof text, "%lldm %llds", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%lldh %lldm", whole / 3600, whole % 3600 / 60);
  }
  return text;
}

std::string Progress::line(const std::string& what, std::uint64_t done, std::uint64_t total, double elapsed_s,
                           const std::string& note, bool bar) {
  std::string text = what;
  if (total > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    char percent[16];
    std::snprintf(percent, sizeof percent, "  %3d %%", static_cast<int>(share * 100));
    text += percent;
    if (bar) {
      const auto full = static_cast<std::size_t>(share * kBarWidth);
      text += "  [" + std::string(full, '#') + std::string(kBarWidth - full, ' ') + "]";
    }
    text += "  " + std::to_string(done) + "/" + std::to_string(total);
    if (done > 0 && done < total) text += "  " + duration(elapsed_s * (1 - share) / share) + " left";
  } else {
    text += "  " + std::to_string(done) + "  " + duration(elapsed_s);
  }
  if (!note.empty()) text += "  " + note;
  return text;
}

void Progress::update(std::uint64_t done, const std::string& note) {
  done_ = done;
  if (style_ == Style::kSilent || finished_) return;
  const auto now = Clock::now();
  const double since = std::chrono::duration<double>(now - last_).count();
  const bool bar = style_ == Style::kBar;
  if (since < (bar ? kBarInterval : kLineInterval)) return;
  last_ = now;
  printed_ = true;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const std::string text = line(what_, done, total_, elapsed, note, bar);
  put(bar ? "\r" + text + "\x1b[K" : text + "\n");
}

void Progress::say(const std::string& message) {
  const bool over_bar = style_ == Style::kBar && printed_ && !finished_;
  put((over_bar ? "\r\x1b[K" : "") + message + "\n");
}

void Progress::finish(const std::string& note) {
  if (style_ == Style::kSilent || finished_) return;
  finished_ = true;
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  std::string text = what_ + "  " + std::to_string(done_) + " in " + duration(elapsed);
  if (!note.empty()) text += "  " + note;
  put(style_ == Style::kBar ? "\r" + text + "\x1b[K\n" : text + "\n");
}

}  // namespace bitpilot
