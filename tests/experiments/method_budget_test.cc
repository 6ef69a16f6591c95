#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "experiments/methods/method.h"
#include "runtime/core/backbones.h"
#include "runtime/core/error.h"

using namespace bitpilot;
using nlohmann::json;

namespace {

struct Asked {
  Network network = resnet8({1, 12, 12}, 5, 16);
  BitSpace space = make_bit_space(network, {3, 4, 8}, 8);
  double least = 0;
  Asked() {
    const CostTable cost = bops_table(network, space);
    least = cost.cost(uniform_config(space, 3, 3)) / cost.reference();
  }
  /// What the method says to its settings and a stage with so many free configurations; empty if it takes them.
  std::string refusal(const json& method, int random_paths = 2) const {
    const Recipe recipe = recipe_from_json({{"paths", {{{"name", "full8"}}, {{"name", "u3"}, {"weight", 3}}}},
                                            {"supernet", {{"random_paths", random_paths}}}, {"method", method}}, "recipe");
    try {
      make_method(recipe)->check(network, space);
    } catch (const Error& error) {
      CHECK(error.code == ExitCode::kData);
      return error.what();
    }
    return "";
  }
};

}  // namespace

TEST_CASE("experiments/methods: a search's budget below the lowest bits is refused on the network alone, naming the field and the least possible") {
  const Asked asked;
  for (const char* name : {"rfquant", "eqnet"}) {
    INFO(name);
    const std::string text = asked.refusal({{"name", name}, {"budget", 0.9 * asked.least}});
    CHECK(text.find("method.budget") != std::string::npos);
    const std::size_t at = text.find("at least ");
    REQUIRE(at != std::string::npos);
    const double told = std::stod(text.substr(at + 9));
    CHECK(told >= asked.least);
    CHECK(told < asked.least * 1.002);
    CHECK(asked.refusal({{"name", name}, {"budget", told}}).empty());
  }
  // RFQuant without a search needs no budget; between nothing and a thousandth there is none.
  CHECK(asked.refusal({{"name", "rfquant"}, {"budget", 0}}).empty());
  CHECK(asked.refusal({{"name", "rfquant"}, {"budget", 5e-4}}).find("0 leaves it out") != std::string::npos);
  // Without a predictor EQ-Net searches nothing.
  CHECK(asked.refusal({{"name", "eqnet"}, {"budget", 0.9 * asked.least}, {"subnets", 0}}).empty());
}

TEST_CASE("experiments/methods: too few free configurations for what a method trains with them are refused, naming the field") {
  const Asked asked;
  CHECK(asked.refusal({{"name", "rfquant"}, {"budget", 0}}, 0).find("\"random_paths\" to 1") != std::string::npos);
  CHECK(asked.refusal({{"name", "rfquant"}, {"budget", 0}}, 1).empty());
  for (const int too_few : {0, 1}) {
    CHECK(asked.refusal({{"name", "eqnet"}, {"subnets", 0}}, too_few).find("\"random_paths\" to 2") != std::string::npos);
    CHECK(asked.refusal({{"name", "eqnet"}, {"subnets", 0}, {"guidance", false}}, too_few).empty());
  }
}
