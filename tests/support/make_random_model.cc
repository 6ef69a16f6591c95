// Writes a small model with random weights and a random policy, for tests of the programs:
//   make_random_model FILE [SEED] [narrow]      narrow: every picture's statistics are out of range
#include <cstdio>
#include <string>

#include "runtime/format/model_file.h"
#include "tests/support/random_policy_model.h"

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  try {
    bitpilot::ModelData model = bitpilot::testing::random_policy_model(argc > 2 ? std::stoull(argv[2]) : 1);
    if (argc > 3) model.ranges.assign(model.ranges.size(), {5e5F, 6e5F});
    bitpilot::write_model(model, argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
