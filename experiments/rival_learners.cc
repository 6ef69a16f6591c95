#include "experiments/rival_learners.h"

#include <algorithm>

#include "experiments/finished_supernet.h"
#include "experiments/network_simulator.h"
#include "policy/bucket_table.h"
#include "policy/ddpg.h"
#include "policy/fracbits.h"
#include "policy/gumbel.h"
#include "policy/hybrid_learner.h"
#include "policy/ppo.h"
#include "policy/random_bits.h"
#include "policy/reinforce.h"
#include "policy/two_looks.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

using nlohmann::json;

constexpr int kPoints = 12, kFewPoints = 6;  // of a curve; few where every point runs the engine
constexpr int kBuckets = 5;
constexpr std::size_t kStrategyPictures = 512;  // that DDPG judges a strategy on
constexpr double kIntegerBops = 64, kAddBops = 32;  // as PolicyHead counts: 8-bit products, additions to int32 sums

double as_relative(const RivalGround& ground, double bops) { return bops / ground.bops.reference(); }

/// What a network on statistics and stem means costs when it runs `times` times a picture, counted as the policy's own.
double controller_cost(const RivalGround& ground, const RealMlp& network, int times) {
  const Shape input = ground.data().network.input_shape(), stem = ground.data().network.layer(0).shape;
  double macs = 0;
  for (const RealLayer& layer : network) macs += static_cast<double>(layer.inputs) * layer.outputs;
  return as_relative(ground, statistics_bops(input.height, input.width) + kAddBops * stem.channels * stem.height * stem.width +
                                 kIntegerBops * macs * times);
}

/// The two-look learners: what they share is the process, the price and how their policy decides.
template <class Options>
LearnedRival learn_episodes(const RivalGround& ground, const RivalRequest& request, RealMlp (*fit)(EpisodeProcess&, const Options&)) {
  const auto standardiser = std::make_shared<Standardiser>(Standardiser::of(ground.policy.table, ground.data()));
  TwoLooks process(ground.policy.table, ground.data(), ground.costs, *standardiser);
  Options options;
  options.evaluations = request.evaluations > 0 ? request.evaluations : 600000;
  options.lambda_low = options.lambda_high = ground.lambda;
  options.seed = request.seed;
  const auto decide_by = [&ground, standardiser](const RealMlp& network) -> Decide {
    return [&ground, standardiser, network](const KnownPictures& pictures) {
      TwoLooks shown(pictures.table, ground.data(), ground.costs, *standardiser);
      return outcomes_of(ground, pictures.table, greedy_choices(shown, network, ground.lambda), controller_cost(ground, network, 2));
    };
  };
  LearningCurve curve(ground, options.evaluations, kPoints);
  curve.charge_passes(ground.pass_seconds);
  options.on_update = [&](const RealMlp& network, std::int64_t spent) {
    curve.update(spent, [&] { return decide_by(network); });
  };
  const RealMlp network = fit(process, options);
  const std::int64_t spent = process.evaluations();
  return {decide_by(network), spent, curve.seconds() + ground.pass_seconds * static_cast<double>(spent), curve.points(), {}};
}

