#include "runtime/machine.h"

#include <fstream>

#include "runtime/core/files.h"
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

/// Lists of ways, as bytes.
class Ways {
 public:
  void add(const Packing (&list)[kMaxPackings], int count) {
    for (int i = 0; i < count; ++i)
      for (const int part : {static_cast<int>(list[i].format), list[i].group, static_cast<int>(list[i].lanes)})
        bytes_ += static_cast<char>(part);
    bytes_ += '\n';
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

void add_linear_layers(Ways& ways) {
  Packing list[kMaxPackings];
  for (const int highest : {1, 7, 127, 255})
    for (const std::int64_t count : {std::int64_t{100}, std::int64_t{10'000}, std::int64_t{1'000'000}})
      ways.add(list, linear_packings(-highest - 1, highest, count, list));
}

/// Both sides of what the lists depend on: formats by the range of weights and codes, lanes by shape, their order by the work.
void add_convolutions(Ways& ways, const Kernels& kernels) {
  Packing list[kMaxPackings];
  ConvShape shape;
  for (const bool depthwise : {false, true})
    for (const int highest : {1, 7, 127, 255})
      for (const int code_bound : {3, 15, 255})
        for (const int kernel : {1, 3, 7})
          for (const int stride : {1, 2})
            for (const int in : {3, 32, 256})
              for (const int out : {16, 96, 256})
                for (const int active_out : {8, out})
                  for (const int side : {7, 16, 112}) {
                    shape = {depthwise, -highest - 1, highest, code_bound, depthwise ? 1 : in, out, kernel, stride, active_out, side, side};
                    ways.add(list, kernels.packings(shape, list));
                  }
}

}  // namespace

std::string ways_digest(const Kernels& kernels) {
  Ways ways;
  add_linear_layers(ways);
  add_convolutions(ways, kernels);
  return sha256(ways.bytes());
}

Machine this_machine(const Kernels& kernels, int threads) {
  return {cpu_name(), kernels.name, threads, BITPILOT_VERSION, ways_digest(kernels)};
}

}  // namespace bitpilot
