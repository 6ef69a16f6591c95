#include "runtime/policy_parameters.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "data/image_statistics.h"
#include "runtime/core/error.h"
#include "runtime/fixed_math.h"
#include "runtime/look_confidence.h"

namespace bitpilot {
namespace {

static_assert(std::endian::native == std::endian::little, "policy tensors are stored little endian");

constexpr int kLayoutVersion = 1;
constexpr std::int64_t kMaxWidth = 4096;  // of any policy layer: keeps int32 accumulators safe and files small
const char* const kSignals[] = {"one_minus_top", "entropy", "one_minus_margin"};

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ExitCode::kData, "the model's policy is not valid: " + what, "model file, policy",
              "export the model again");
}

template <class T>
PolicyTensor tensor(const char* dtype, const std::vector<T>& values, std::vector<std::int64_t> shape) {
  PolicyTensor result{dtype, std::move(shape), std::vector<std::uint8_t>(values.size() * sizeof(T))};
  if (!values.empty()) std::memcpy(result.bytes.data(), values.data(), result.bytes.size());
  return result;
}

template <class T>
std::vector<T> flat(const std::vector<std::vector<T>>& rows) {
  std::vector<T> result;
  for (const auto& row : rows) result.insert(result.end(), row.begin(), row.end());
  return result;
}

std::int64_t length(std::size_t n) { return static_cast<std::int64_t>(n); }

void pack_mlp(const std::string& name, const IntegerMlp& mlp, PolicyData& data) {
  for (std::size_t i = 0; i < mlp.layers.size(); ++i) {
    const IntegerLayer& layer = mlp.layers[i];
    const std::string prefix = name + "." + std::to_string(i);
    data.tensors[prefix + ".weights"] = tensor("I8", layer.weights, {layer.outputs, layer.inputs});
    data.tensors[prefix + ".bias"] = tensor("I32", layer.bias, {layer.outputs});
    data.tensors[prefix + ".multiplier"] = tensor("F32", layer.multiplier, {layer.outputs});
  }
}

/// Reads tensors by name with the shape that they must have.
class Reader {
 public:
  explicit Reader(const PolicyData& data) : data_(data) {}
  bool has(const std::string& name) const { return data_.tensors.contains(name); }
  const std::vector<std::int64_t>& shape(const std::string& name) const { return find(name).shape; }

  template <class T>
  std::vector<T> read(const std::string& name, const char* dtype, const std::vector<std::int64_t>& expected) const {
    const PolicyTensor& stored = find(name);
    std::int64_t count = 1;
    for (const std::int64_t n : expected) count *= n;
    if (stored.dtype != dtype || stored.shape != expected)
      refuse("tensor '" + name + "' has another type or shape than expected");
    if (stored.bytes.size() != static_cast<std::size_t>(count) * sizeof(T))
      refuse("tensor '" + name + "' has too few or too many bytes");
    std::vector<T> values(static_cast<std::size_t>(count));
    if (!values.empty()) std::memcpy(values.data(), stored.bytes.data(), stored.bytes.size());
    if constexpr (std::is_same_v<T, float>) {
      for (const float v : values) {
        if (!std::isfinite(v)) refuse("tensor '" + name + "' holds a number that is not finite");
      }
    }
    return values;
  }

  template <class T>
  std::vector<std::vector<T>> rows(const std::string& name, const char* dtype, std::int64_t row_count,
                                   std::int64_t width) const {
    const auto values = read<T>(name, dtype, {row_count, width});
    std::vector<std::vector<T>> result;
    for (std::int64_t r = 0; r < row_count; ++r)
      result.emplace_back(values.begin() + r * width, values.begin() + (r + 1) * width);
    return result;
  }

