#include "runtime/machine.h"

#include <fstream>

#include "runtime/kernels/kernels.h"

namespace bitpilot {
namespace {

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name") && !line.starts_with("Model")) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

}  // namespace

Machine this_machine(const Kernels& kernels, int threads) {
  return {cpu_name(), kernels.name, threads, BITPILOT_VERSION};
}

}  // namespace bitpilot
