#pragma once

#include <string>

namespace bitpilot {

struct Kernels;

/// What measured times hold for.
struct Machine {
  std::string cpu;      ///< the processor's own name
  std::string isa;      ///< name of the kernel set
  int threads = 1;      ///< that share one picture
  std::string version;  ///< of bitpilot
  bool operator==(const Machine&) const = default;
};

Machine this_machine(const Kernels& kernels, int threads);

}  // namespace bitpilot
