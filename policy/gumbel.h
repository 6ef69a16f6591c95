#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "env/outcomes.h"
#include "policy/small_network.h"
#include "runtime/core/cost.h"

namespace bitpilot {

class Simulator;

struct GumbelOptions {
  std::int64_t evaluations = 48000;  ///< simulated passes, one for each picture of each batch
  int batch = 64;
  int hidden = 64;
  double temperature = 1;      ///< of the Gumbel-softmax
  double learning_rate = 1e-3; ///< of Adam, falls to 0 by a cosine
  double lambda = 1;           ///< price of relative cost
  std::uint64_t seed = 0;
  std::function<void(const RealMlp&, std::int64_t)> on_update;  ///< controller and evaluations spent
};

/// The controller of DQNet on a frozen supernet: states -> one categorical a layer over its candidates, weights and
/// activations sharing the choice; hard Gumbel-softmax samples run through the simulator, which gives every candidate its
/// own straight-through gradient.  What differs from DQNet: all candidates of the ladder instead of three around a target,
/// the price of cost instead of a target of mean bits, and the state of the other learners instead of a feature map.
/// states [N][F] standardised, row i of picture sample_at(i).  The normalisation is that of the anchor nearest to the
/// sample, so a mix far from all anchors meets a calibration that is not its own (as it does in the engine).
/// Source: Liu et al., Instance-Aware Dynamic Neural Network Quantization, CVPR 2022.
RealMlp fit_gumbel(const ModelData& model, const CostTable& cost, const Rows& states, const SampleAt& sample_at,
                   Simulator& simulator, const GumbelOptions& options);

/// The likeliest configuration of every state.
std::vector<BitConfig> gumbel_configs(const ModelData& model, const RealMlp& controller, const Rows& states);

}  // namespace bitpilot
