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
  std::string kernels = {};  ///< ways_digest() of the kernel set; empty where nobody wrote it down
  bool operator==(const Machine&) const = default;
};

/// Hash of the ways to compute that a kernel set lists for layers of many shapes, in their order.  What was picked by its place in these
/// lists is meant for a build that has the same ones.
std::string ways_digest(const Kernels& kernels);

Machine this_machine(const Kernels& kernels, int threads);

}  // namespace bitpilot
