#include "env/bit_env.h"

#include "env/reward.h"
#include "runtime/core/error.h"

namespace bitpilot {

BitEnv::BitEnv(std::shared_ptr<const Model> model, CostTable cost, double policy_cost)
    : model_(std::move(model)), session_(model_), cost_(std::move(cost)), policy_cost_(policy_cost) {}

State BitEnv::reset(const Sample& sample, double lambda) {
  session_.start(sample.prepared.codes);
  const auto sums = session_.stem_sums();
  state_ = {sample.prepared.statistics, {sums.begin(), sums.end()}, lambda, std::nullopt};
  label_ = sample.label;
  looks_ = 0;
  relative_ = 0;
  done_ = false;
  return state_;
}

BitEnv::Outcome BitEnv::step(const Action& action) {
  if (done_ || (looks_ == 0 && std::holds_alternative<StopLooking>(action)))
    throw Error(ExitCode::kBug, done_ ? "the episode is over" : "an episode needs a look before it stops",
                "BitEnv::step", "report this");
  if (std::holds_alternative<StopLooking>(action)) {
    done_ = true;
    return {state_, finish(), true};
  }
  const auto& look = std::get<TakeLook>(action);
  const ModelData& data = model_->data();
  const double before = relative_;
  relative_ += (looks_ == 0 ? cost_.cost(look.config) : cost_.cost_after_stem(look.config)) / cost_.reference();
  if (looks_ == 0) relative_ += policy_cost_;
  const auto scores = session_.look(look.config);
  state_.look = summarise_look(look.anchor, static_cast<int>(data.anchors.size()), {scores.begin(), scores.end()},
                               data.anchors[static_cast<std::size_t>(look.anchor)].temperature);
  ++looks_;
  done_ = looks_ == kMaxLooks;
  const double reward = -state_.lambda * (relative_ - before);
  return {state_, done_ ? reward + finish() : reward, done_};
}

double BitEnv::finish() const {
  const SeenLook& look = *state_.look;
  return -task_loss(look.scores, model_->data().anchors[static_cast<std::size_t>(look.anchor)].temperature, label_);
}

}  // namespace bitpilot