  /// An MLP with the given ends; `required` = false: may be absent.
  IntegerMlp mlp(const std::string& name, std::int64_t inputs, std::int64_t outputs, bool required) const {
    IntegerMlp result;
    std::int64_t width = inputs;
    for (int i = 0; has(name + "." + std::to_string(i) + ".weights"); ++i) {
      const std::string prefix = name + "." + std::to_string(i);
      const auto& stored = shape(prefix + ".weights");
      if (i > 7 || stored.size() != 2 || stored[0] < 1 || stored[0] > kMaxWidth || stored[1] != width)
        refuse("network '" + name + "' does not chain");
      IntegerLayer layer;
      layer.inputs = static_cast<int>(width);
      layer.outputs = static_cast<int>(stored[0]);
      layer.weights = read<std::int8_t>(prefix + ".weights", "I8", {stored[0], width});
      layer.bias = read<std::int32_t>(prefix + ".bias", "I32", {stored[0]});
      layer.multiplier = read<float>(prefix + ".multiplier", "F32", {stored[0]});
      for (const std::int32_t b : layer.bias) {
        if (b > (1 << 30) || b < -(1 << 30)) refuse("network '" + name + "' could overflow int32");
      }
      width = stored[0];
      result.layers.push_back(std::move(layer));
    }
    if (result.empty() ? required : width != outputs)
      refuse("network '" + name + "' is missing or has a wrong number of outputs");
    return result;
  }

 private:
  const PolicyTensor& find(const std::string& name) const {
    const auto found = data_.tensors.find(name);
    if (found == data_.tensors.end()) refuse("tensor '" + name + "' is missing");
    return found->second;
  }
  const PolicyData& data_;
};

int signal_index(const std::string& name) {
  for (int i = 0; i < 3; ++i) {
    if (name == kSignals[i]) return i;
  }
  refuse("unknown stop signal '" + name + "'");
}

void read_description(const std::string& text, PolicyParameters& p) {
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    if (json.at("kind") != "two_look" || json.at("version") != kLayoutVersion) refuse("unknown kind or version");
    p.lambda_low = json.at("lambda_range").at(0);
    p.lambda_high = json.at("lambda_range").at(1);
    p.lambda_floor = json.at("lambda_floor");
    p.signal = static_cast<StopSignal>(signal_index(json.at("stop_signal").get<std::string>()));
    p.first_weight = json.at("first_weight");
    p.stop_weight = json.at("stop_weight");
    p.family = json.at("distribution");
    if (p.family != "logistic" && p.family != "truncated_normal") refuse("unknown distribution '" + p.family.substr(0, 40) + "'");
    if (json.contains("cost")) {
      p.cost_unit = json["cost"].at("unit");
      p.reference_ms = json["cost"].at("reference_ms");
      p.choosing_cost = json["cost"].at("choosing");
      p.guard_cost = json["cost"].at("guard");
      p.networks_cost = json["cost"].at("networks");
      if (p.cost_unit != "ms" || !(p.reference_ms > 0) || !std::isfinite(p.reference_ms)) refuse("cost");
      for (const double part : {p.choosing_cost, p.guard_cost, p.networks_cost})
        if (!(part >= 0) || !(part < 1e3)) refuse("cost");
    }
  } catch (const nlohmann::json::exception& error) {
    refuse(error.what());
  }
  // In float32, as lambda_position reads them: without room between the ends a position would be no number.
  const auto low = static_cast<float>(p.lambda_low), high = static_cast<float>(p.lambda_high);
  if (!(low > 0) || !std::isfinite(high) || !(fixed_math::log_positive(high) > fixed_math::log_positive(low)))
    refuse("lambda_range");
  if (!(p.lambda_floor >= 0) || !std::isfinite(p.lambda_floor)) refuse("lambda_floor");
  if (!std::isfinite(p.first_weight) || !std::isfinite(p.stop_weight)) refuse("weights");
}

void read_stop_rule(const Reader& reader, std::int64_t anchors, std::int64_t embedding, int classes,
                    PolicyParameters& p) {
  const auto& shape = reader.shape("stop.curve_at");
  if (shape.size() != 2 || shape[1] < 2 || shape[1] > 256) refuse("stop curves need 2..256 points");
  p.curve_at = reader.rows<float>("stop.curve_at", "F32", anchors, shape[1]);
  for (const auto& row : p.curve_at) {
    if (!std::is_sorted(row.begin(), row.end())) refuse("stop curves must be over ascending signals");
  }
  p.curve_drop = reader.rows<float>("stop.curve_drop", "F32", anchors, anchors * shape[1]);
  const auto& looks = reader.shape("stop.confidence_mean");
  if (looks.size() != 1 || (looks[0] != kSummaryFeatures && looks[0] != look_feature_count(classes)))
    refuse("the features of a look");
  p.confidence_mean = reader.read<float>("stop.confidence_mean", "F32", looks);
  p.confidence_scale = reader.read<float>("stop.confidence_scale", "F32", looks);
  for (std::int64_t k = 0; k < anchors; ++k) {
    p.stop_residual.push_back(reader.mlp("stop.residual." + std::to_string(k), embedding + looks[0], anchors, false));
  }
}

}  // namespace

