#include "runtime/profile.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "runtime/core/backbones.h"
#include "runtime/core/error.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/random_weights.h"
#include "runtime/profile_measure.h"

using namespace bitpilot;

namespace {

const Machine kHere{"a processor", "avx2", 1, "0.1.0", "some ways"};

struct Small {
  Network network = resnet8({3, 16, 16}, 10);
  BitSpace space = make_bit_space(network, {2, 4, 8});

  /// Every layer: 8 bits at every other block count, 4 bits whole; nothing at 2 bits.
  std::vector<ProfileEntry> entries() const {
    std::vector<ProfileEntry> all;
    for (int l = 0; l < network.layer_count(); ++l) {
      const int blocks = space.layers[static_cast<std::size_t>(l)].blocks;
      for (int b = blocks; b > 0; b -= 2) all.push_back({l, 8, 8, b, 0.5 * b, 0.01, 0.2 * b, 1, "some kernel"});
      all.push_back({l, 4, 4, blocks, 0.25 * blocks, 0.01, 0.05 * blocks, 0, "another kernel"});
    }
    return all;
  }
  std::string text() const { return profile_text(kHere, network, space, entries(), {0.001, 0.002, 0.004}); }
  Profile parsed(const Machine& machine) const { return parse_profile(text(), "p.json", network, space, machine); }
};

std::string refusal(const Small& small, const Machine& machine) {
  try {
    small.parsed(machine);
  } catch (const Error& error) {
    CHECK(error.code == ExitCode::kData);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("profile: what was written is read again as a price list in milliseconds, gaps filled") {
  const Small small;
  const Profile profile = small.parsed(kHere);
  CHECK(profile.cost.unit() == "ms");
  const int layer = 5, blocks = small.space.layers[layer].blocks;
  REQUIRE(blocks >= 4);
  for (int b = 1; b <= blocks; ++b) CHECK(profile.cost.at(layer, 8, 8, b) == doctest::Approx(0.5 * b));
  CHECK(profile.cost.at(layer, 4, 4, blocks) == doctest::Approx(0.25 * blocks));
  // Not measured: 3 bits cost what 4 do; 4/8 costs what 8/8 does.
  CHECK(profile.cost.at(layer, 3, 3, blocks) == doctest::Approx(0.25 * blocks));
  CHECK(profile.cost.at(layer, 4, 8, blocks) == doctest::Approx(0.5 * blocks));
  // The fixed part goes with the time it is part of.
  for (int b = 1; b <= blocks; ++b) CHECK(profile.cost.fixed_part(layer, 8, 8, b) == doctest::Approx(0.2 * b));
  CHECK(profile.cost.fixed_part(layer, 3, 3, blocks) == doctest::Approx(0.05 * blocks));
  CHECK(profile.cost.fixed_part(layer, 4, 8, blocks) == doctest::Approx(0.2 * blocks));
  CHECK(profile.choice.place(layer, {8, 8, blocks}) == 1);
  CHECK(profile.choice.place(layer, {4, 4, blocks}) == 0);
  CHECK(profile.cost.reference() > 0);
  CHECK(profile.deciding.choosing_ms == doctest::Approx(0.001));
  CHECK(profile.deciding.guard_ms == doctest::Approx(0.002));
  CHECK(profile.deciding.networks_ms == doctest::Approx(0.004));
}

TEST_CASE("profile: a width has its own fastest kernel, one that was not timed the next wider one's") {
  Small small;
  const int blocks = small.space.layers[5].blocks;
  std::vector<ProfileEntry> entries = small.entries();
  entries.push_back({5, 8, 8, blocks / 2, 0.1, 0.01, 0, 2, "a third kernel"});
  const std::string text = profile_text(kHere, small.network, small.space, entries, {0.001, 0.002, 0.004});
  const KernelChoice choice = parse_profile(text, "p.json", small.network, small.space, kHere).choice;
  CHECK(choice.place(5, {8, 8, blocks}) == 1);
  CHECK(choice.place(5, {8, 8, blocks / 2}) == 2);
  CHECK(choice.place(5, {8, 8, blocks / 2 - 1}) == 2);
  CHECK(choice.place(5, {4, 4, 1}) == 0);
  CHECK(choice.place(5, {2, 2, 1}) == 0);  // never timed
}

TEST_CASE("profile: times of another processor, instruction set, number of threads or network are refused by name") {
  const Small small;
  CHECK(refusal(small, kHere).empty());
  Machine newer = kHere;
  newer.version = "9.9.9";
  CHECK(refusal(small, newer).empty());
  const auto refused_where = [&](auto&& change) {
    Machine other = kHere;
    change(other);
    return refusal(small, other);
  };
  CHECK(refused_where([](Machine& m) { m.cpu = "another one"; }).find("another processor: a processor") != std::string::npos);
  CHECK(refused_where([](Machine& m) { m.isa = "scalar"; }).find("instruction set: avx2") != std::string::npos);
  CHECK(refused_where([](Machine& m) { m.threads = 2; }).find("number of threads") != std::string::npos);
  CHECK(refused_where([](Machine& m) { m.kernels = "other ways"; }).find("another build, with other kernels: some ways") != std::string::npos);
  const Network other = resnet8({3, 16, 16}, 11);
  const BitSpace space = make_bit_space(other, {2, 4, 8});
  CHECK_THROWS_AS(parse_profile(small.text(), "p.json", other, space, kHere), Error);
  CHECK_THROWS_AS(parse_profile("{}", "p.json", small.network, small.space, kHere), Error);
  std::string negative = small.text();
  negative.replace(negative.find("\"ms\": "), 6, "\"ms\": -");
  CHECK_THROWS_AS(parse_profile(negative, "p.json", small.network, small.space, kHere), Error);
}

TEST_CASE("machine: kernels that list other ways, or the same ones in another order, have another digest") {
  const std::string digest = ways_digest(kScalarKernels);
  CHECK(digest.size() == 64);
  CHECK(this_machine(kScalarKernels, 1).kernels == digest);
  Kernels same = kScalarKernels;
  same.name = "rebuilt";
  CHECK(ways_digest(same) == digest);
  std::vector<std::string> digests{digest};
  const auto add = [&](int (*packings)(const ConvShape&, Packing (&)[kMaxPackings])) {
    Kernels kernels = kScalarKernels;
    kernels.packings = packings;
    digests.push_back(ways_digest(kernels));
  };
  static constexpr Packing kWords{Packing::Format::kWords, 4, Packing::Lanes::kPixels}, kBytes{Packing::Format::kBytes, 4, Packing::Lanes::kPixels};
  add([](const ConvShape&, Packing (&legal)[kMaxPackings]) { return legal[0] = kBytes, 1; });
  add([](const ConvShape&, Packing (&legal)[kMaxPackings]) { return legal[0] = kWords, legal[1] = kBytes, 2; });
  add([](const ConvShape&, Packing (&legal)[kMaxPackings]) { return legal[0] = kBytes, legal[1] = kWords, 2; });
  add([](const ConvShape& shape, Packing (&legal)[kMaxPackings]) {
    return legal[0] = kWords, legal[1] = kBytes, shape.highest < 128 && shape.active_out < 16 ? 2 : 1;
  });
  std::sort(digests.begin(), digests.end());
  CHECK(std::unique(digests.begin(), digests.end()) == digests.end());
}

TEST_CASE(
    "profile: every layer is measured at every setting on offer, and any choice of kernels gives the same scores") {
  const ModelData model = random_weights(make_backbone("ds_cnn", {1, 12, 12}, 4, 8));
  const Kernels& kernels = active_kernels();
  int done = 0;
  const std::vector<ProfileEntry> entries = measure_profile(model, kernels, 1, [&](int layers) { done = layers; });
  CHECK(done == model.network.layer_count());
  for (const ProfileEntry& entry : entries) CHECK(entry.ms > 0);
  const Machine machine = this_machine(kernels, 1);
  Profile profile = parse_profile(profile_text(machine, model.network, model.space, entries, measure_deciding(model, kernels)), "p.json", model.network,
                                  model.space, machine);
  CHECK(profile.deciding.choosing_ms > 0);
  CHECK(profile.deciding.guard_ms > 0);
  CHECK(profile.deciding.networks_ms >= 0);
  for (int l = 0; l < model.network.layer_count(); ++l) {
    const int blocks = model.space.layers[static_cast<std::size_t>(l)].blocks;
    for (int bits = 2; bits <= 8; ++bits) CHECK(profile.cost.at(l, bits, bits, blocks) > 0);
  }
  const std::vector<std::uint8_t> picture(12 * 12, 77);
  Session plain(std::make_shared<const Model>(model, &kernels));
  Session chosen(std::make_shared<const Model>(model, &kernels, profile.choice));
  plain.start(picture);
  chosen.start(picture);
  for (const Anchor& anchor : model.anchors) {
    const std::span<const float> expected = plain.look(anchor.config), got = chosen.look(anchor.config);
    CHECK(std::vector(got.begin(), got.end()) == std::vector(expected.begin(), expected.end()));
  }
}