/// Our own learner, on ever more of the policy split: full information, every anchor on every picture, those that it chooses by included.
LearnedRival learn_hybrid(const RivalGround& ground, const RivalRequest& request) {
  const auto anchors = static_cast<std::int64_t>(ground.data().anchors.size());
  const auto most = static_cast<std::int64_t>(ground.policy.table.size()), checks = static_cast<std::int64_t>(ground.check.table.size());
  const auto check_rows = [&](std::int64_t rows) { return std::min(checks, std::max<std::int64_t>(100, rows / 3)); };
  LearnedRival learned;
  std::int64_t rows = 100;
  for (bool last = false; !last; rows *= 2) {
    rows = std::min(rows, most);
    const std::int64_t spent = (rows + check_rows(rows)) * anchors;
    const std::int64_t next = std::min(2 * rows, most);
    last = rows == most || (request.evaluations > 0 && (next + check_rows(next)) * anchors > request.evaluations);
    auto model = std::make_shared<ModelData>(ground.data());
    PolicyOptions options;
    options.seed = request.seed;
    options.reference_anchor = ground.recipe.policy.reference;
    options.error_weights = {0.0};  // the reward knows the loss alone
    LearningCurve alone(ground, 1, 1);  // the time of this fit, not of the smaller ones before it
    alone.charge_passes(ground.pass_seconds);
    const PolicyResult result = fit_policy(*model, options, ground.policy.table.rows(0, static_cast<std::size_t>(rows)),
                                           ground.check.table.rows(0, static_cast<std::size_t>(check_rows(rows))));
    learned.seconds = alone.seconds() + ground.pass_seconds * static_cast<double>(spent);
    learned.decide = [&ground, model](const KnownPictures& pictures) {
      const PolicySweep sweep(*model, pictures.table, 0);
      return outcomes_of(ground, pictures.table, sweep.choose(ground.lambda), policy_relative_cost(*model));
    };
    learned.evaluations = spent;
    alone.add(spent, learned.decide);
    learned.curve.push_back(alone.points().back());
    learned.details = {{"pictures", rows}, {"chosen_on", check_rows(rows)}, {"dropped", result.dropped}};
  }
  return learned;
}

/// Decisions that are configurations of their own and must be executed.
Decide decide_configs(const RivalGround& ground, double policy_cost, const std::function<std::vector<BitConfig>(const KnownPictures&)>& configs_of) {
  return [&ground, policy_cost, configs_of](const KnownPictures& pictures) {
    const std::vector<BitConfig> configs = configs_of(pictures);
    PictureOutcomes outcomes = run_configs(ground.model, ground.bops, pictures.table.size(), pictures.at,
                                           [&](std::size_t i) -> const BitConfig& { return configs[i]; }, ground.threads);
    for (double& relative : outcomes.relative) relative += policy_cost;
    return outcomes;
  };
}
Decide decide_static(const RivalGround& ground, const BitConfig& config) {
  return decide_configs(ground, 0, [config](const KnownPictures& pictures) { return std::vector<BitConfig>(pictures.table.size(), config); });
}

/// The trained supernet with its simulator.
struct Simulated {
  std::unique_ptr<QuantizedNetwork> supernet;
  NetworkSimulator simulator;
  explicit Simulated(const RivalGround& ground)
      : supernet(read_supernet(ground.run, ground.recipe, ground.splits)), simulator(supernet.get()) {}
};

LearnedRival learn_gumbel(const RivalGround& ground, const RivalRequest& request) {
  Simulated simulated(ground);
  const auto standardiser = std::make_shared<Standardiser>(Standardiser::of(ground.policy.table, ground.data()));
  GumbelOptions options;
  if (request.evaluations > 0) options.evaluations = request.evaluations;
  options.lambda = ground.lambda;
  options.seed = request.seed;
  const auto decide_by = [&ground, standardiser](const RealMlp& network) {
    return decide_configs(ground, controller_cost(ground, network, 1), [&ground, standardiser, network](const KnownPictures& pictures) {
      return gumbel_configs(ground.data(), network, standardised_features(pictures.table, ground.data(), *standardiser));
    });
  };
  LearningCurve curve(ground, options.evaluations, kFewPoints);
  std::int64_t spent = 0;
  options.on_update = [&](const RealMlp& network, std::int64_t now) {
    spent = now;
    curve.update(now, [&] { return decide_by(network); });
  };
  const RealMlp network = fit_gumbel(ground.data(), ground.bops, standardised_features(ground.policy.table, ground.data(), *standardiser),
                                     ground.policy.at, simulated.simulator, options);
  return {decide_by(network), spent, curve.seconds(), curve.points(), {}};
}

