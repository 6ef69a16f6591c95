#include "policy/integer_program.h"

#include <lpsolve/lp_lib.h>

#include <memory>
#include <numeric>

#include "runtime/core/error.h"

namespace bitpilot {
namespace {

struct Choice {
  int layer, weight, activation;
  double loss;  // above the highest configuration's
  double cost;  // of this layer, relative
};

struct FreeProgram {
  void operator()(lprec* program) const { delete_lp(program); }
};

void check(bool done) {
  if (!done) throw Error(ExitCode::kBug, "the integer program could not be built", "search --method ilp", "report this");
}

}  // namespace

SearchPoint solve_bits(const Sensitivity& sensitivity, const DrawSpace& from, double budget) {
  check_budget(from, budget);
  const CostTable& cost = from.cost;
  const BitConfig& highest = sensitivity.highest.config;
  std::vector<Choice> choices;
  double fixed_cost = cost.cost(highest);
  for (const LayerSensitivity& layer : sensitivity.layers) {
    fixed_cost -= cost.layer_cost(layer.layer, highest);
    for (const SearchPoint& point : layer.only) {
      const LayerBits& bits = point.config[static_cast<std::size_t>(layer.layer)];
      choices.push_back({layer.layer, bits.weight, bits.activation, point.loss - sensitivity.highest.loss,
                         cost.layer_cost(layer.layer, point.config) / cost.reference()});
    }
  }
  const int count = static_cast<int>(choices.size());
  const std::unique_ptr<lprec, FreeProgram> program(make_lp(0, count));
  check(program != nullptr);
  set_verbose(program.get(), NEUTRAL);
  set_add_rowmode(program.get(), TRUE);
  std::vector<REAL> losses, costs;
  for (const Choice& choice : choices) {
    losses.push_back(choice.loss);
    costs.push_back(choice.cost);
  }
  std::vector<int> columns(choices.size());
  std::iota(columns.begin(), columns.end(), 1);
  check(set_obj_fnex(program.get(), count, losses.data(), columns.data()));
  check(add_constraintex(program.get(), count, costs.data(), columns.data(), LE, budget - fixed_cost / cost.reference()));
  for (std::size_t from = 0; from < choices.size();) {
    std::vector<int> own;
    for (std::size_t i = from; i < choices.size() && choices[i].layer == choices[from].layer; ++i) own.push_back(columns[i]);
    std::vector<REAL> ones(own.size(), 1.0);
    check(add_constraintex(program.get(), static_cast<int>(own.size()), ones.data(), own.data(), EQ, 1));
    from += own.size();
  }
  set_add_rowmode(program.get(), FALSE);
  for (const int column : columns) check(set_binary(program.get(), column, TRUE));
  set_minim(program.get());
  const int status = solve(program.get());
  if (status != OPTIMAL)
    throw Error(ExitCode::kBug, "the integer program has no solution: status " + std::to_string(status), "search --method ilp", "report this");
  std::vector<REAL> values(choices.size());
  check(get_variables(program.get(), values.data()));
  SearchPoint result;
  result.config = highest;
  result.loss = sensitivity.highest.loss;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (values[i] < 0.5) continue;
    LayerBits& bits = result.config[static_cast<std::size_t>(choices[i].layer)];
    bits.weight = choices[i].weight;
    bits.activation = choices[i].activation;
    result.loss += choices[i].loss;
  }
  result.relative = from.relative(result.config);
  return result;
}

}  // namespace bitpilot
