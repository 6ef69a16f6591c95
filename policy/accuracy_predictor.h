#pragma once

#include <vector>

#include "policy/small_network.h"
#include "runtime/core/network.h"

namespace bitpilot {

/// One network out of an elastic supernet: the bits of every layer and the Form of all weights.
struct Subnet {
  BitConfig config;
  Form form;
  bool operator==(const Subnet&) const = default;
};

struct PredictorOptions {
  std::vector<int> hidden{200, 200, 200, 200, 200, 200, 200};
  int epochs = 200;             ///< the source has 100 over ten times as many subnets
  int batch = 64;
  double learning_rate = 1e-3;
  std::uint64_t seed = 0;
};

/// The conditional quantisation-aware accuracy predictor: a small network from a subnet's one-hot description to its quality.
/// Inputs   2 of granularity, 2 of symmetry, then 7 of weight bits and 7 of activation bits a layer (2..8), all 0 for the first and the last layer.
/// Output   quality, higher is better, in the unit of what it was taught (accuracy, or minus the loss): the lessons' mean plus their standard
///          deviation times the network's output, for a network learns what varies by about one.
/// Source   EQ-Net, arXiv:2308.07650 (its smooth L1 loss is the squared error for errors below 1; activations' symmetry is left out).
class AccuracyPredictor {
 public:
  /// subnets, qualities [N], at least one.
  AccuracyPredictor(const std::vector<Subnet>& subnets, const std::vector<double>& qualities, const PredictorOptions& options);
  std::vector<double> predict(const std::vector<Subnet>& subnets) const;

 private:
  double mean_ = 0, deviation_ = 0;
  RealMlp network_;
};

/// Kendall's rank correlation (tau-b: ties count for neither side); 0 when one side is constant.
double kendall(const std::vector<double>& a, const std::vector<double>& b);

/// The same over pairs of like cost alone, where cost itself ranks nothing.
struct BandedCorrelation {
  double kendall = 0;
  std::size_t pairs = 0;
};
/// cost [N] > 0; a pair counts if the dearer one costs at most 1 + band times the other.
BandedCorrelation kendall_in_bands(const std::vector<double>& a, const std::vector<double>& b, const std::vector<double>& cost, double band = 0.1);

/// Mean of the weight and activation bits of the adaptive layers: the predictor to beat.
double mean_bits(const BitConfig& config, const BitSpace& space);

}  // namespace bitpilot
