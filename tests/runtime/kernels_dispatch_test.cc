#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "runtime/core/error.h"
#include "runtime/engine/engine.h"
#include "runtime/kernels/kernels.h"
#include "tests/support/random_model.h"

using namespace bitpilot;

namespace {

/// Sets BITPILOT_ISA for one scope.
class ForcedIsa {
 public:
  explicit ForcedIsa(const std::string& name) {
    if (const char* before = std::getenv("BITPILOT_ISA")) before_ = before;
    setenv("BITPILOT_ISA", name.c_str(), 1);
  }
  ~ForcedIsa() {
    if (before_.empty())
      unsetenv("BITPILOT_ISA");
    else
      setenv("BITPILOT_ISA", before_.c_str(), 1);
  }
  ForcedIsa(const ForcedIsa&) = delete;
  ForcedIsa& operator=(const ForcedIsa&) = delete;

 private:
  std::string before_;
};

/// Counts what really runs: a table that passes every convolution on to the scalar one.
int convolutions_run = 0;
void counting_conv(const ConvTask& task) {
  ++convolutions_run;
  kScalarKernels.conv(task);
}

}  // namespace

TEST_CASE("kernels: BITPILOT_ISA picks the named set, and a model made then holds that one") {
  for (const Kernels* kernels : all_kernels()) {
    if (!kernels->supported()) continue;
    const ForcedIsa forced(kernels->name);
    CHECK(&active_kernels() == kernels);
    testing::RandomModel random(1);
    CHECK(&Model(random.model()).kernels() == kernels);
  }
}

TEST_CASE("kernels: the kernels of a model are those that run") {
  Kernels counting = kScalarKernels;
  counting.name = "counting";
  counting.conv = counting_conv;
  testing::RandomModel random(1);
  int convolutions = 0;
  for (const Node& node : random.model().network.nodes) convolutions += node.op == Op::kConv2d;
  Session session(std::make_shared<Model>(random.model(), &counting));
  convolutions_run = 0;
  session.start(random.picture());
  session.look_anchor(0);
  CHECK(convolutions_run == convolutions);
}

TEST_CASE("kernels: without BITPILOT_ISA the fastest supported set is active") {
  const ForcedIsa forced("");
  const Kernels* fastest = nullptr;
  for (const Kernels* kernels : all_kernels())
    if (fastest == nullptr && kernels->supported()) fastest = kernels;
  CHECK(&active_kernels() == fastest);
}

TEST_CASE("kernels: an unknown BITPILOT_ISA is a failure of the machine that names what there is") {
  const ForcedIsa forced("altivec");
  try {
    active_kernels();
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kMachine);
    CHECK(std::string(error.what()).find("altivec") != std::string::npos);
    CHECK(std::string(error.what()).find("scalar") != std::string::npos);
  }
}
