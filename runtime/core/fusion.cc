#include "runtime/core/fusion.h"

#include <map>

#include "runtime/core/error.h"

namespace bitpilot {
namespace {

class Fuser {
 public:
  explicit Fuser(const Network& network)
      : network_(network), consumers_(network.nodes.size()), visited_(network.nodes.size(), false) {
    for (std::size_t i = 0; i < network.nodes.size(); ++i)
      for (const int src : network.nodes[i].inputs)
        consumers_[static_cast<std::size_t>(src)].push_back(static_cast<int>(i));
  }

  std::vector<FusedStep> run() {
    step_of_.emplace(0, -1);
    visited_[0] = true;
    for (int l = 0; l < network_.layer_count(); ++l) {
      steps_.push_back(walk(l));
      if (!step_of_.emplace(steps_.back().out_node, l).second)
        refuse("two layers end in one value", steps_.back().out_node);
    }
    for (std::size_t i = 0; i < visited_.size(); ++i)
      if (!visited_[i])
        refuse("this operation does not follow a layer in the order layer, Add, ReLU, pool", static_cast<int>(i));
    return steps_;
  }

 private:
  const Node& node(int index) const { return network_.nodes[static_cast<std::size_t>(index)]; }
  const std::vector<int>& consumers(int index) const { return consumers_[static_cast<std::size_t>(index)]; }

  [[noreturn]] void refuse(const std::string& what, int where) const {
    throw Error(ExitCode::kData, what, network_.name + ", " + node(where).name,
                "the runtime runs layer, then Add (the layer is its later operand), then ReLU, then one pool");
  }

  /// The only consumer of `index` if it is an operation `op`, else -1.
  int sole_consumer(int index, Op op) const {
    return consumers(index).size() == 1 && node(consumers(index).front()).op == op ? consumers(index).front() : -1;
  }

  /// The step that ends in node `index`; only earlier ones are known.
  int producer(int index, const std::string& what) const {
    const auto found = step_of_.find(index);
    if (found == step_of_.end()) refuse(what, index);
    return found->second;
  }

  FusedStep walk(int layer) {
    FusedStep step;
    step.layer = layer;
    step.conv_node = network_.layer_node(layer);
    step.source = producer(node(step.conv_node).inputs[0], "a layer reads a value that no earlier layer finishes");
    int end = take(step.conv_node);
    const int add = sole_consumer(end, Op::kAdd);
    if (add >= 0 && node(add).inputs[0] != end) {  // it is the later operand
      if (node(end).op != Op::kConv2d) refuse("an Add whose later operand is no convolution", add);
      step.add_node = add;
      step.add_operand =
          producer(node(add).inputs[0], "the first operand of an Add is not finished before its later one");
      if (step.add_operand < 0) refuse("the network's input feeds an Add", add);
      end = take(add);
    }
    if (const int relu = sole_consumer(end, Op::kRelu); relu >= 0) {
      step.relu = true;
      end = take(relu);
    }
    step.value_node = end;
    const int max_pool = sole_consumer(end, Op::kMaxPool);
    const int avg_pool = sole_consumer(end, Op::kGlobalAvgPool);
    if (max_pool >= 0 || avg_pool >= 0) {
      step.pool_node = std::max(max_pool, avg_pool);
      end = take(step.pool_node);
    }
    step.out_node = end;
    step.value_shape = node(step.value_node).shape;
    step.out_shape = node(end).shape;
    find_readers(step);
    return step;
  }

  int take(int index) {
    visited_[static_cast<std::size_t>(index)] = true;
    return index;
  }

  void find_readers(FusedStep& step) const {
    step.carry = step.layer == 0;
    const bool averaged = step.pool_node >= 0 && node(step.pool_node).op == Op::kGlobalAvgPool;
    const bool classifier = step.layer == network_.layer_count() - 1;
    if (classifier && step.out_node != step.conv_node)
      refuse("the classifier's scores are processed further", step.conv_node);
    if (consumers(step.out_node).empty() != classifier) refuse("a value that nobody reads", step.out_node);
    for (const int index : consumers(step.out_node)) {
      const Node& reader = node(index);
      if (reader.op == Op::kAdd) {
        // The later operand has been fused above; what is left may only be the first one.
        if (reader.inputs[0] != step.out_node || reader.inputs[1] == step.out_node)
          refuse("an Add whose later operand is no convolution", index);
        if (averaged) refuse("an Add behind a global average pool", index);
        step.carry = true;
      } else if (reader.layer >= 0) {
        if (averaged && reader.op != Op::kLinear) refuse("a convolution behind a global average pool", index);
        step.readers.push_back(reader.layer);
      } else if (step.pool_node >= 0) {
        refuse("an operation behind a pool that is no layer and no Add", index);
      } else {
        refuse("a value that is read both before and behind a ReLU or pool", index);
      }
    }
  }

  const Network& network_;
  std::vector<std::vector<int>> consumers_;
  std::vector<bool> visited_;
  std::map<int, int> step_of_;  // node that ends a step -> step
  std::vector<FusedStep> steps_;
};

}  // namespace

std::vector<FusedStep> fuse(const Network& network) { return Fuser(network).run(); }

}  // namespace bitpilot
