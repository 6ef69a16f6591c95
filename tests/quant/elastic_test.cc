#include "quant/elastic.h"

#include <doctest/doctest.h>

#include "quant/training_loop.h"
#include "runtime/core/backbones.h"
#include "runtime/core/integer.h"

using namespace bitpilot;
using torch::Tensor;

namespace {

constexpr int kLayer = 2;

struct Elastic {
  Network network = resnet8({1, 12, 12}, 5, 16);
  BitSpace space = make_bit_space(network, {2, 3, 4, 8}, 8);
  QuantizedNetwork supernet{network, space, {{"full8", uniform_config(space, 8, 8)}, {"u2", uniform_config(space, 2, 2)}}, /*quantized=*/true, 7};
  TrainingBatch batch;
  std::shared_ptr<ElasticSteps> steps;

  Elastic() {
    torch::manual_seed(11);
    batch = {torch::rand({20, 1, 12, 12}), torch::empty({20}, torch::kLong)};
    for (int i = 0; i < 20; ++i) batch.labels[i] = i % 5;
    QuantizedNetwork float_network(network, space, {{"float", uniform_config(space, 8, 8)}}, /*quantized=*/false, 7);
    supernet.start_from(float_network, batch.src);
    // Off the middle, so that a zero point is worth having.
    for (auto& [name, tensor] : supernet.parameters())
      if (name.ends_with(".weight")) tensor.detach().add_(0.3 * tensor.detach().std());
    steps = std::make_shared<ElasticSteps>(network, space, supernet.parameters());
  }
  std::vector<Tensor> weights() const {
    std::vector<Tensor> list;
    for (int l = 0; l < network.layer_count(); ++l)
      for (const auto& [name, tensor] : supernet.parameters())
        if (name == network.layer(l).name + ".weight") list.push_back(tensor);
    return list;
  }
  Tensor log_step() const {
    for (const auto& [name, tensor] : supernet.parameters())
      if (name == network.layer(kLayer).name + ".log_step") return tensor.detach();
    return {};
  }
  std::shared_ptr<ElasticQuantizers> of(const Form& form) const {
    return std::make_shared<ElasticQuantizers>(steps, std::vector<Form>(static_cast<std::size_t>(network.layer_count()), form));
  }
};

double error(const Tensor& quantized, const Tensor& weight) { return (quantized - weight).square().mean().item<double>(); }

}  // namespace

TEST_CASE("quant/elastic: for every Form and width the codes are the pass's weights, inside the range, and more bits err less") {
  const Elastic elastic;
  const Tensor weight = elastic.weights()[kLayer].detach(), log_step = elastic.log_step();
  for (const Form& form : elastic_forms()) {
    double before = 1e9;
    for (const int bits : {2, 3, 4, 8}) {
      INFO(form_name(form), ", ", bits, " bits");
      const Tensor quantized = elastic.of(form)->weights(kLayer, weight, log_step, bits).detach();
      CHECK(error(quantized, weight) < before);
      before = error(quantized, weight);
      const std::optional<WeightCodes> codes = elastic.of(form)->codes(kLayer, weight, bits);
      REQUIRE(codes.has_value() == (form != Form{}));
      if (!codes) {
        CHECK(torch::equal(quantized, quantize_weights(weight, log_step, bits)));
        continue;
      }
      CHECK((codes->form == form));
      CHECK(torch::equal((codes->codes.to(torch::kFloat) - codes->zero_point) * codes->step.view({-1, 1, 1, 1}), quantized));
      CHECK(codes->codes.min().item<int>() >= integer::signed_lowest(bits));
      CHECK(codes->codes.max().item<int>() <= integer::signed_highest(bits));
      CHECK((codes->zero_point != 0) == (form.symmetry == Symmetry::kAsymmetric));
      CHECK((codes->step.min().item<float>() == codes->step.max().item<float>()) == (form.granularity == Granularity::kTensor));
    }
  }
  const auto at = [&](Granularity granularity, Symmetry symmetry) {
    return error(elastic.steps->quantize(kLayer, weight, {granularity, symmetry}, 3).detach(), weight);
  };
  // The finer Form never starts worse, and a zero point pays where the weights are off the middle.
  CHECK(at(Granularity::kChannel, Symmetry::kAsymmetric) <= at(Granularity::kTensor, Symmetry::kAsymmetric));
  CHECK(at(Granularity::kTensor, Symmetry::kAsymmetric) < at(Granularity::kTensor, Symmetry::kSymmetric));
}

