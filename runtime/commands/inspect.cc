#include "runtime/commands/inspect.h"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/commands/bits.h"
#include "runtime/commands/options.h"
#include "runtime/commands/policy_evidence.h"
#include "runtime/core/cost.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"
#include "runtime/format/model_file.h"

namespace bitpilot {

namespace {

using Json = nlohmann::ordered_json;

Json layers_of(const ModelData& model) {
  const Network& network = model.network;
  Json layers = Json::array();
  for (int l = 0; l < network.layer_count(); ++l) {
    const auto i = static_cast<std::size_t>(l);
    const Node& node = network.layer(l);
    layers.push_back({{"name", node.name},
                      {"kind", node.op == Op::kLinear ? "linear"
                               : network.depthwise(l) ? "depthwise"
                                                      : "conv2d"},
                      {"in", network.in_channels(l)},
                      {"out", {node.shape.channels, node.shape.height, node.shape.width}},
                      {"kernel", node.kernel},
                      {"stride", node.stride},
                      {"macs", network.macs(l)},
                      {"weights", network.weight_count(l)},
                      {"stored_bits", model.weights[i].stored_bits},
                      {"bits", model.space.layers[i].bits},
                      {"weight_bits", weight_widths(model, l)},
                      {"blocks", model.space.layers[i].blocks},
                      {"width_group", network.width_groups()[i]}});
  }
  return layers;
}

Json anchors_of(const ModelData& model) {
  const CostTable table = bops_table(model.network, model.space);
  Json anchors = Json::array();
  for (std::size_t a = 0; a < model.anchors.size(); ++a) {
    const Anchor& anchor = model.anchors[a];
    Json bits = Json::array();
    for (std::size_t l = 0; l < anchor.config.size(); ++l) {
      const LayerBits& layer = anchor.config[l];
      if (!model.space.layers[l].fixed) bits.push_back({layer.weight, layer.activation, layer.active_blocks});
    }
    const double bops = table.cost(anchor.config);
    anchors.push_back({{"name", anchor.name},
                       {"short", to_string(anchor.config, model.space)},
                       {"bits", bits},
                       {"bops", bops},
                       {"relative", bops / table.reference()},
                       {"temperature", anchor.temperature},
                       {"safe", static_cast<int>(a) == model.safe_anchor}});
  }
  return anchors;
}

Json sizes_of(const ModelData& model) {
  const ModelSizes sizes = model_sizes(model);
  const std::size_t compared = sizes.weights + sizes.scales + sizes.calibration;
  return {{"weights", sizes.weights},
          {"scales", sizes.scales},
          {"calibration", sizes.calibration},
          {"policy", sizes.policy},
          {"header", sizes.header},
          {"total", sizes.total},
          {"plain_8bit", sizes.plain_8bit},
          {"ratio", static_cast<double>(compared) / static_cast<double>(sizes.plain_8bit)}};
}

/// JSON text that the model file has checked, or null where there is none.
Json parsed(const std::string& text) { return text.empty() ? Json() : Json::parse(text); }

std::string shape_text(const Shape& shape) {
  return std::to_string(shape.channels) + "x" + std::to_string(shape.height) + "x" + std::to_string(shape.width);
}

/// "2,4,8", or weights apart from values, as --bits has them: "2/2,8".
std::string offered_text(const ModelData& model, int layer) {
  const auto list = [](const std::vector<int>& widths) {
    std::string text;
    for (const int width : widths) text += (text.empty() ? "" : ",") + std::to_string(width);
    return text;
  };
  const std::vector<int>& values = model.space.layers[static_cast<std::size_t>(layer)].bits;
  const std::vector<int> weights = weight_widths(model, layer);
  return weights == values ? list(values) : list(weights) + "/" + list(values);
}

void print_layers(const ModelData& model) {
  const Network& network = model.network;
  std::printf("  %-24s %-10s %-14s %12s %10s  %-10s %s\n", "layer", "kind", "output", "MACs", "weights", "bits",
              "blocks");
  for (int l = 0; l < network.layer_count(); ++l) {
    const Node& node = network.layer(l);
    const LayerSpace& space = model.space.layers[static_cast<std::size_t>(l)];
    std::string kind = node.op == Op::kLinear ? "linear" : network.depthwise(l) ? "depthwise" : "conv";
    if (node.op != Op::kLinear)
      kind += " " + std::to_string(node.kernel) + (node.stride > 1 ? "/" + std::to_string(node.stride) : "");
    std::printf("  %-24s %-12s %-12s %12lld %10lld  %-10s %d\n", node.name.c_str(), kind.c_str(),
                shape_text(node.shape).c_str(), static_cast<long long>(network.macs(l)),
                static_cast<long long>(network.weight_count(l)), offered_text(model, l).c_str(), space.blocks);
  }
}

void print_sizes(const ModelData& model) {
  const ModelSizes sizes = model_sizes(model);
  const std::size_t compared = sizes.weights + sizes.scales + sizes.calibration;
  std::printf("size      %zu bytes: weights %zu, scales %zu, calibration %zu, policy %zu, header %zu\n", sizes.total,
              sizes.weights, sizes.scales, sizes.calibration, sizes.policy, sizes.header);
  std::printf("          weights + scales + calibration = %.3f of plain 8 bit (%zu bytes)\n",
              static_cast<double>(compared) / static_cast<double>(sizes.plain_8bit), sizes.plain_8bit);
}

void print_anchors(const ModelData& model) {
  const CostTable table = bops_table(model.network, model.space);
  std::printf("anchors\n");
  for (std::size_t a = 0; a < model.anchors.size(); ++a) {
    const Anchor& anchor = model.anchors[a];
    const double bops = table.cost(anchor.config);
    std::printf("  %-10s %7.3f MBOPs  relative %.4f  %s%s\n", anchor.name.c_str(), bops / 1e6, bops / table.reference(),
                to_string(anchor.config, model.space).c_str(),
                static_cast<int>(a) == model.safe_anchor ? "  (safe)" : "");
  }
}

void print_model(const ModelData& model) {
  const Network& network = model.network;
  std::int64_t weights = 0;
  for (int l = 0; l < network.layer_count(); ++l) weights += network.weight_count(l);
  std::printf("network   %s, input %s, %d classes, %lld MACs, %lld weights\n", network.name.c_str(),
              shape_text(network.input_shape()).c_str(), network.classes(), static_cast<long long>(network.macs()),
              static_cast<long long>(weights));
  print_layers(model);
  print_sizes(model);
  print_anchors(model);
  if (model.policy.description.empty()) {
    std::printf("policy    none\n");
  } else {
    std::printf("policy    %zu tensors, default lambda %g, reads %zu statistics\n", model.policy.tensors.size(),
                model.default_lambda, model.statistics.size());
  }
  if (!model.budget.empty()) {
    std::printf("budget    lambda -> mean relative cost on validation (an excerpt of %zu rows; --json holds all)\n", model.budget.size());
    double shown = 0;
    for (std::size_t i = 0; i < model.budget.size(); ++i) {
      const BudgetPoint& point = model.budget[i];
      const bool last = i + 1 == model.budget.size();
      if (shown > 0 && !last && std::abs(point.relative / shown - 1) < 0.1) continue;
      std::printf("  %-12g %.4f\n", point.lambda, point.relative);
      shown = point.relative;
    }
  }
  std::printf("provenance %s\n", model.provenance.empty() ? "none" : parsed(model.provenance).dump(2).c_str());
}

/// The model file that `path` names: itself, or the one in a run's folder.
std::string model_path(const std::string& path) {
  std::error_code none;
  if (!std::filesystem::is_directory(path, none)) return path;
  const std::string model = (std::filesystem::path(path) / "model.safetensors").string();
  if (std::filesystem::exists(model, none)) return model;
  throw Error(ExitCode::kData, "no model.safetensors in this folder", path,
              "name a model file, or the folder of a finished run");
}

/// What a run's folder says of its policy; empty for a model file.
std::string evidence_of(const std::string& path) {
  std::error_code none;
  const auto read = [&](const char* name) {
    const std::string file = (std::filesystem::path(path) / name).string();
    return std::filesystem::is_regular_file(file, none) ? parse_json(read_file(file), file) : nlohmann::json();
  };
  const nlohmann::json summary = read("summary.json");
  return summary.is_object() && summary.contains("policy") ? policy_evidence(summary["policy"], read("policy.json")) : "";
}

}  // namespace

Json describe_model(const ModelData& model) {
  const Network& network = model.network;
  const Shape input = network.input_shape();
  Json json;
  json["schema"] = "bitpilot.inspect/1";
  json["network"] = {{"name", network.name},
                     {"input", {input.channels, input.height, input.width}},
                     {"classes", network.classes()},
                     {"macs", network.macs()},
                     {"layers", layers_of(model)}};
  json["labels"] = model.labels;
  json["preprocessing"] = {{"stretch", model.preprocessing.stretch}};
  json["sizes"] = sizes_of(model);
  json["anchors"] = anchors_of(model);
  json["policy"] = parsed(model.policy.description);
  json["statistics"] = model.statistics;
  json["default_lambda"] = model.default_lambda;
  json["budget"] = Json::array();
  for (const BudgetPoint& point : model.budget)
    json["budget"].push_back({{"lambda", point.lambda}, {"relative", point.relative}});
  json["provenance"] = parsed(model.provenance);
  return json;
}

int run_inspect(const std::vector<std::string>& args) {
  std::string file, json;
  Options options("inspect", "what a model file or a run's folder holds: network, sizes, anchors, budget, provenance");
  options.positional("FILE", file, "model file, or the folder of a finished run").required();
  options.text("json", "FILE", json, "write everything as JSON instead; - is standard output");
  if (!options.parse(args)) return static_cast<int>(ExitCode::kOk);
  const ModelData model = read_model(model_path(file));
  if (json.empty()) {
    print_model(model);
    std::fputs(evidence_of(file).c_str(), stdout);
  } else {
    const std::string text = describe_model(model).dump(2) + "\n";
    if (json == "-")
      std::fputs(text.c_str(), stdout);
    else
      write_file_atomically(json, text);
  }
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace bitpilot
