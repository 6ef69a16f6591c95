#pragma once

#include <cstddef>
#include <vector>

namespace bitpilot {

/// Room for values without a first value: up to `most` of them inside of the object, more on the heap.
template <class Value, std::size_t most>
class StackRoom {
 public:
  explicit StackRoom(std::size_t size) : more_(size > most ? size : 0) {}
  Value* data() { return more_.empty() ? here_ : more_.data(); }
  const Value* data() const { return more_.empty() ? here_ : more_.data(); }

 private:
  Value here_[most];
  std::vector<Value> more_;
};

}  // namespace bitpilot