TEST_CASE("quant/elastic: weights all on one side of zero, and a filter of zeros, have codes of every Form") {
  const Elastic elastic;
  for (const auto& [name, tensor] : elastic.supernet.parameters())
    if (name.ends_with(".weight")) {
      Tensor weight = tensor.detach();
      weight.copy_(weight.abs() + 0.1);
      weight[0].zero_();
    }
  const ElasticSteps steps(elastic.network, elastic.space, elastic.supernet.parameters());
  const Tensor weight = elastic.weights()[kLayer].detach();
  for (const Form& form : elastic_forms()) {
    if (form == Form{}) continue;
    INFO(form_name(form));
    const Tensor quantized = steps.quantize(kLayer, weight, form, 4).detach();
    CHECK(quantized.isfinite().all().item<bool>());
    CHECK(quantized[0].abs().max().item<float>() == 0);
    // Fifteen steps between zero and the largest weight: half a step each way at most inside the range; symmetric codes have seven.
    const double steps_above = form.symmetry == Symmetry::kAsymmetric ? 15 : 7;
    CHECK((quantized - weight).abs().mean().item<double>() < weight.max().item<double>() / steps_above / 2);
  }
}

TEST_CASE("quant/elastic: gradients of weight, step and zero point are the closed forms, inside the range and beyond it") {
  const Elastic elastic;
  const Form form{Granularity::kTensor, Symmetry::kAsymmetric};
  constexpr int kBits = 3;
  Tensor weight = elastic.weights()[kLayer].detach().clone().requires_grad_(true);
  Tensor log_step, zero;
  for (const auto& [name, tensor] : elastic.steps->parameters()) {
    const std::string key = "elastic." + elastic.network.layer(kLayer).name + "." + form_name(form) + "." + std::to_string(kBits);
    if (name == key + ".log_step") log_step = tensor;
    if (name == key + ".zero_point") zero = tensor;
  }
  elastic.steps->quantize(kLayer, weight, form, kBits).sum().backward();
  const double s = log_step.exp().item<double>(), z = zero.item<double>();
  const double low = integer::signed_lowest(kBits) - z, high = integer::signed_highest(kBits) - z;
  const Tensor v = weight.detach() / s;
  const Tensor below = v < low, above = v > high, inside = ~below & ~above;
  REQUIRE((below.any().item<bool>() || above.any().item<bool>()));
  CHECK(torch::allclose(weight.grad(), inside.to(torch::kFloat)));
  const double scale = 1 / std::sqrt(static_cast<double>(weight.numel()) * integer::signed_highest(kBits));
  const double of_step = torch::where(inside, v.round() - v, below * low + above * high).sum().item<double>() * s * scale;
  CHECK(log_step.grad().item<double>() == doctest::Approx(of_step).epsilon(1e-3));
  const double of_zero = -s * (below | above).sum().item<double>() * scale;
  CHECK(zero.grad().item<double>() == doctest::Approx(of_zero).epsilon(1e-3));
}

TEST_CASE("quant/elastic: switching the symmetry alone changes the scores and leaves the shared weights bit for bit") {
  Elastic elastic;
  std::vector<Tensor> before;
  for (const Tensor& weight : elastic.weights()) before.push_back(weight.detach().clone());
  const Tensor stem = elastic.supernet.stem(elastic.batch.src, {/*batch_statistics=*/false, /*momentum=*/0});
  const BitConfig config = uniform_config(elastic.space, 3, 4);
  const auto scores = [&](Symmetry symmetry) {
    return elastic.supernet.forward_config(config, stem, elastic.of({Granularity::kChannel, symmetry}).get());
  };
  const Tensor symmetric = scores(Symmetry::kSymmetric);
  CHECK_FALSE(torch::equal(symmetric, scores(Symmetry::kAsymmetric)));
  CHECK(torch::equal(symmetric, scores(Symmetry::kSymmetric)));
  for (std::size_t l = 0; l < before.size(); ++l) CHECK(torch::equal(before[l], elastic.weights()[l].detach()));
}

