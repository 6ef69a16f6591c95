#pragma once

#include "env/outcomes.h"

namespace bitpilot {

/// The temperature in [0.25, 4] with the least mean negative log-likelihood of an anchor's scores on `table`
/// (golden-section search over its logarithm; the likelihood is unimodal there).  Source: Guo et al., On Calibration of
/// Modern Neural Networks, arXiv:1706.04599.
float fit_temperature(const OutcomeTable& table, std::size_t anchor);

/// Expected calibration error over 15 equal bins of the top probability.
double calibration_error(const OutcomeTable& table, std::size_t anchor, float temperature);

}  // namespace bitpilot
