#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitpilot {

/// One drawn degradation.  severity 0 and family "clean": the picture itself.
struct Draw {
  std::string family = "clean";
  int severity = 0;
  std::uint64_t seed = 0;
};

/// Purpose of the draws that evaluations judge by, a training's own and `bitpilot eval`'s alike.
inline constexpr std::string_view kEvaluationPurpose = "evaluation";

/// Which degradations with which probability: experiments/configs/mixture.json.
struct Mixture {
  std::vector<std::string> seen, held_out;
  double clean_share = 1.0 / 3.0;
  std::string hash;  ///< "sha256:…" of the file's bytes
  /// The draw for one sample: `held` picks among held_out families instead of seen ones.  Keyed by (seed, purpose,
  /// index).
  Draw draw(std::uint64_t seed, std::string_view purpose, std::uint64_t index, bool held = false) const;
};

/// Strict: an unknown key or family is Error(kData) naming the nearest known one.
Mixture read_mixture(const std::string& path);
Mixture parse_mixture(const std::string& text, const std::string& where);
/// The frozen mixture of the design, compiled in (equal to experiments/configs/mixture.json; a test checks it).
const Mixture& standard_mixture();

}  // namespace bitpilot
