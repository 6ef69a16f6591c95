#include "experiments/look_times.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "runtime/adaptive.h"
#include "runtime/samples.h"

namespace bitpilot {
namespace {

using Clock = std::chrono::steady_clock;

/// One rule with its working state.
class Runner {
 public:
  explicit Runner(const TimedRule& rule) : rule_(rule) {
    if (rule.anchor < 0) adaptive_.emplace(rule.model);
    else session_.emplace(rule.model);
  }

  void picture(const Sample& sample, std::size_t index) {
    if (adaptive_) {
      adaptive_->decide(sample.prepared, {.fixed = {}, .lambda = rule_.lambdas[index], .guard = rule_.guard});
      return;
    }
    session_->start(sample.prepared.codes);
    session_->look_anchor(rule_.anchor);
    if (rule_.second >= 0 && rule_.go[index]) session_->look_anchor(rule_.second);
  }

 private:
  const TimedRule& rule_;
  std::optional<AdaptiveSession> adaptive_;
  std::optional<Session> session_;
};

}  // namespace

std::vector<double> look_times(const std::vector<TimedRule>& rules, const std::vector<Sample>& samples, std::size_t pictures, int repeats) {
  constexpr std::size_t kTurn = 64;
  pictures = std::min(pictures, samples.size());
  std::vector<Runner> runners;
  for (const TimedRule& rule : rules) runners.emplace_back(rule);
  std::vector<Samples> passes(rules.size());
  for (int pass = -1; pass < repeats; ++pass) {  // the first pass warms up
    std::vector<double> total(rules.size(), 0.0);
    for (std::size_t at = 0; at < pictures; at += kTurn) {
      const std::size_t end = std::min(pictures, at + kTurn);
      for (std::size_t r = 0; r < runners.size(); ++r) {
        const Clock::time_point begin = Clock::now();
        for (std::size_t i = at; i < end; ++i) runners[r].picture(samples[i], i);
        total[r] += std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
      }
    }
    for (std::size_t r = 0; pass >= 0 && r < rules.size(); ++r) passes[r].add(total[r] / static_cast<double>(pictures));
  }
  std::vector<double> medians;
  for (Samples& pass : passes) medians.push_back(pass.median());
  return medians;
}

}  // namespace bitpilot
