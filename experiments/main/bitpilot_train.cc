// The training side of bitpilot; users start it through `bitpilot train`, `search` and `export`.
#include <malloc.h>
#include <torch/torch.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "experiments/commands/compare.h"
#include "experiments/commands/curve.h"
#include "experiments/commands/export.h"
#include "experiments/commands/picture.h"
#include "experiments/commands/rivals.h"
#include "experiments/commands/search.h"
#include "experiments/commands/train.h"
#include "runtime/commands/program.h"
#include "runtime/core/error.h"

namespace {

struct TrainCommand {
  const char* name;
  int (*run)(const std::vector<std::string>& args);
};
constexpr TrainCommand kCommands[] = {{"train", bitpilot::run_train}, {"search", bitpilot::run_search},
                                      {"export", bitpilot::run_export}, {"compare", bitpilot::run_compare},
                                      {"picture", bitpilot::run_picture}, {"rivals", bitpilot::run_rivals},
                                      {"curve", bitpilot::run_curve}};

// Measured: each path runs on its own thread, so the library's own threads only get in the way, and the allocator should keep what it
// has between steps instead of giving it back.
void settle_machine() {
  setenv("OMP_NUM_THREADS", "1", /*overwrite=*/1);
  at::set_num_threads(1);
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  settle_machine();
  return bitpilot::run_program("bitpilot-train", [&]() -> int {
    for (const TrainCommand& command : kCommands)
      if (!args.empty() && args[0] == command.name) return command.run({args.begin() + 1, args.end()});
    throw bitpilot::Error(bitpilot::ExitCode::kUsage, "this program is a part of bitpilot", "bitpilot-train",
                          "call `bitpilot train`, see `bitpilot --help`");
  });
}