TEST_CASE("quant/elastic: a step of training moves the steps of the Forms and widths that ran, and no others") {
  Elastic elastic;
  const Form other{Granularity::kTensor, Symmetry::kAsymmetric};
  elastic.supernet.set_quantizers(elastic.of({}));
  TrainingOptions options;
  options.paths = {0};
  options.random_paths = 1;
  options.teaching = Teaching::kPrevious;
  options.free_paths = [&](std::uint64_t) { return FreePath{uniform_config(elastic.space, 3, 4), elastic.of(other), {}}; };
  NamedTensors before;
  for (const auto& [name, tensor] : elastic.steps->parameters()) before.emplace_back(name, tensor.detach().clone());
  TrainingLoop loop(&elastic.supernet, nullptr, 2, options);
  loop.step(elastic.batch, {});
  const NamedTensors after = elastic.steps->parameters();
  for (std::size_t i = 0; i < after.size(); ++i) {
    const std::string& name = after[i].first;
    const bool ran = name.find(".tensor/asymmetric.3.") != std::string::npos;
    INFO(name);
    if (!ran) CHECK(torch::equal(before[i].second, after[i].second.detach()));
    if (ran && name.ends_with(".log_step")) CHECK_FALSE(torch::equal(before[i].second, after[i].second.detach()));
  }
  for (const auto& [name, tensor] : after)
    if (name.ends_with(".zero_point")) tensor.detach().fill_(1000);
  elastic.supernet.constrain();
  for (const auto& [name, tensor] : after)
    if (name.ends_with(".2.zero_point")) CHECK(tensor.item<float>() == 1);
}

TEST_CASE("quant/elastic: in a chain of subnets each one learns from the labels and from the one before it, in that one's own Form") {
  Elastic elastic;
  elastic.supernet.set_quantizers(elastic.of({Granularity::kTensor, Symmetry::kSymmetric}));
  const std::vector<FreePath> free{{uniform_config(elastic.space, 3, 4), elastic.of({Granularity::kTensor, Symmetry::kAsymmetric}), {}},
                                   {uniform_config(elastic.space, 2, 2), elastic.of({Granularity::kChannel, Symmetry::kAsymmetric}), {}}};
  const ForwardMode mode{/*batch_statistics=*/true, /*momentum=*/0};
  const Tensor stem = elastic.supernet.stem(elastic.batch.src, mode);
  const Tensor scores[] = {elastic.supernet.forward(0, stem, mode), elastic.supernet.forward_config(free[0].config, stem, free[0].quantizers.get()),
                           elastic.supernet.forward_config(free[1].config, stem, free[1].quantizers.get())};
  TrainingOptions options;
  options.paths = {0};
  options.random_paths = 2;
  options.label_share = 0.25;
  options.teaching = Teaching::kPrevious;
  options.free_paths = [&](std::uint64_t index) { return free[index]; };
  const std::vector<double> losses = TrainingLoop(&elastic.supernet, nullptr, 1, options).step(elastic.batch, {});
  REQUIRE(losses.size() == 3);
  const Tensor labels = torch::one_hot(elastic.batch.labels, 5).to(torch::kFloat);
  for (std::size_t j = 0; j < 3; ++j) {
    const Tensor target = j == 0 ? labels : 0.25 * labels + 0.75 * torch::softmax(scores[j - 1].detach(), 1);
    INFO("subnet ", j);
    CHECK(losses[j] == doctest::Approx(-(target * torch::log_softmax(scores[j].detach(), 1)).sum(1).mean().item<double>()).epsilon(1e-5));
  }
}

TEST_CASE("quant/elastic: every layer draws its own Form evenly, from those that are offered alone") {
  const std::vector<Form> from{elastic_forms()[1], elastic_forms()[2], elastic_forms()[3]};
  int first[3] = {}, alike = 0;
  for (std::uint64_t i = 0; i < 300; ++i) {
    const std::vector<Form> forms = draw_forms(from, 4, Random(3, "Forms", i));
    REQUIRE(forms.size() == 4);
    for (const Form& form : forms) CHECK_FALSE((form == Form{}));
    for (int k = 0; k < 3; ++k) first[k] += forms.front() == from[k];
    alike += forms[0] == forms[1];
  }
  for (const int count : first) CHECK(count > 60);  // of 100 expected: five standard deviations
  CHECK(alike > 60);
  CHECK(alike < 140);
}

TEST_CASE("quant/elastic: the lowest subnet has every adaptive layer's fewest bits at the path's widths") {
  const Network network = resnet8({1, 12, 12}, 5, 16);
  BitSpace space = make_bit_space(network, {2, 3, 4, 8}, 8);
  space.layers[3].bits = {3, 8};
  const BitConfig half = uniform_config(space, 8, 4, 0.5), low = lowest_bits(half, space);
  for (std::size_t l = 0; l < low.size(); ++l) {
    CHECK(low[l].active_blocks == half[l].active_blocks);
    const int want = space.layers[l].fixed ? 8 : l == 3 ? 3 : 2;
    CHECK(low[l].weight == want);
    CHECK(low[l].activation == want);
  }
}
