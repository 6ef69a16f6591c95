// The model that comes with the source, on real degraded pictures: what training evaluates is what every machine runs.
#include <doctest/doctest.h>

#include "data/batch_loader.h"
#include "experiments/training_data.h"
#include "quant/integer_evaluation.h"
#include "runtime/adaptive.h"
#include "runtime/engine/engine.h"
#include "runtime/format/model_file.h"
#include "tests/support/trace_difference.h"

using namespace bitpilot;
using bitpilot::testing::first_difference;
using bitpilot::testing::supported_kernels;

namespace {

constexpr int kPictures = 256;

ModelData committed_model() {
  return read_model(std::string(BITPILOT_SOURCE_DIR) + "/experiments/models/fashion_mnist.safetensors");
}

/// Test pictures, half degraded by seen families (a third of them clean), half by held-out ones.
std::vector<Sample> pictures(const ModelData& model) {
  const auto set = open_splits("fashion-mnist", nullptr).test;
  std::vector<Sample> samples;
  for (int i = 0; i < kPictures; ++i) {
    const LoaderOptions options = evaluation_options(i % 2 ? EvaluationSet::kHeldOut : EvaluationSet::kSeen);
    samples.push_back(make_sample(*set, static_cast<std::size_t>(i) * 37, 0, standard_mixture(), model.network.input_shape(),
                                  model.preprocessing.stretch, options));
  }
  return samples;
}

std::vector<std::uint8_t> codes_of(const std::vector<Sample>& samples) {
  std::vector<std::uint8_t> codes;
  for (const Sample& sample : samples)
    codes.insert(codes.end(), sample.prepared.codes.begin(), sample.prepared.codes.end());
  return codes;
}

}  // namespace

TEST_CASE("parity/committed_model: every node's codes and the scores are equal on 256 degraded pictures, on every ISA") {
  const ModelData model = committed_model();
  const std::vector<Sample> samples = pictures(model);
  const std::vector<std::uint8_t> codes = codes_of(samples);
  for (const Kernels* kernels : supported_kernels()) {
    Session session(std::make_shared<Model>(model, kernels));
    for (const Anchor& anchor : model.anchors) {
      const IntegerEvaluation reference = evaluate_integer(model, anchor.config, codes, /*with_traces=*/true);
      for (std::size_t p = 0; p < samples.size(); ++p) {
        INFO(std::string(kernels->name), ", ", anchor.name, ", picture ", p);
        const std::vector<CodeTrace> trace = session.trace(samples[p].prepared.codes, anchor.config);
        REQUIRE(first_difference(trace, reference.traces[p]) == "");
        const auto scores = session.look(anchor.config);
        REQUIRE(std::vector<float>(scores.begin(), scores.end()) == reference.scores[p]);
      }
    }
  }
}

TEST_CASE("parity/committed_model: every ISA decides alike, with several kinds of decisions among 256 pictures") {
  const ModelData model = committed_model();
  REQUIRE(PolicyHead::has_policy(model));
  const std::vector<Sample> samples = pictures(model);
  std::vector<AdaptiveSession> sessions;
  for (const Kernels* kernels : supported_kernels()) sessions.emplace_back(std::make_shared<Model>(model, kernels));
  int one_look = 0, two_looks = 0;
  for (const Sample& sample : samples) {
    const DecisionRule rule{std::nullopt, model.default_lambda};
    const Decision expected = sessions.front().decide(sample.prepared, rule);
    (expected.looks.size() == 1 ? one_look : two_looks) += 1;
    for (AdaptiveSession& session : sessions) {
      const Decision decision = session.decide(sample.prepared, rule);
      INFO("picture ", sample.index);
      REQUIRE(decision.looks.size() == expected.looks.size());
      for (std::size_t k = 0; k < decision.looks.size(); ++k)
        CHECK(name_of(decision.looks[k], model) == name_of(expected.looks[k], model));
      CHECK(decision.scores.size() == expected.scores.size());
      CHECK(std::equal(decision.scores.begin(), decision.scores.end(), expected.scores.begin()));
      CHECK(decision.confidence == expected.confidence);
      CHECK(decision.bops == expected.bops);
    }
  }
  CHECK(one_look > 10);
  CHECK(two_looks > 10);
}
