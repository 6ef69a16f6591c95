#include <array>
#include <nlohmann/json.hpp>

#include "runtime/core/error.h"
#include "runtime/core/json.h"
#include "runtime/core/network.h"

namespace bitpilot {
namespace {

constexpr std::array<const char*, 7> kOpNames{"input", "conv2d",   "linear",         "relu",
                                              "add",   "max_pool", "global_avg_pool"};

nlohmann::json node_to_json(const Node& node) {
  nlohmann::json json{{"op", kOpNames[static_cast<std::size_t>(node.op)]}};
  if (node.op == Op::kInput) {
    json["shape"] = {node.shape.channels, node.shape.height, node.shape.width};
    return json;
  }
  json["inputs"] = node.inputs;
  if (node.op == Op::kConv2d || node.op == Op::kMaxPool) {
    json["kernel"] = node.kernel;
    json["stride"] = node.stride;
    json["padding"] = node.padding;
  }
  if (node.op == Op::kConv2d) json["groups"] = node.groups;
  if (node.op == Op::kConv2d || node.op == Op::kLinear) {
    json["name"] = node.name;
    json["out"] = node.shape.channels;
    json["normalised"] = node.normalised;
  }
  return json;
}

/// Appends through the builders, which check every shape.
void append_node(Network& network, const JsonReader& json) {
  const auto whole = [&](const char* key, int low, int high) {
    return static_cast<int>(json.at(key).integer(low, high));
  };
  const std::string op = json.at("op").text(32);
  const auto src = [&](std::size_t i) {
    return static_cast<int>(json.at("inputs").at(i).integer(0, static_cast<std::int64_t>(network.nodes.size()) - 1));
  };
  const auto inputs = [&](std::size_t count) {
    if (json.at("inputs").size() != count) json.at("inputs").fail("expected " + std::to_string(count) + " inputs");
  };
  if (op == "input") {
    json.allow({"op", "shape"});
    if (json.at("shape").size() != 3) json.at("shape").fail("expected [channels, height, width]");
    const auto size = [&](std::size_t i) { return static_cast<int>(json.at("shape").at(i).integer(1, 65536)); };
    network.input({size(0), size(1), size(2)});
    return;
  }
  inputs(op == "add" ? 2 : 1);
  if (op == "conv2d") {
    json.allow({"op", "inputs", "kernel", "stride", "padding", "groups", "name", "out", "normalised"});
    const int kernel = whole("kernel", 1, 64);
    if (whole("padding", 0, 64) != kernel / 2) json.at("padding").fail("only padding of half the kernel is supported");
    const int node = network.conv(json.at("name").text(128), src(0), whole("out", 1, 65536), kernel,
                                  whole("stride", 1, 64), whole("groups", 1, 65536));
    network.nodes[static_cast<std::size_t>(node)].normalised = json.at("normalised").boolean();
  } else if (op == "linear") {
    json.allow({"op", "inputs", "name", "out", "normalised"});
    network.linear(json.at("name").text(128), src(0), whole("out", 1, 65536), json.at("normalised").boolean());
  } else if (op == "max_pool") {
    json.allow({"op", "inputs", "kernel", "stride", "padding"});
    network.max_pool(src(0), whole("kernel", 1, 64), whole("stride", 1, 64), whole("padding", 0, 63));
  } else {
    json.allow({"op", "inputs"});
    if (op == "relu")
      network.relu(src(0));
    else if (op == "add")
      network.add(src(0), src(1));
    else if (op == "global_avg_pool")
      network.global_avg_pool(src(0));
    else
      json.at("op").fail("unknown operation \"" + op + "\"");
  }
}

}  // namespace

nlohmann::json network_to_json(const Network& network) {
  nlohmann::json nodes = nlohmann::json::array();
  for (const Node& node : network.nodes) nodes.push_back(node_to_json(node));
  return {{"name", network.name}, {"nodes", std::move(nodes)}};
}

Network network_from_json(const nlohmann::json& value) {
  const JsonReader json(value, "network");
  json.allow({"name", "nodes"});
  Network network;
  network.name = json.at("name").text(128);
  const JsonReader nodes = json.at("nodes");
  for (std::size_t i = 0; i < nodes.size(); ++i) append_node(network, nodes.at(i));
  network.finish();
  return network;
}

std::string Network::to_text() const { return network_to_json(*this).dump(); }

}  // namespace bitpilot
