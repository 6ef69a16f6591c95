#pragma once

#include <algorithm>

namespace bitpilot {

/// The multiplier that holds an average cost at a target: price <- max(0, price + rate * (ema(cost) / target - 1))
/// after every step.
class BudgetDual {
 public:
  explicit BudgetDual(double target, double price = 0.1, double rate = 0.02, double memory = 0.99)
      : target_(target), price_(price), rate_(rate), memory_(memory), average_(target) {}
  double price() const { return price_; }
  double average() const { return average_; }
  void observe(double cost) {
    average_ = memory_ * average_ + (1 - memory_) * cost;
    price_ = std::max(0.0, price_ + rate_ * (average_ / target_ - 1));
  }

 private:
  double target_, price_, rate_, memory_, average_;
};

}  // namespace bitpilot
