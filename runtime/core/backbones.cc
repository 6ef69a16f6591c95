#include "runtime/core/backbones.h"

#include <algorithm>
#include <array>

#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

int channels(const Network& network, int node) { return network.nodes[static_cast<std::size_t>(node)].shape.channels; }

/// Two 3x3 convolutions with a shortcut; returns the node behind the last ReLU.
int residual_block(Network& network, const std::string& name, int src, int out, int stride) {
  int shortcut = src;
  // The projection comes first: the later operand of the Add must be the main branch.
  if (stride != 1 || channels(network, src) != out) shortcut = network.conv(name + ".shortcut", src, out, 1, stride);
  int x = network.relu(network.conv(name + ".conv1", src, out, 3, stride));
  x = network.conv(name + ".conv2", x, out, 3);
  return network.relu(network.add(shortcut, x));
}

Network finished(Network network, int x, int classes) {
  network.linear("classifier", network.global_avg_pool(x), classes);
  network.finish();
  return network;
}

/// Blocks of one width after another; every stage but the first halves the picture.
int residual_stages(Network& network, int x, int width, int stages, int blocks_each) {
  int block = 0;
  for (int stage = 0; stage < stages; ++stage)
    for (int i = 0; i < blocks_each; ++i)
      x = residual_block(network, "block" + std::to_string(++block), x, width << stage, stage > 0 && i == 0 ? 2 : 1);
  return x;
}

Network small_resnet(const std::string& name, Shape input, int classes, int width, int blocks_each) {
  Network network;
  network.name = name;
  const int x = network.relu(network.conv("stem", network.input(input), width, 3));
  return finished(network, residual_stages(network, x, width, 3, blocks_each), classes);
}

/// Depthwise 3x3 and pointwise 1x1, each with its ReLU; `residual`: Add of the input where shapes agree.
int separable_block(Network& network, const std::string& name, int src, int out, int stride, bool residual) {
  const int in = channels(network, src);
  int x = network.relu(network.conv(name + ".depthwise", src, in, 3, stride, in));
  x = network.conv(name + ".pointwise", x, out, 1);
  if (residual && stride == 1 && in == out) x = network.add(src, x);
  return network.relu(x);
}

/// `value` channels at the standard width, scaled by width / standard to a multiple of 8 that loses at most a tenth.
int scaled(int value, int width, int standard) {
  const int wanted = value * width / standard;
  const int rounded = std::max(8, (wanted + 4) / 8 * 8);
  return rounded * 10 < wanted * 9 ? rounded + 8 : rounded;
}

}  // namespace

Network resnet8(Shape input, int classes, int width) { return small_resnet("resnet8", input, classes, width, 1); }

Network resnet20(Shape input, int classes, int width) { return small_resnet("resnet20", input, classes, width, 3); }

Network resnet18(Shape input, int classes, int width) {
  Network network;
  network.name = "resnet18";
  int x = network.relu(network.conv("stem", network.input(input), width, 7, 2));
  x = network.max_pool(x, 3, 2, 1);
  return finished(network, residual_stages(network, x, width, 4, 2), classes);
}

Network ds_cnn(Shape input, int classes, int width) {
  struct Pair {
    int factor, stride;
  };
  constexpr std::array<Pair, 5> kPairs{{{1, 1}, {2, 2}, {2, 1}, {4, 2}, {4, 1}}};
  Network network;
  network.name = "ds_cnn";
  int x = network.relu(network.conv("stem", network.input(input), width, 3));
  for (std::size_t i = 0; i < kPairs.size(); ++i)
    x = separable_block(network, "block" + std::to_string(i + 1), x, width * kPairs[i].factor, kPairs[i].stride,
                        /*residual=*/true);
  return finished(network, x, classes);
}

Network mobilenet_v2(Shape input, int classes, int width) {
  struct Stage {
    int expansion, channels, blocks, stride;
  };
  constexpr std::array<Stage, 7> kStages{
      {{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}}};
  Network network;
  network.name = "mobilenet_v2";
  int x = network.relu(network.conv("stem", network.input(input), scaled(32, width, 32), 3, 2));
  int block = 0;
  for (const Stage& stage : kStages)
    for (int i = 0; i < stage.blocks; ++i) {
      const std::string name = "block" + std::to_string(++block);
      const int src = x, in = channels(network, src), stride = i == 0 ? stage.stride : 1,
                out = scaled(stage.channels, width, 32);
      if (stage.expansion != 1) x = network.relu(network.conv(name + ".expand", x, in * stage.expansion, 1));
      const int inner = channels(network, x);
      x = network.relu(network.conv(name + ".depthwise", x, inner, 3, stride, inner));
      x = network.conv(name + ".project", x, out, 1);  // linear bottleneck: no ReLU
      if (stride == 1 && in == out) x = network.add(src, x);
    }
  x = network.relu(network.conv("head", x, std::max(1280, scaled(1280, width, 32)), 1));
  return finished(network, x, classes);
}

Network person_net(Shape input, int classes, int width) {
  struct Pair {
    int factor, stride;
  };
  constexpr std::array<Pair, 10> kPairs{{{2, 1}, {4, 2}, {4, 1}, {8, 2}, {8, 1}, {16, 2}, {16, 1}, {32, 2}, {32, 1}, {32, 1}}};
  Network network;
  network.name = "person_net";
  int x = network.relu(network.conv("stem", network.input(input), width, 3, 2));
  for (std::size_t i = 0; i < kPairs.size(); ++i)
    x = separable_block(network, "block" + std::to_string(i + 1), x, width * kPairs[i].factor, kPairs[i].stride,
                        /*residual=*/false);
  return finished(network, x, classes);
}

namespace {

struct Backbone {
  const char* name;
  Network (*make)(Shape, int, int);
  int width;
};
constexpr std::array<Backbone, 6> kBackbones{{{"resnet8", resnet8, 16},
                                              {"resnet20", resnet20, 16},
                                              {"resnet18", resnet18, 64},
                                              {"ds_cnn", ds_cnn, 16},
                                              {"mobilenet_v2", mobilenet_v2, 32},
                                              {"person_net", person_net, 8}}};

}  // namespace

const std::vector<std::string>& backbone_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Backbone& backbone : kBackbones) list.emplace_back(backbone.name);
    return list;
  }();
  return names;
}

Network make_backbone(const std::string& name, Shape input, int classes, int width) {
  for (const Backbone& backbone : kBackbones)
    if (name == backbone.name) return backbone.make(input, classes, width == 0 ? backbone.width : width);
  const std::string nearest = nearest_name(name, backbone_names());
  std::string all;
  for (const std::string& known : backbone_names()) all += (all.empty() ? "" : ", ") + known;
  throw Error(ExitCode::kData, "unknown backbone \"" + name + "\"", "backbone",
              nearest.empty() ? "known backbones: " + all : "did you mean \"" + nearest + "\"?");
}

}  // namespace bitpilot