std::int64_t IntegerMlp::macs() const {
  std::int64_t total = 0;
  for (const IntegerLayer& layer : layers) total += static_cast<std::int64_t>(layer.inputs) * layer.outputs;
  return total;
}

void IntegerMlp::run(std::vector<std::int32_t>& codes, std::vector<std::int32_t>& hidden, std::vector<float>& result) const {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const IntegerLayer& layer = layers[i];
    const bool last = i + 1 == layers.size();
    // Turn and turn about, not swapped: each keeps its own memory.
    const std::vector<std::int32_t>& current = i % 2 == 0 ? codes : hidden;
    std::vector<std::int32_t>& next = i % 2 == 0 ? hidden : codes;
    (last ? (void)result.resize(static_cast<std::size_t>(layer.outputs))
          : (void)next.resize(static_cast<std::size_t>(layer.outputs)));
    for (int o = 0; o < layer.outputs; ++o) {
      const std::int8_t* row =
          layer.weights.data() + static_cast<std::size_t>(o) * static_cast<std::size_t>(layer.inputs);
      std::int32_t acc = layer.bias[static_cast<std::size_t>(o)];
      for (int j = 0; j < layer.inputs; ++j) acc += row[j] * current[static_cast<std::size_t>(j)];
      const float value = static_cast<float>(acc) * layer.multiplier[static_cast<std::size_t>(o)];
      if (last) {
        result[static_cast<std::size_t>(o)] = value;
      } else {
        next[static_cast<std::size_t>(o)] = static_cast<std::int32_t>(std::clamp(std::nearbyint(value), 0.0F, 255.0F));
      }
    }
  }
}

std::int32_t policy_code(float standardised) {
  if (!(standardised == standardised)) return 0;  // NaN: such a picture falls back anyway
  return static_cast<std::int32_t>(
      std::clamp(std::nearbyint(standardised * (1.0F / kPolicyInputStep)), -127.0F, 127.0F));
}

float lambda_position(double lambda, double low, double high, std::size_t knots) {
  const auto clamped = static_cast<float>(std::clamp(lambda, low, high));
  const float from = fixed_math::log_positive(static_cast<float>(low)),
              to = fixed_math::log_positive(static_cast<float>(high));
  const float share = (fixed_math::log_positive(clamped) - from) / (to - from);
  return std::clamp(share, 0.0F, 1.0F) * static_cast<float>(knots - 1);
}

std::int32_t lambda_code(double lambda, double low, double high) {
  return policy_code(lambda_position(lambda, low, high, 2) * 4.0F - 2.0F);
}

