#pragma once

#include <string>
#include <vector>

#include "runtime/core/trace.h"
#include "runtime/kernels/kernels.h"

namespace bitpilot::testing {

inline std::vector<const Kernels*> supported_kernels() {
  std::vector<const Kernels*> kernels;
  for (const Kernels* one : all_kernels())
    if (one->supported()) kernels.push_back(one);
  return kernels;
}

/// "" if equal, else the first stored code that differs.
inline std::string first_difference(const std::vector<CodeTrace>& engine, const std::vector<CodeTrace>& reference) {
  if (engine.size() != reference.size()) return "number of codes stored";
  for (std::size_t i = 0; i < engine.size(); ++i) {
    const std::string where = "step " + std::to_string(engine[i].step) + ", reader " + std::to_string(engine[i].reader);
    if (engine[i].codes.size() != reference[i].codes.size()) return where + ": size";
    for (std::size_t k = 0; k < engine[i].codes.size(); ++k)
      if (engine[i].codes[k] != reference[i].codes[k])
        return where + ", element " + std::to_string(k) + ": " + std::to_string(engine[i].codes[k]) + " for " +
               std::to_string(reference[i].codes[k]);
    if (engine[i] != reference[i]) return where + ": labels";
  }
  return "";
}

}  // namespace bitpilot::testing
