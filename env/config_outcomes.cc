#include "env/config_outcomes.h"

#include <algorithm>
#include <exception>
#include <thread>

#include "env/reward.h"

namespace bitpilot {

void for_each_sample(const std::shared_ptr<const Model>& model, std::size_t count, int threads,
                     const std::function<void(Session&, std::size_t)>& work) {
  const auto workers = static_cast<std::size_t>(std::max(1, threads));
  std::vector<std::exception_ptr> failures(workers);
  std::vector<std::thread> pool;
  for (std::size_t w = 0; w < workers; ++w) {
    pool.emplace_back([&, w] {
      try {
        Session session(model);
        for (std::size_t i = count * w / workers; i < count * (w + 1) / workers; ++i) work(session, i);
      } catch (...) {
        failures[w] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : pool) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

PictureOutcomes run_configs(const std::shared_ptr<const Model>& model, const CostTable& cost, std::size_t count,
                           const SampleAt& sample_at, const std::function<const BitConfig&(std::size_t)>& config_of, int threads) {
  PictureOutcomes outcomes{std::vector<std::uint8_t>(count), std::vector<double>(count), std::vector<double>(count)};
  for_each_sample(model, count, threads, [&](Session& session, std::size_t i) {
    const Sample sample = sample_at(i);
    const BitConfig& config = config_of(i);
    session.start(sample.prepared.codes);
    const auto scores = session.look(config);
    outcomes.correct[i] = top_class(scores) == sample.label ? 1 : 0;
    outcomes.loss[i] = task_loss(scores, 1.0F, sample.label);
    outcomes.relative[i] = cost.cost(config) / cost.reference();
  });
  return outcomes;
}

}  // namespace bitpilot
