#pragma once

#include <string>
#include <vector>

namespace bitpilot {

enum class BitFamily { kLogistic, kTruncatedNormal };
/// "logistic" or "truncated_normal".  Throws Error(kData) that names `where` the name stands.
BitFamily bit_family(const std::string& name, const std::string& where = "policy");
const char* bit_family_name(BitFamily family);

/// A continuous distribution of one layer's bit-width.  It lives on y in (0, 1): rung r of a ladder with R rungs is the
/// cell [r / R, (r + 1) / R], its centre the rung itself; between centres bits are interpolated.
///   logistic           y = sigmoid(mean + spread * logit(u)); mean real, spread > 0.  Closed distribution function.
///   truncated normal   y = mean + spread * Phi^-1(Phi(A) + u * Z), A = -mean / spread, B = (1 - mean) / spread, Z =
///   Phi(B) - Phi(A).
/// Both are reparameterised: u ~ U(0, 1) carries the randomness, gradients pass through mean and spread.
struct BitDistribution {
  BitFamily family = BitFamily::kLogistic;
  double mean = 0;
  double spread = 0.3;

  double sample(double u) const;       ///< y; u is clamped to [1e-4, 1 - 1e-4]
  double log_density(double y) const;  ///< of y in (0, 1)
  double cdf(double y) const;
  double entropy() const;  ///< nats; closed for the truncated normal, quadrature for the logistic
  double median() const;   ///< what runs at inference time
  /// Probability of each of `rungs` rungs: cdf(upper edge) - cdf(lower edge).
  std::vector<double> rung_probabilities(int rungs) const;

  /// The distribution around the centre of a rung (or a point between rungs), `position` in 0 .. rungs - 1: the logistic's median lies
  /// there; the truncated normal's mode does, its median a little further inside where a tail is cut off.
  static BitDistribution at_position(BitFamily family, double position, int rungs, double spread);
};

/// Position in ladder steps (0 .. rungs - 1, clamped) of y, and back.
double ladder_position(double y, int rungs);
double ladder_y(double position, int rungs);
/// Bits at a position between rungs.
double bits_between(const std::vector<int>& ladder, double position);
/// Nearest rung, ties to the lower one.
int nearest_rung(double position, int rungs);

/// Mean and standard deviation of the bits, by quadrature over u.
struct BitMoments {
  double mean = 0, deviation = 0;
};
BitMoments bit_moments(const BitDistribution& distribution, const std::vector<int>& ladder);

/// Distribution function of the standard normal and its inverse (relative error below 1e-9).
double normal_cdf(double x);
double normal_quantile(double p);

}  // namespace bitpilot
