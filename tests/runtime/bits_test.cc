#include "runtime/commands/bits.h"

#include <doctest/doctest.h>

#include "runtime/core/error.h"
#include "tests/support/sample_model.h"
#include "tests/support/temporary_folder.h"

using bitpilot::BitConfig;
using bitpilot::Error;
using bitpilot::ExitCode;
using bitpilot::read_bits;

namespace {

const bitpilot::ModelData& model() {
  static const bitpilot::ModelData made = bitpilot::testing::sample_model(bitpilot::testing::sample_network());
  return made;
}

ExitCode code_of(const std::string& text) {
  try {
    read_bits(text, model());
    return ExitCode::kOk;
  } catch (const Error& error) {
    return error.code;
  }
}

}  // namespace

TEST_CASE("commands/bits: widths, pairs, anchors and the policy") {
  CHECK_FALSE(read_bits("policy", model()));
  CHECK(read_bits("8", model()) == bitpilot::uniform_config(model().space, 8, 8));
  CHECK(read_bits("4/2", model()) == bitpilot::uniform_config(model().space, 4, 2));
  CHECK(read_bits("half8", model()) == bitpilot::uniform_config(model().space, 8, 8, 0.5));
}

TEST_CASE("commands/bits: what the model does not offer is refused") {
  for (const char* wrong : {"3", "4/3", "1", "9", "4/", "/4", "4/4/4", "u3", "-4", ""}) {
    INFO(wrong);
    CHECK(code_of(wrong) != ExitCode::kOk);
  }
  CHECK(code_of("3") == ExitCode::kUsage);
  CHECK(code_of("missing.json") == ExitCode::kData);
}

TEST_CASE("commands/bits: weights stored at one width run at that one alone, whatever widths the layer's values take") {
  bitpilot::testing::SampleOptions options;
  options.bits = {2};
  options.packed = true;
  bitpilot::ModelData packed = bitpilot::testing::sample_model(bitpilot::testing::sample_network(), options);
  for (bitpilot::LayerSpace& layer : packed.space.layers)
    if (!layer.fixed) layer.bits = {2, 8};
  CHECK(bitpilot::weight_widths(packed, 1) == std::vector<int>{2});
  CHECK(bitpilot::weight_widths(model(), 1) == std::vector<int>{2, 4, 8});
  CHECK(read_bits("2/8", packed) == bitpilot::uniform_config(packed.space, 2, 8));
  for (const char* wrong : {"8", "8/2", "2/4"}) {
    INFO(wrong);
    try {
      read_bits(wrong, packed);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.code == ExitCode::kUsage);
      CHECK(std::string(error.what()).find("not offered in block1.conv1 (it has 2, 8; weights are stored at 2)") != std::string::npos);
    }
  }
}

TEST_CASE("commands/bits: a file lists the adaptive layers or all of them, and comes back as written") {
  const bitpilot::testing::TemporaryFolder folder;
  const std::string adaptive = "[[2,4,2],[2,4,2],[2,2,4],[2,2,2],[2,2,4],[2,4,4]]";
  const std::string all = "[[8,8,2],[2,4,2],[2,4,2],[2,2,4],[2,2,2],[2,2,4],[2,4,4],[8,8,1]]";
  const auto config = read_bits(folder.write("a.json", "{\"name\": \"mine\", \"bits\": " + adaptive + "}"), model());
  REQUIRE(config);
  CHECK((*config)[0] == bitpilot::LayerBits{8, 8, 2});
  CHECK((*config)[1] == bitpilot::LayerBits{2, 4, 2});
  CHECK((*config)[6] == bitpilot::LayerBits{2, 4, 4});
  CHECK(read_bits(folder.write("b.json", all), model()) == config);
}

TEST_CASE("commands/bits: a wrong file is bad data") {
  const bitpilot::testing::TemporaryFolder folder;
  for (const char* wrong :
       {"[[2,4,2]]", "{\"bits\": 3}", "{\"bit\": []}", "[[2,4,2],[2,4,1],[2,2,4],[2,2,2],[2,2,4],[2,4,4]]",
        "[[2,4,2],[2,4,2],[2,2,4],[2,2,2],[2,2,4],[2,4,5]]", "[[2,3,2],[2,4,2],[2,2,4],[2,2,2],[2,2,4],[2,4,4]]",
        "[[2,4],[2,4,2],[2,2,4],[2,2,2],[2,2,4],[2,4,4]]", "nonsense"}) {
    INFO(wrong);
    CHECK(code_of(folder.write("w.json", wrong)) == ExitCode::kData);
  }
}
