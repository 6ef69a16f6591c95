#include <cstdlib>
#include <utility>

#include "runtime/core/error.h"
#include "runtime/kernels/kernels.h"

namespace bitpilot {

int linear_packings(int lowest, int highest, std::int64_t count, Packing (&legal)[kMaxPackings]) {
  using Format = Packing::Format;
  // As many come from beyond the nearest cache, at the speed of bytes.
  constexpr std::int64_t kFarWeights = 1 << 16;
  const bool bytes = lowest >= -128 && highest <= 127;
  const Packing plain{bytes ? Format::kBytes : Format::kWords, 8, Packing::Lanes::kFilters};
  legal[0] = plain;
  if (lowest < -8 || highest > 7) return 1;
  legal[1] = {lowest >= -2 && highest <= 1 ? Format::kInt2 : Format::kInt4, 8, Packing::Lanes::kFilters};
  if (count >= kFarWeights) std::swap(legal[0], legal[1]);
  return 2;
}

std::string packing_name(const Packing& packing) {
  const std::string lanes = packing.lanes == Packing::Lanes::kFilters ? "filters"
                            : packing.lanes == Packing::Lanes::kRows  ? "rows"
                            : packing.lanes == Packing::Lanes::kTaps  ? "taps"
                                                                      : "pixels";
  const std::string format = packing.format == Packing::Format::kBytes    ? "bytes"
                             : packing.format == Packing::Format::kTables ? "tables"
                             : packing.format == Packing::Format::kInt4   ? "int4"
                             : packing.format == Packing::Format::kInt2   ? "int2"
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
