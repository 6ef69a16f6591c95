#include "runtime/commands/picture_judge.h"

#include <chrono>

namespace bitpilot {
namespace {

using Clock = std::chrono::steady_clock;

double ms_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double, std::milli>(end - begin).count();
}

Frame without_pixels(const Frame& frame) {
  Frame copy;
  copy.source = frame.source;
  copy.index = frame.index;
  copy.captured = frame.captured;
  copy.decode_ms = frame.decode_ms;
  copy.dropped_before = frame.dropped_before;
  copy.label = frame.label;
  copy.family = frame.family;
  copy.severity = frame.severity;
  return copy;
}

}  // namespace

JudgedPicture PictureJudge::judge(const Frame& frame, const std::optional<Region>& region, const DecisionRule& rule, bool features) {
  const ModelData& model = model_->data();
  const Clock::time_point begin = Clock::now();
  const ImageView view = region ? part_of(frame.image.view(), *region) : frame.image.view();
  preprocessor_.prepare(view, model.network.input_shape(), model.preprocessing.stretch, features || session_.reads_statistics(rule), prepared_);
  JudgedPicture judged;
  judged.preprocess_ms = ms_between(begin, Clock::now());
  judged.decision = session_.decide(prepared_, rule);
  const Clock::time_point end = Clock::now();
  judged.total_ms = ms_between(begin, end);
  judged.age_ms = ms_between(frame.captured, end);
  judged.frame = without_pixels(frame);
  judged.statistics = prepared_.statistics;
  judged.region = region;
  judged.lambda = rule.lambda;
  judged.guard = rule.guard;
  return judged;
}

}  // namespace bitpilot
