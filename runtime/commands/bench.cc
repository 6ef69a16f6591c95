#include "runtime/commands/bench.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/commands/bench_measure.h"
#include "runtime/commands/bench_model.h"
#include "runtime/commands/bits.h"
#include "runtime/commands/options.h"
#include "runtime/commands/profile_choice.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/kernels/kernels.h"
#include "runtime/machine.h"
#include "runtime/policy_head.h"
#include "runtime/random_policy.h"

namespace bitpilot {
namespace {

using Json = nlohmann::ordered_json;

struct BenchFlags {
  BenchModel source;
  std::string json, profile, policy;
  std::vector<std::string> bits;
  std::int64_t threads = 1;
  std::optional<double> seconds;
};

Options bench_options(BenchFlags& flags) {
  Options options("bench", "speed by stage and layer");
  flags.source.add_options(options);
  options.list(
      "bits", "BITS", flags.bits,
      "what to time: 8, 4/8 (weights/activations), an anchor's name or a JSON file; every anchor if not given");
  options.text("profile", kProfileValue, flags.profile, kProfileHelp);
  options.text("policy", "random", flags.policy, "give a --network a policy with random networks: what deciding costs");
  options.integer("threads", "N", flags.threads, 1, 64, "threads that share one picture");
  options.number("seconds", "X", flags.seconds, 0, 3600, "how long to take turns; 3 if not given");
  options.text("json", "FILE", flags.json, "write bitpilot.bench/1 there; - is standard output");
  return options;
}

/// What is timed, and the price list of its layers where a profile was named.
struct Subject {
  std::shared_ptr<const Model> model;
  std::string hash;
  std::string policy = "none";  ///< "model" or "random" where there is one
  std::optional<CostTable> prices;
};

Subject load(const BenchFlags& flags, const Machine& machine) {
  Subject subject;
  ModelData data = flags.source.load("bench", subject.hash);
  if (!flags.policy.empty()) {
    if (flags.policy != "random" || flags.source.network.empty())
      throw Error(ExitCode::kUsage, "--policy takes random, and with --network alone", "bitpilot bench",
                  "leave it out: a model's own policy is timed anyway");
    add_random_policy(data);
  }
  if (PolicyHead::has_policy(data)) subject.policy = flags.policy.empty() ? "model" : flags.policy;
  KernelChoice choice;
  if (std::optional<Profile> profile = choose_profile(flags.profile, data, subject.hash, machine, "bench", /*quiet=*/false)) {
    choice = std::move(profile->choice);
    subject.prices = std::move(profile->cost);
  }
  subject.model = std::make_shared<const Model>(std::move(data), &active_kernels(), std::move(choice));
  return subject;
}

std::vector<ConfigTimes> wanted_configs(const BenchFlags& flags, const ModelData& model) {
  std::vector<ConfigTimes> configs;
  for (const std::string& text : flags.bits) {
    const std::optional<BitConfig> config = read_bits(text, model);
    if (!config)
      throw Error(ExitCode::kUsage, "--bits policy is no configuration", "bitpilot bench",
                  "leave it out: a model's policy is timed anyway");
    configs.push_back({config_name(*config, model), *config, {}, {}, {}});
  }
  if (configs.empty())
    for (const Anchor& anchor : model.anchors) configs.push_back({anchor.name, anchor.config, {}, {}, {}});
  return configs;
}

/// Products of a layer at the filters and channels that a configuration computes.
double active_macs(const ModelData& model, const BitConfig& config, int layer) {
  const Network& network = model.network;
  const double out = network.active_out(layer, config, model.space), in = network.active_in(layer, config, model.space);
  const double share = layer == 0 ? 1
                       : network.depthwise(layer)
                           ? out / network.layer(layer).shape.channels
                           : out * in / network.layer(layer).shape.channels / network.in_channels(layer);
  return static_cast<double>(network.macs(layer)) * share;
}

Json times_of(Samples& samples) {
  return {{"median_ms", samples.median() * 1e3},
          {"p95_ms", samples.quantile(0.95) * 1e3},
          {"p99_ms", samples.quantile(0.99) * 1e3},
          {"samples", samples.size()}};
}

void add_rate(Json& json, double macs, double seconds, double peak) {
  json["macs"] = macs;
  json["gmacs_per_s"] = macs / seconds / 1e9;
  json["of_peak"] = macs / seconds / peak;
}

/// `peak`: products a second of all threads together.
Json config_record(const ModelData& model, ConfigTimes& times, const std::optional<CostTable>& prices, double peak) {
  Json layers = Json::array();
  double macs = 0;
  for (int l = 0; l < model.network.layer_count(); ++l) {
    Samples& samples = times.layers[static_cast<std::size_t>(l)];
    Json layer{{"name", model.network.layer(l).name}};
    layer.update(times_of(samples));
    const double layer_macs = active_macs(model, times.config, l);
    add_rate(layer, layer_macs, samples.median(), peak);
    macs += layer_macs;
    layers.push_back(std::move(layer));
  }
  Json record{{"name", times.name}, {"bits", to_string(times.config, model.space)}};
  record.update(times_of(times.pass));
  add_rate(record, macs, times.pass.median(), peak);
  record["switching_ms"] = times.switching.median() * 1e3;
  record["switching_spread_ms"] = times.switching.deviation() * 1e3;
  if (prices) {
    record["priced_ms"] = prices->cost(times.config);
    record["priced_over_measured"] = prices->cost(times.config) / (times.pass.median() * 1e3);
  }
  record["layers"] = std::move(layers);
  return record;
}

Json record_of(const Subject& subject, const Machine& machine, BenchTimes& times) {
  const ModelData& model = subject.model->data();
  const double peak = times.peak * machine.threads;
  Json record{{"schema", "bitpilot.bench/1"},
              {"version", machine.version},
              {"cpu", machine.cpu},
              {"isa", machine.isa},
              {"threads", machine.threads},
              {"network", model.network.name},
              {"model", subject.hash.empty() ? Json() : Json(subject.hash)},
              {"policy", subject.policy},
              {"kernels", subject.prices ? "profile" : "default"},
              {"peak_gmacs_per_s", times.peak / 1e9},
              {"threads_peak_gmacs_per_s", peak / 1e9}};
  Json stages = Json::object();
  const auto stage = [&](const char* name, Samples& samples) {
    if (!samples.empty()) stages[name] = times_of(samples);
  };
  stage("preprocess", times.preprocess);
  stage("statistics", times.statistics);
  stage("stem", times.stem);
  stage("policy", times.policy);
  stage("decision", times.decision);
  stage("policy, guard off", times.choosing);
  stage("decision, guard off", times.unguarded);
  record["stages"] = std::move(stages);
  if (!times.decision.empty())
    record["statistics_and_policy_share"] =
        (times.statistics.median() + times.policy.median()) / (times.statistics.median() + times.decision.median());
  if (!times.unguarded.empty()) record["policy_share_without_guard"] = times.choosing.median() / times.unguarded.median();
  Json configs = Json::array();
  for (ConfigTimes& config : times.configs) configs.push_back(config_record(model, config, subject.prices, peak));
  record["configs"] = std::move(configs);
  return record;
}

void print_times(const char* name, const Json& times) {
  std::printf("  %-24s %10.4f %10.4f %10.4f", name, times["median_ms"].get<double>(), times["p95_ms"].get<double>(),
              times["p99_ms"].get<double>());
}

void print_record(const Json& record) {
  const int threads = record["threads"].get<int>();
  std::printf("%s on %s, %s, %d thread%s; peak of one core %.0f GMAC/s", record["network"].get<std::string>().c_str(),
              record["cpu"].get<std::string>().c_str(), record["isa"].get<std::string>().c_str(), threads,
              threads > 1 ? "s" : "", record["peak_gmacs_per_s"].get<double>());
  if (threads > 1) std::printf(", of %d cores %.0f", threads, record["threads_peak_gmacs_per_s"].get<double>());
  std::printf("\n");
  std::printf("  %-24s %10s %10s %10s\n", "stage, ms", "median", "p95", "p99");
  for (const auto& [name, times] : record["stages"].items()) {
    print_times(name.c_str(), times);
    std::printf("\n");
  }
  if (record.contains("statistics_and_policy_share"))
    std::printf("  statistics and policy are %.1f %% of a decision\n",
                100 * record["statistics_and_policy_share"].get<double>());
  if (record.contains("policy_share_without_guard"))
    std::printf("  the policy is %.1f %% of a decision with --guard off\n", 100 * record["policy_share_without_guard"].get<double>());
  for (const Json& config : record["configs"]) {
    std::printf("%s\n", config["name"].get<std::string>().c_str());
    const auto rates = [](const Json& of) {
      std::printf("  %8.1f GMAC/s  %.2f of peak", of["gmacs_per_s"].get<double>(), of["of_peak"].get<double>());
    };
    for (const Json& layer : config["layers"]) {
      print_times(layer["name"].get<std::string>().c_str(), layer);
      rates(layer);
      std::printf("\n");
    }
    print_times("whole pass", config);
    rates(config);
    std::printf("  switching %+.4f ± %.4f ms\n", config["switching_ms"].get<double>(),
                config["switching_spread_ms"].get<double>());
    if (config.contains("priced_ms"))
      std::printf("  %-24s %10.4f  %.2f of the whole pass\n", "price list's sum", config["priced_ms"].get<double>(),
                  config["priced_over_measured"].get<double>());
  }
}

}  // namespace

int run_bench(const std::vector<std::string>& args) {
  BenchFlags flags;
  Options options = bench_options(flags);
  if (!options.parse(args)) return 0;
  const Machine machine = this_machine(active_kernels(), static_cast<int>(flags.threads));
  const Subject subject = load(flags, machine);
  BenchTimes times = measure(subject.model, wanted_configs(flags, subject.model->data()), machine.threads,
                             flags.seconds.value_or(3));
  const Json record = record_of(subject, machine, times);
  if (flags.json != "-") print_record(record);
  if (flags.json == "-")
    std::printf("%s\n", record.dump(1).c_str());
  else if (!flags.json.empty())
    write_file_atomically(flags.json, record.dump(1) + "\n");
  return 0;
}

}  // namespace bitpilot