json static_details(const RivalGround& ground, const BitConfig& config) {
  return {{"bits", to_string(config, ground.data().space)}, {"budget", ground.budget},
          {"relative", ground.bops.cost(config) / ground.bops.reference()}};
}

LearnedRival learn_fracbits(const RivalGround& ground, const RivalRequest& request) {
  Simulated simulated(ground);
  FracBitsOptions options;
  options.budget = ground.budget;
  if (request.evaluations > 0) options.evaluations = request.evaluations;
  options.seed = request.seed;
  LearningCurve curve(ground, options.evaluations, kFewPoints);
  std::int64_t spent = 0;
  options.on_update = [&](const std::function<BitConfig()>& hardened, std::int64_t now) {
    spent = now;
    curve.update(now, [&] { return decide_static(ground, hardened()); });
  };
  const BitConfig config =
      fit_fracbits(ground.data(), ground.bops, ground.policy.table.size(), ground.policy.at, simulated.simulator, options);
  return {decide_static(ground, config), spent, curve.seconds(), curve.points(), static_details(ground, config)};
}

LearnedRival learn_ddpg(const RivalGround& ground, const RivalRequest& request) {
  const std::size_t count = std::min(kStrategyPictures, ground.policy.table.size());
  auto samples = std::make_shared<std::vector<Sample>>();
  for (std::size_t i = 0; i < count; ++i) samples->push_back(ground.policy.at(i));
  const auto passes = static_cast<std::int64_t>(count);
  DdpgOptions options;
  options.budget = ground.budget;
  if (request.evaluations > 0) options.episodes = static_cast<int>(std::max<std::int64_t>(1, request.evaluations / passes - 1));
  options.seed = request.seed;
  LearningCurve curve(ground, passes * (options.episodes + 1), kFewPoints);
  options.on_episode = [&](const SearchPoint& best, int judged) {
    curve.update(passes * judged, [&] { return decide_static(ground, best.config); });
  };
  const ModelData& data = ground.data();
  const DdpgResult result = fit_ddpg(data.network, data.space, ground.bops, engine_judge(ground.model, samples, ground.threads), options);
  json details = static_details(ground, result.best.config);
  details["strategies"] = result.evaluations;
  details["pictures"] = count;
  return {decide_static(ground, result.best.config), passes * result.evaluations, curve.seconds(), curve.points(), std::move(details)};
}

std::vector<float> severities(const RivalGround& ground, const OutcomeTable& table) {
  const PolicyHead head(ground.data());
  PolicyScratch scratch;
  std::vector<float> severity;
  for (std::size_t i = 0; i < table.size(); ++i) severity.push_back(head.observe(table.statistics_of(i), table.stem_of(i), scratch).severity);
  return severity;
}

LearnedRival learn_buckets(const RivalGround& ground, int buckets) {
  const auto seen = [&ground, buckets](const OutcomeTable& table) {
    return buckets > 1 ? severities(ground, table) : std::vector<float>(table.size(), 0.0F);
  };
  LearningCurve curve(ground, 1, 1);
  curve.charge_passes(ground.pass_seconds);
  const OutcomeTable& table = ground.policy.table;
  const BucketTable rules = fit_bucket_table(table, ground.temperatures, ground.costs, seen(table), buckets, ground.lambda);
  const auto spent = static_cast<std::int64_t>(table.size() * table.anchors);
  // The quality score is the run's own estimate; without buckets nothing but a look's confidence is computed, and of a single look not that.
  const double confidence = confidence_bops(static_cast<std::size_t>(ground.data().network.classes())) / ground.bops.reference();
  const double policy_cost = buckets > 1 ? policy_relative_cost(ground.data()) : rules.rules.front().second >= 0 ? confidence : 0.0;
  const Decide decide = [&ground, rules, seen, policy_cost](const KnownPictures& pictures) {
    return outcomes_of(ground, pictures.table, bucket_choices(rules, pictures.table, ground.temperatures, seen(pictures.table)), policy_cost);
  };
  json details{{"edges", rules.edges}, {"rules", json::array()}};
  const auto name = [&](int anchor) { return ground.data().anchors[static_cast<std::size_t>(anchor)].name; };
  for (const Cascade& rule : rules.rules) {
    details["rules"].push_back({{"first", name(rule.first)}});
    if (rule.second >= 0) details["rules"].back().update({{"second", name(rule.second)}, {"threshold", rule.threshold}});
  }
  const double seconds = curve.seconds() + ground.pass_seconds * static_cast<double>(spent);
  curve.add(spent, decide);
  return {decide, spent, seconds, curve.points(), std::move(details)};
}

