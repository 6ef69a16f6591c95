#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/commands/budget.h"
#include "runtime/commands/picture_judge.h"
#include "runtime/commands/regions.h"
#include "runtime/sinks/in_order.h"
#include "runtime/sources/frame_queue.h"
#include "runtime/sources/source.h"
#include "runtime/sources/stop.h"

namespace bitpilot {

/// Who hears what a JudgeLoop does: one call at a time, judged pictures in the order of their tickets.
class JudgeListener {
 public:
  virtual ~JudgeListener() = default;
  /// What it throws ends the loop.
  virtual void judged(const JudgedPicture& picture) = 0;
  /// A picture was skipped, a stream was lost or is back: for people.
  virtual void message(const std::string& text) = 0;
};

struct JudgeSettings {
  std::optional<BitConfig> fixed;  ///< for every picture, instead of the policy
  double lambda = 0;
  std::optional<double> budget;  ///< holds the average cost here; lambda then follows from it
  bool steady = false;           ///< the budget by the model's table alone: no picture changes the lambda of later ones
  bool guard = true;             ///< DecisionRule::guard
  bool features = false;         ///< statistics of every picture, whoever reads them
  std::optional<Region> region;
  std::optional<TileSize> tile;  ///< the picture, or its region, is judged tile by tile
  std::uint64_t max_frames = 0;  ///< 0: no limit
  int threads = 1;
};

/// Pictures: received = processed + queued + all dropped.
struct JudgeCounts {
  std::uint64_t received = 0, processed = 0, queued = 0;
  std::uint64_t dropped_queue = 0;      ///< replaced by a newer frame of a live source
  std::uint64_t dropped_decode = 0;     ///< could not be read
  std::uint64_t dropped_region = 0;     ///< lies wholly outside of the region
  std::uint64_t dropped_frozen = 0;     ///< of a live source that shows one picture again and again
  std::uint64_t dropped_key_frame = 0;  ///< of a live source before its first key frame
};

/// Sources, workers and a listener: one thread reads each source, `threads` workers judge.
class JudgeLoop {
 public:
  /// `sources` and `listener` must outlive the loop.
  JudgeLoop(std::shared_ptr<const Model> model, const std::vector<std::unique_ptr<Source>>& sources,
            const JudgeSettings& settings, JudgeListener& listener, Stop& stop);
  /// Works until the sources end, max_frames are judged or a stop is requested, which it is afterwards in any case.
  /// Returns the exception that ended it, if one did.
  std::exception_ptr run();
  JudgeCounts counts() const;
  /// Sources that ended before their end: "name: why"; and the exit code of the first.
  const std::vector<std::string>& failures() const { return failures_; }
  ExitCode failure_code() const { return failure_code_; }

 private:
  void read(std::size_t source);
  void work();
  void judge(PictureJudge& judge, Ticket&& ticket);
  /// What of a picture is judged: nothing where the region lies outside of it.
  std::vector<std::optional<Region>> parts_of(const Image& picture) const;
  void tell(const std::string& text);
  void fail(std::exception_ptr error);

  std::shared_ptr<const Model> model_;
  const std::vector<std::unique_ptr<Source>>& sources_;
  JudgeSettings settings_;
  JudgeListener& listener_;
  Stop& stop_;
  FrameQueue queue_;
  InOrder order_;
  std::vector<BudgetPoint> table_;  ///< of a steady budget
  std::optional<BudgetIntegrator> budget_;
  std::mutex mutex_;  ///< of the listener and everything below
  JudgeCounts counts_;
  std::vector<std::string> failures_;
  ExitCode failure_code_ = ExitCode::kOk;
  std::exception_ptr error_;
};

}  // namespace bitpilot
