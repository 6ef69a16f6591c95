#include "runtime/core/network.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr int kMaxDimension = 65536;
constexpr int kMaxKernel = 64;
constexpr int kMaxNodes = 4096;
constexpr std::size_t kMaxNameLength = 128;
constexpr std::int64_t kMaxElements = std::int64_t{1} << 26;  // of one value: 64 channels of a 1024x1024 picture
constexpr std::int64_t kMaxWeights = std::int64_t{1} << 28;   // of one layer

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Error(ExitCode::kData, what, where,
              "describe a network of Conv2d, Linear, ReLU, Add and pool nodes with fitting shapes");
}

std::int64_t elements(const Shape& shape) {
  return static_cast<std::int64_t>(shape.channels) * shape.height * shape.width;
}

void check_shape(const Shape& shape, const std::string& where) {
  for (const int size : {shape.channels, shape.height, shape.width})
    if (size < 1 || size > kMaxDimension) refuse("dimension " + std::to_string(size) + " is outside 1..65536", where);
  if (elements(shape) > kMaxElements) refuse("a value of the network has more than 2^26 elements", where);
}

/// Result size of a window that slides over `size` pixels.
int windows(int size, int kernel, int stride, int padding, const std::string& where) {
  if (kernel < 1 || kernel > kMaxKernel || stride < 1 || stride > kMaxKernel || padding < 0 || padding >= kernel)
    refuse("kernel, stride or padding is out of range", where);
  if (size + 2 * padding < kernel) refuse("the kernel is larger than its padded input", where);
  return (size + 2 * padding - kernel) / stride + 1;
}

void check_layer_name(const std::string& name) {
  const bool printable = std::all_of(name.begin(), name.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  if (name.empty() || name.size() > kMaxNameLength || !printable)
    refuse("a layer name is empty, longer than 128 bytes or has control characters", "layer name");
}

}  // namespace

int Network::append(Node node) {
  const std::string where = "node " + std::to_string(nodes.size()) + (node.name.empty() ? "" : " (" + node.name + ")");
  if (nodes.size() >= kMaxNodes) refuse("more than 4096 nodes", where);
  if (nodes.empty() != (node.op == Op::kInput))
    refuse("the input must be the first node and the only one of its kind", where);
  for (const int src : node.inputs)
    if (src < 0 || src >= static_cast<int>(nodes.size())) refuse("an input is not an earlier node", where);
  check_shape(node.shape, where);
  nodes.push_back(std::move(node));
  return static_cast<int>(nodes.size()) - 1;
}

int Network::input(Shape shape) {
  Node node;
  node.name = "input";
  node.shape = shape;
  return append(std::move(node));
}

namespace {

const Node& source_node(const Network& network, int src, const std::string& where) {
  if (src < 0 || src >= static_cast<int>(network.nodes.size())) refuse("an input is not an earlier node", where);
  return network.nodes[static_cast<std::size_t>(src)];
}

}  // namespace

int Network::conv(const std::string& layer_name, int src, int out_channels, int kernel, int stride, int groups) {
  check_layer_name(layer_name);
  const Shape in = source_node(*this, src, layer_name).shape;
  const bool depthwise = groups > 1 && groups == in.channels && groups == out_channels;
  if (groups != 1 && !depthwise)
    refuse("groups must be 1 or, for a depthwise layer, equal input and output channels", layer_name);
  Node node;
  node.name = layer_name;
  node.op = Op::kConv2d;
  node.inputs = {src};
  node.kernel = kernel;
  node.stride = stride;
  node.padding = kernel / 2;
  node.groups = groups;
  node.shape = {out_channels, windows(in.height, kernel, stride, node.padding, layer_name),
                windows(in.width, kernel, stride, node.padding, layer_name)};
  check_shape(node.shape, layer_name);
  if (static_cast<std::int64_t>(out_channels) * (in.channels / groups) * kernel * kernel > kMaxWeights)
    refuse("a layer has more than 2^28 weights", layer_name);
  return append(std::move(node));
}

int Network::linear(const std::string& layer_name, int src, int out_features, bool normalised) {
  check_layer_name(layer_name);
  const Shape in = source_node(*this, src, layer_name).shape;
  if (in.height != 1 || in.width != 1)
    refuse("a Linear layer must read a vector (put a global average pool before it)", layer_name);
  Node node;
  node.name = layer_name;
  node.op = Op::kLinear;
  node.inputs = {src};
  node.normalised = normalised;
  node.shape = {out_features, 1, 1};
  check_shape(node.shape, layer_name);
  if (static_cast<std::int64_t>(out_features) * in.channels > kMaxWeights)
    refuse("a layer has more than 2^28 weights", layer_name);
  return append(std::move(node));
}

int Network::relu(int src) {
  Node node;
  node.name = "relu" + std::to_string(nodes.size());
  node.op = Op::kRelu;
  node.inputs = {src};
  node.shape = source_node(*this, src, node.name).shape;
  return append(std::move(node));
}

int Network::add(int first, int later) {
  Node node;
  node.name = "add" + std::to_string(nodes.size());
  node.op = Op::kAdd;
  node.inputs = {first, later};
  node.shape = source_node(*this, first, node.name).shape;
  if (source_node(*this, later, node.name).shape != node.shape)
    refuse("the operands of an Add have different shapes", node.name);
  return append(std::move(node));
}

