#include <cstdlib>

#include "runtime/core/error.h"
#include "runtime/kernels/kernels.h"

namespace bitpilot {

Packing linear_packing(int lowest, int highest) {
  const bool bytes = lowest >= -128 && highest <= 127;
  return {bytes ? Packing::Format::kBytes : Packing::Format::kWords, 8, Packing::Lanes::kFilters};
}

std::string packing_name(const Packing& packing) {
  const std::string lanes = packing.lanes == Packing::Lanes::kFilters ? "filters"
                            : packing.lanes == Packing::Lanes::kRows  ? "rows"
                            : packing.lanes == Packing::Lanes::kTaps  ? "taps"
                                                                      : "pixels";
  const std::string format = packing.format == Packing::Format::kBytes    ? "bytes"
                             : packing.format == Packing::Format::kTables ? "tables"
                                                                          : "words";
  return format + " by " + lanes;
}

const std::vector<const Kernels*>& all_kernels() {
  static const std::vector<const Kernels*> kernels {
#if defined(__x86_64__)
    &kAvx512VbmiKernels, &kAvx512VnniKernels, &kAvxVnniKernels, &kAvx2Kernels,
#endif
        &kScalarKernels
  };
  return kernels;
}

const Kernels& find_kernels(const std::string& name) {
  std::string available;
  for (const Kernels* kernels : all_kernels()) {
    if (!kernels->supported()) continue;
    if (name.empty() || name == kernels->name) return *kernels;
    available += (available.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw Error(ExitCode::kMachine, "this machine has no kernels named \"" + name + "\"", "BITPILOT_ISA",
              "use one of: " + available);
}

const Kernels& active_kernels() {
  const char* forced = std::getenv("BITPILOT_ISA");
  return find_kernels(forced == nullptr ? "" : forced);
}

}  // namespace bitpilot
