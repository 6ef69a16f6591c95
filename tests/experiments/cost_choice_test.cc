#include "experiments/cost_choice.h"

#include <doctest/doctest.h>

#include "runtime/core/backbones.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/kernels/kernels.h"
#include "runtime/profile.h"
#include "tests/support/temporary_folder.h"

using namespace bitpilot;

namespace {

ExitCode code_of(const std::string& text, const Network& network, const BitSpace& space) {
  try {
    read_cost(text, network, space);
  } catch (const Error& error) {
    return error.code;
  }
  return ExitCode::kOk;
}

}  // namespace

TEST_CASE("experiments/cost_choice: bit operations, or this machine's times of this very network") {
  const Network network = make_backbone("resnet8", {1, 12, 12}, 4);
  const BitSpace space = make_bit_space(network, {2, 8});
  CHECK(read_cost("bops", network, space).table.unit() == "bops");
  std::vector<ProfileEntry> entries;
  for (int l = 0; l < network.layer_count(); ++l) entries.push_back({l, 8, 8, space.layers[static_cast<std::size_t>(l)].blocks, 0.5, 0.01, 0, 0, "k"});
  const testing::TemporaryFolder folder;
  const std::string file = folder.path("profile.json");
  write_file_atomically(file, profile_text(this_machine(active_kernels(), 1), network, space, entries, {0.25, 0.5, 0.125}));
  const CostChoice times = read_cost("latency:" + file, network, space);
  CHECK(times.table.unit() == "ms");
  CHECK(times.table.reference() == doctest::Approx(0.5 * network.layer_count()));
  CHECK(times.deciding.choosing_ms == 0.25);
  CHECK(times.deciding.guard_ms == 0.5);
  CHECK(times.deciding.networks_ms == 0.125);
  CHECK(times.hash == sha256(read_file(file)));
  const Network other = make_backbone("resnet8", {1, 12, 12}, 5);
  CHECK(code_of("latency:" + file, other, make_bit_space(other, {2, 8})) == ExitCode::kData);
  for (const char* wrong : {"", "watts", "latency", "latency:"}) CHECK(code_of(wrong, network, space) == ExitCode::kUsage);
  CHECK(code_of("latency:" + file + ".none", network, space) == ExitCode::kData);
}