int Network::max_pool(int src, int kernel, int stride, int padding) {
  Node node;
  node.name = "max_pool" + std::to_string(nodes.size());
  node.op = Op::kMaxPool;
  node.inputs = {src};
  node.kernel = kernel;
  node.stride = stride;
  node.padding = padding;
  const Shape in = source_node(*this, src, node.name).shape;
  node.shape = {in.channels, windows(in.height, kernel, stride, padding, node.name),
                windows(in.width, kernel, stride, padding, node.name)};
  return append(std::move(node));
}

int Network::global_avg_pool(int src) {
  Node node;
  node.name = "global_avg_pool" + std::to_string(nodes.size());
  node.op = Op::kGlobalAvgPool;
  node.inputs = {src};
  node.shape = {source_node(*this, src, node.name).shape.channels, 1, 1};
  return append(std::move(node));
}

int Network::in_channels(int layer_index) const {
  return nodes[static_cast<std::size_t>(layer(layer_index).inputs[0])].shape.channels;
}

bool Network::depthwise(int layer_index) const { return layer(layer_index).groups > 1; }

std::int64_t Network::weight_count(int layer_index) const {
  const Node& node = layer(layer_index);
  return static_cast<std::int64_t>(node.shape.channels) * (in_channels(layer_index) / node.groups) * node.kernel *
         node.kernel;
}

std::int64_t Network::macs(int layer_index) const {
  const Shape& shape = layer(layer_index).shape;
  return weight_count(layer_index) * shape.height * shape.width;
}

std::int64_t Network::macs() const {
  std::int64_t total = 0;
  for (int l = 0; l < layer_count(); ++l) total += macs(l);
  return total;
}

int Network::channel_source(int node) const {
  while (nodes[static_cast<std::size_t>(node)].op != Op::kInput) {
    const Node& current = nodes[static_cast<std::size_t>(node)];
    if (current.op == Op::kConv2d || current.op == Op::kLinear) return current.layer;
    node = current.inputs.back();  // of an Add: the later operand
  }
  return -1;
}

int Network::active_out(int layer_index, const BitConfig& config, const BitSpace& space) const {
  const int out = layer(layer_index).shape.channels;
  int speaks = layer_index;  // the layer whose active_blocks counts
  if (fixed(layer_index)) {
    const int group = width_groups_[static_cast<std::size_t>(layer_index)];
    speaks = -1;
    for (int l = 1; l + 1 < layer_count() && speaks < 0; ++l)
      if (width_groups_[static_cast<std::size_t>(l)] == group) speaks = l;
    if (speaks < 0) return out;
  }
  return std::min(out, config[static_cast<std::size_t>(speaks)].active_blocks * space.block);
}

int Network::active_in(int layer_index, const BitConfig& config, const BitSpace& space) const {
  const int source = channel_source(layer(layer_index).inputs[0]);
  return source < 0 ? in_channels(layer_index) : active_out(source, config, space);
}

namespace {

int find_root(std::vector<int>& parent, int item) {
  while (parent[static_cast<std::size_t>(item)] != item) item = parent[static_cast<std::size_t>(item)];
  return item;
}

/// Union-find over layers; the smallest layer of a group is its root, so numbering by first occurrence is canonical.
std::vector<int> find_width_groups(const Network& network) {
  std::vector<int> parent(static_cast<std::size_t>(network.layer_count()));
  std::iota(parent.begin(), parent.end(), 0);
  const auto join = [&](int a, int b) {
    if (a < 0 || b < 0) refuse("the network's input feeds an Add or a depthwise layer", network.name);
    a = find_root(parent, a);
    b = find_root(parent, b);
    parent[static_cast<std::size_t>(std::max(a, b))] = std::min(a, b);
  };
  for (const Node& node : network.nodes) {
    if (node.op == Op::kAdd) join(network.channel_source(node.inputs[0]), network.channel_source(node.inputs[1]));
    if (node.op == Op::kConv2d && node.groups > 1) join(node.layer, network.channel_source(node.inputs[0]));
  }
  std::vector<int> groups(parent.size(), -1);
  int next = 0;
  for (std::size_t l = 0; l < parent.size(); ++l) {
    const auto root = static_cast<std::size_t>(find_root(parent, static_cast<int>(l)));
    groups[l] = root == l ? next++ : groups[root];
  }
  return groups;
}

void check_ends(const Network& network) {
  if (network.layer_count() < 2) refuse("a network needs at least a stem and a classifier", network.name);
  if (network.nodes.back().op != Op::kLinear) refuse("the last node is no Linear layer (the classifier)", network.name);
  int reads_input = 0;
  for (const Node& node : network.nodes)
    for (const int src : node.inputs) reads_input += src == 0;
  const Node& stem = network.layer(0);
  if (stem.op != Op::kConv2d || stem.inputs[0] != 0 || reads_input != 1)
    refuse("the first layer must be a Conv2d and the only reader of the network's input", network.name);
}

}  // namespace

void Network::finish() {
  if (nodes.empty()) refuse("a network without nodes", name);
  layer_nodes_.clear();
  std::set<std::string> names;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    Node& node = nodes[i];
    node.layer = -1;
    if (node.op != Op::kConv2d && node.op != Op::kLinear) continue;
    if (!names.insert(node.name).second) refuse("two layers have one name", node.name);
    node.layer = static_cast<int>(layer_nodes_.size());
    layer_nodes_.push_back(static_cast<int>(i));
    // Weights <= 2^28 and pixels <= 2^26, so the product fits; the sum is checked.
    if (__builtin_add_overflow(total, macs(node.layer), &total))
      refuse("the multiply-accumulates overflow 64 bits", name);
  }
  check_ends(*this);
  width_groups_ = find_width_groups(*this);
}

}  // namespace bitpilot