LearnedRival learn_oracle(const RivalGround& ground) {
  const Decide decide = [&ground](const KnownPictures& pictures) {
    return outcomes_of(ground, pictures.table, oracle_choices(pictures.table, ground.temperatures, ground.costs, ground.lambda), 0);
  };
  return {decide, 0, 0, json::array(), {{"note", "knows every label and every anchor's answer: an upper bound, not a rival"}}};
}

LearnedRival learn_random(const RivalGround& ground, std::uint64_t seed) {
  const Decide decide = decide_configs(ground, 0, [&ground, seed](const KnownPictures& pictures) {
    return random_bits(ground.data().space, ground.bops, ground.budget, pictures.table.size(), seed);
  });
  return {decide, 0, 0, json::array(), {{"budget", ground.budget}}};
}

}  // namespace

LearningCurve::LearningCurve(const RivalGround& ground, std::int64_t evaluations, int points)
    : ground_(ground), step_(std::max<std::int64_t>(1, evaluations / points)), due_(step_) {}

double LearningCurve::seconds() const { return static_cast<double>(std::clock() - begin_) / CLOCKS_PER_SEC - paused_; }

void LearningCurve::update(std::int64_t spent, const std::function<Decide()>& learned) {
  if (spent < due_) return;
  while (due_ <= spent) due_ += step_;
  add(spent, learned());
}

void LearningCurve::add(std::int64_t spent, const Decide& decide) {
  const double learning = seconds();
  const PictureOutcomes outcomes = decide(ground_.judge);
  double correct = 0, relative = 0;
  const double n = static_cast<double>(outcomes.correct.size());
  for (std::size_t i = 0; i < outcomes.correct.size(); ++i) {
    correct += outcomes.correct[i] / n;
    relative += outcomes.relative[i] / n;
  }
  points_.push_back({{"evaluations", spent},
                     {"seconds", learning + pass_seconds_ * static_cast<double>(spent)},
                     {"reward", ground_.reward(outcomes)},
                     {"accuracy", correct},
                     {"relative", relative}});
  paused_ += seconds() - learning;
}

const std::vector<std::string>& rival_methods() {
  static const std::vector<std::string> names{"hybrid", "reinforce", "ppo",    "ddpg",   "gumbel",
                                              "fracbits", "bucket",  "random", "oracle", "cascade"};
  return names;
}

LearnedRival learn_rival(const RivalGround& ground, const RivalRequest& request) {
  if (request.method == "hybrid") return learn_hybrid(ground, request);
  if (request.method == "reinforce") return learn_episodes<EpisodeReinforceOptions>(ground, request, fit_reinforce);
  if (request.method == "ppo") return learn_episodes<PpoOptions>(ground, request, fit_ppo);
  if (request.method == "ddpg") return learn_ddpg(ground, request);
  if (request.method == "gumbel") return learn_gumbel(ground, request);
  if (request.method == "fracbits") return learn_fracbits(ground, request);
  if (request.method == "bucket") return learn_buckets(ground, kBuckets);
  if (request.method == "cascade") return learn_buckets(ground, 1);
  if (request.method == "random") return learn_random(ground, request.seed);
  if (request.method == "oracle") return learn_oracle(ground);
  throw Error(ExitCode::kBug, "there is no learner called \"" + request.method + "\"", "learn_rival", "report this");
}

}  // namespace bitpilot
