#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/core/bit_width.h"

namespace bitpilot {

enum class Op { kInput, kConv2d, kLinear, kRelu, kAdd, kMaxPool, kGlobalAvgPool };

/// Shape of one image's tensor, channels x height x width (a vector is C x 1 x 1).
struct Shape {
  int channels = 0, height = 0, width = 0;
  bool operator==(const Shape&) const = default;
};

/// One operation.  Batch normalisation is no node: it belongs to the convolution before it and is folded at export.
struct Node {
  std::string name;
  Op op = Op::kInput;
  std::vector<int> inputs;                              ///< indices of earlier nodes
  int kernel = 1, stride = 1, padding = 0, groups = 1;  ///< Conv2d and MaxPool (square; MaxPool: groups 1)
  bool normalised = true;  ///< Conv2d/Linear: batch normalisation follows (the classifier has a bias instead)
  Shape shape;             ///< of the result
  int layer = -1;          ///< index among the weight layers, -1 for other nodes
};

/// A network as a graph in topological order: node 0 is the input, the last node the classifier (Linear, class scores).
/// The trainable module, the cost model, the model file and the runtime's plan are all built from it.
class Network {
 public:
  std::string name;
  std::vector<Node> nodes;

  /// Builders.  Each appends one node and returns its index; `src` are node indices.  Throw Error(kData) on impossible
  /// shapes.
  int input(Shape shape);
  int conv(const std::string& layer_name, int src, int out_channels, int kernel, int stride = 1, int groups = 1);
  int linear(const std::string& layer_name, int src, int out_features, bool normalised = false);
  int relu(int src);
  int add(int first, int later);
  int max_pool(int src, int kernel, int stride, int padding);
  int global_avg_pool(int src);

  Shape input_shape() const { return nodes.front().shape; }
  int classes() const { return nodes.back().shape.channels; }
  int layer_count() const { return static_cast<int>(layer_nodes_.size()); }
  /// Node index of weight layer `layer`.
  int layer_node(int layer) const { return layer_nodes_[static_cast<std::size_t>(layer)]; }
  const Node& layer(int index) const { return nodes[static_cast<std::size_t>(layer_node(index))]; }
  /// Input channels of a weight layer (before division by groups); for a Linear layer after a pool, its features.
  int in_channels(int layer) const;
  bool depthwise(int layer) const;
  /// Multiply-accumulates of one image through a weight layer at full width.
  std::int64_t macs(int layer) const;
  std::int64_t macs() const;
  /// Weights of a layer: out * in / groups * kernel^2.
  std::int64_t weight_count(int layer) const;
  /// Stem (first layer) and classifier (last layer): 8/8, whole, outside the action space.
  bool fixed(int layer) const { return layer == 0 || layer == layer_count() - 1; }

  /// The layer whose filters make up a node's channels (through ReLU, pools and the later operand of an Add); -1 for
  /// the input.
  int channel_source(int node) const;
  /// Layers that share one filter order and one active_blocks (joined by an Add, or a depthwise layer with its input)
  /// have equal group numbers, 0..; [layer_count()].
  const std::vector<int>& width_groups() const { return width_groups_; }
  /// Active output channels of a layer as its readers see them.  The stem is computed whole, but readers of a stem that
  /// shares its group with adaptive layers read only that group's active channels.
  int active_out(int layer, const BitConfig& config, const BitSpace& space) const;
  /// Active input channels of a layer.
  int active_in(int layer, const BitConfig& config, const BitSpace& space) const;

  /// Must be called once after the last builder: numbers the layers, finds width groups, checks the graph.  Throws
  /// Error(kData).
  void finish();

  bool operator==(const Network& other) const { return name == other.name && to_text() == other.to_text(); }
  std::string to_text() const;  ///< canonical JSON text

 private:
  std::vector<int> layer_nodes_;
  std::vector<int> width_groups_;
  int append(Node node);
};

/// JSON form, strict both ways: from_json throws Error(kData) on anything that is not a valid graph (all
/// dimensions 1..65536).
nlohmann::json network_to_json(const Network& network);
Network network_from_json(const nlohmann::json& json);

/// Every layer offers `bits` (fixed layers 8) in blocks of `block` filters.
BitSpace make_bit_space(const Network& network, const std::vector<int>& bits, int block = 8);
/// All adaptive layers at (weight, activation) bits and ceil(width * blocks) active blocks; width in (0, 1].
BitConfig uniform_config(const BitSpace& space, int weight_bits, int activation_bits, double width = 1.0);
/// Throws Error(kData) if a configuration has the wrong size, bits outside 2..8, blocks out of range, unequal blocks in
/// a width group or a fixed layer that is not 8/8 and whole.
void check_config(const Network& network, const BitSpace& space, const BitConfig& config);
/// Short form for people: "8/8" uniform, else "2/2 3/4x1 …" (x = active blocks when not all), adaptive layers only.
std::string to_string(const BitConfig& config, const BitSpace& space);

}  // namespace bitpilot