PolicyData pack_policy(const PolicyParameters& p) {
  const std::size_t anchors = p.anchors(), points = p.curve_at.empty() ? 0 : p.curve_at.front().size();
  if (anchors == 0 || p.knots() < 2 || p.stop_residual.size() != anchors || p.curve_at.size() != anchors ||
      p.spread.size() % (2 * anchors) != 0)
    throw Error(ExitCode::kBug, "policy parameters of unequal sizes", "pack_policy", "report this");
  PolicyData data;
  nlohmann::json description{
      {"kind", "two_look"},
      {"version", kLayoutVersion},
      {"lambda_range", {p.lambda_low, p.lambda_high}},
      {"lambda_floor", p.lambda_floor},
      {"stop_signal", kSignals[static_cast<int>(p.signal)]},
      {"first_weight", p.first_weight},
      {"stop_weight", p.stop_weight},
      {"distribution", p.family}};
  if (p.cost_unit != "bops")
    description["cost"] = {{"unit", p.cost_unit}, {"reference_ms", p.reference_ms}, {"choosing", p.choosing_cost}, {"guard", p.guard_cost}, {"networks", p.networks_cost}};
  data.description = description.dump();
  const std::int64_t k = length(anchors), knots = length(p.knots());
  data.tensors["feature_mean"] = tensor("F32", p.feature_mean, {length(p.feature_mean.size())});
  data.tensors["feature_scale"] = tensor("F32", p.feature_scale, {length(p.feature_scale.size())});
  data.tensors["cost.first"] = tensor("F32", p.first_cost, {k});
  data.tensors["cost.second"] = tensor("F32", p.second_cost, {k});
  data.tensors["first.value"] = tensor("F32", flat(p.first_value), {knots, k});
  // The container knows I8 but no unsigned bytes: masks are 0 or 1.
  data.tensors["first.allowed"] = tensor("I8", flat(p.first_allowed), {knots, k});
  data.tensors["stop.pair_allowed"] = tensor("I8", flat(p.pair_allowed), {knots, k * k});
  data.tensors["stop.curve_at"] = tensor("F32", flat(p.curve_at), {k, length(points)});
  data.tensors["stop.curve_drop"] = tensor("F32", flat(p.curve_drop), {k, k * length(points)});
  data.tensors["stop.confidence_mean"] = tensor("F32", p.confidence_mean, {length(p.confidence_mean.size())});
  data.tensors["stop.confidence_scale"] = tensor("F32", p.confidence_scale, {length(p.confidence_scale.size())});
  data.tensors["spread"] = tensor("F32", p.spread, {k, length(p.spread.size() / (2 * anchors)), 2});
  pack_mlp("embedding", p.embedding, data);
  pack_mlp("severity", p.severity, data);
  pack_mlp("first.residual", p.first_residual, data);
  pack_mlp("offset", p.offset, data);
  for (std::size_t i = 0; i < anchors; ++i) pack_mlp("stop.residual." + std::to_string(i), p.stop_residual[i], data);
  return data;
}

PolicyParameters unpack_policy(const ModelData& model) {
  if (model.policy.description.empty()) refuse("the model has none");
  PolicyParameters p;
  read_description(model.policy.description, p);
  const Reader reader(model.policy);
  const std::int64_t k = length(model.anchors.size()), layers = model.network.layer_count();
  const std::int64_t with_stem = kStatisticsCount + model.network.layer(0).shape.channels;
  const bool statistics_only = reader.shape("feature_mean") == std::vector<std::int64_t>{kStatisticsCount};
  const std::int64_t features = statistics_only ? kStatisticsCount : with_stem;
  p.feature_mean = reader.read<float>("feature_mean", "F32", {features});
  p.feature_scale = reader.read<float>("feature_scale", "F32", {features});
  p.first_cost = reader.read<float>("cost.first", "F32", {k});
  p.second_cost = reader.read<float>("cost.second", "F32", {k});
  const auto& severity_shape = reader.shape("severity.0.weights");
  if (severity_shape.size() != 2 || severity_shape[1] < 1 || severity_shape[1] > kMaxWidth)
    refuse("the embedding's width");
  const std::int64_t embedding = severity_shape[1];
  p.embedding = reader.mlp("embedding", features, embedding, true);
  p.severity = reader.mlp("severity", embedding, 1, true);
  const auto& value_shape = reader.shape("first.value");
  if (value_shape.size() != 2 || value_shape[0] < 2 || value_shape[0] > 1024) refuse("first.value needs 2..1024 knots");
  const std::int64_t knots = value_shape[0];
  p.first_value = reader.rows<float>("first.value", "F32", knots, k);
  p.first_allowed = reader.rows<std::uint8_t>("first.allowed", "I8", knots, k);
  for (const auto& row : p.first_allowed) {
    if (std::find(row.begin(), row.end(), 1) == row.end()) refuse("no anchor is allowed as a first look");
  }
  p.pair_allowed = reader.rows<std::uint8_t>("stop.pair_allowed", "I8", knots, k * k);
  p.first_residual = reader.mlp("first.residual", embedding + 1, k, false);
  p.offset = reader.mlp("offset", embedding + 1, 2 * layers, false);
  p.spread = reader.read<float>("spread", "F32", {k, layers, 2});
  read_stop_rule(reader, k, embedding, model.network.classes(), p);
  return p;
}

}  // namespace bitpilot
