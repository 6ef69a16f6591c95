#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "runtime/core/random.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/packing.h"

using namespace bitpilot;

namespace {

/// What fills codes and weights: random values or the ends of their ranges, which saturate careless kernels.
enum class Fill { kRandom, kHighLow, kHighHigh, kMixedEnds };
constexpr Fill kFills[] = {Fill::kRandom, Fill::kHighLow, Fill::kHighHigh, Fill::kMixedEnds};

struct Problem {
  int in = 0, out = 0, kernel = 0, height = 0, width = 0;
  bool depthwise = false, add = false;
  int bits_w = 8, bits_a = 8;
  Fill fill = Fill::kRandom;
  int g = 1, h = 0;  ///< effective weight g * code + h
  int outputs = 2;
  double gain = 1;  ///< of the multipliers; what passes 1 may leave the range of int32
};

/// Codes that a convolution stores: one of 8 bits, one of 3 bits with a zero point, and more.
struct OutputForm {
  float scale;
  int zero_point, highest;
};
constexpr OutputForm kOutputForms[] = {{1.0F, 0, 255},   {0.037F, 3, 7}, {0.5F, 0, 15},
                                       {0.7F, 128, 255}, {0.011F, 0, 3}, {1.0F, 2, 255}};

/// One value in C4 layout with a border on each side that shares columns between rows.
struct Value {
  Value(int channels, int height, int width, int pad)
      : row(width + pad),
        plane(static_cast<std::size_t>(4 * ((height + 2 * pad) * row + pad))),
        origin(static_cast<std::size_t>(4 * (pad * row + pad))),
        bytes(plane * static_cast<std::size_t>((channels + kFilterPadding - 1) / kFilterPadding * kFilterPadding / 4) +
                  4 * kSlackPositions * 2,
              0) {}
  std::uint8_t& at(int c, int y, int x) {
    return bytes[static_cast<std::size_t>(c / 4) * plane + origin +
                 static_cast<std::size_t>(4 * (y * row + x) + c % 4)];
  }
  int row;
  std::size_t plane, origin;
  std::vector<std::uint8_t> bytes;
};

constexpr std::uint8_t kBorder = 77;

/// Pixels that are left of a row or column, of odd windows with half a window around the picture.
int strided(int size, int stride) { return (size + stride - 1) / stride; }

/// A whole convolution task with its memory; the same seed gives the same numbers whatever the kernels.
class Convolution {
 public:
  Convolution(const Problem& p, std::uint64_t seed)
      : p_(p),
        random_(seed, "kernels"),
        pad_(p.kernel / 2),
        src_(p.in, p.height, p.width, pad_),
        carry_(p.out, p.height, p.width, pad_) {
    const int highest = (1 << p.bits_a) - 1;
    for (int c = 0; c < p.in; ++c)
      for (int y = 0; y < p.height; ++y)
        for (int x = 0; x < p.width; ++x)
          src_.at(c, y, x) = static_cast<std::uint8_t>(p.fill == Fill::kRandom ? below(highest + 1) : highest);
    for (std::uint8_t& code : carry_.bytes) code = static_cast<std::uint8_t>(below(256));
    weights_.out = p.out;
    weights_.in = p.depthwise ? 1 : p.in;
    weights_.taps = p.kernel * p.kernel;
    weights_.depthwise = p.depthwise;
    for (int i = 0; i < weights_.out * weights_.in * weights_.taps; ++i)
      weights_.values.push_back(static_cast<std::int16_t>(weight()));
    // Results spread over the codes: uniform extremes add up, mixed signs do not.
    const double terms = weights_.in * weights_.taps;
    const bool adds_up = p.fill == Fill::kHighLow || p.fill == Fill::kHighHigh || p.h != 0;
    const double reach = (adds_up ? terms : std::sqrt(terms)) * highest * ((1 << (p.bits_w - 1)) * p.g + std::abs(p.h));
    for (int o = 0; o < (p.out + 15) / 16 * 16; ++o) {
      multiplier_.push_back(static_cast<float>(p.gain * (random_.uniform() - 0.5) * 500 / reach));
      bias_.push_back(below(2001) - 1000);
    }
    for (int ky = 0; ky < p.kernel; ++ky)
      for (int kx = 0; kx < p.kernel; ++kx) taps_.push_back(4 * ((ky - pad_) * src_.row + kx - pad_));
  }

  /// Every packing that the kernels can use for it at a stride.
  std::vector<Packing> packings(const Kernels& kernels, int stride = 1) const {
    ConvShape shape;
    shape.depthwise = p_.depthwise;
    shape.lowest = weights_.lowest();
    shape.highest = weights_.highest();
    shape.code_bound = (1 << p_.bits_a) - 1;
    shape.in = p_.in;
    shape.out = shape.active_out = p_.out;
    shape.kernel = p_.kernel;
    shape.stride = stride;
    shape.width = strided(p_.width, stride);
    shape.height = strided(p_.height, stride);
    Packing legal[kMaxPackings];
    const int count = kernels.packings(shape, legal);
    return {legal, legal + count};
  }

  /// Everything that the kernels store, borders (of code 77) included.
  std::vector<std::uint8_t> run(const Kernels& kernels, Packing packing) {
    std::vector<std::uint8_t> all;
    const std::vector<Value> stored = values(kernels, packing);
    for (const Value& value : stored) all.insert(all.end(), value.bytes.begin(), value.bytes.end());
    clear_padding(all, stored.front());
    return all;
  }

  /// The stored codes, [output]; of a stride above 1, which the packing must read in place, every so many rows and columns
  /// alone.
  std::vector<Value> values(const Kernels& kernels, Packing packing, int stride = 1) {
    const PackedWeights packed = pack_weights(weights_, packing);
    const int height = strided(p_.height, stride), width = strided(p_.width, stride);
    Value blank(p_.out, height, width, pad_);
    std::memset(blank.bytes.data(), kBorder, blank.bytes.size());
    Value carry(p_.out, height, width, pad_);
    std::vector<std::uint8_t> valid(static_cast<std::size_t>(height * blank.row / 8 + 8), 0);
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) {
        const int position = y * blank.row + x;
        valid[static_cast<std::size_t>(position / 8)] |= static_cast<std::uint8_t>(1 << (position % 8));
        for (int c = 0; c < p_.out; ++c) carry.at(c, y, x) = carry_.at(c, y * stride, x * stride);
      }
    std::vector<Value> stored(static_cast<std::size_t>(p_.outputs), blank);
    std::vector<CodeOutput> outputs;
    for (int o = 0; o < p_.outputs; ++o) {
      const OutputForm& form = kOutputForms[o];
      Value& value = stored[static_cast<std::size_t>(o)];
      const int highest = o == 0 && p_.bits_w % 2 == 1 ? 15 : form.highest;
      // These sums and multipliers are all bounded; kernels that do not know it must store the same.
      outputs.push_back({value.bytes.data() + value.origin, value.plane, form.scale, form.zero_point, highest,
                         /*bounded=*/p_.gain <= 1 && p_.bits_a % 2 == 0});
    }
    ConvTask task;
    task.src = src_.bytes.data() + src_.origin;
    task.src_plane = src_.plane;
    task.taps = taps_.data();
    task.tap_count = static_cast<int>(taps_.size());
    task.positions = height * blank.row;
    task.valid = valid.data();
    task.columns = width;
    task.row = blank.row;
    task.stride = stride;
    task.src_row = static_cast<std::size_t>(4 * stride * src_.row);
    task.packing = packing;
    task.weights = packed.data();
    task.group_bytes = packed.group_bytes;
    task.groups = (p_.out + packing.group - 1) / packing.group;
    task.quads = p_.depthwise ? 1 : (p_.in + 3) / 4;
    task.quad_step = p_.depthwise ? 1 : 0;
    task.code_bound = (1 << p_.bits_a) - 1;
    task.narrow_steps = packed.narrow_steps(task.code_bound);
    task.multiplier = multiplier_.data();
    task.bias = bias_.data();
    if (p_.add) task.carry = {carry.bytes.data() + carry.origin, carry.plane, 0.31F, 128};
    task.outputs = outputs.data();
    task.output_count = p_.outputs;
    std::vector<std::uint8_t> pairs;
    std::vector<std::int32_t> pair_taps;
    if (packing.format == Packing::Format::kTables) pair_input(kernels, task, pairs, pair_taps);
    kernels.conv(task);
    return stored;
  }

  /// The input as product tables want it: lets the task read it from `memory`.
  void pair_input(const Kernels& kernels, ConvTask& task, std::vector<std::uint8_t>& memory,
                  std::vector<std::int32_t>& taps) const {
    const std::size_t plane = (src_.plane + 63) / 64 * 64;
    const bool by_pixels = task.packing.lanes == Packing::Lanes::kPixels;
    std::vector<std::uint8_t> codes(plane * static_cast<std::size_t>(task.quads) + 64);
    for (std::size_t quad = 0; quad < static_cast<std::size_t>(task.quads); ++quad)
      std::memcpy(codes.data() + quad * plane, src_.bytes.data() + quad * src_.plane, src_.plane);
    PairTask pair;
    pair.src = codes.data();
    pair.src_plane = plane;
    pair.quads = task.quads;
    pair.dst_plane = paired_plane(task.packing, plane);
    const int planes = table_planes(task.packing, task.quads);
    memory.assign(pair.dst_plane * static_cast<std::size_t>(planes) + 4 * kSlackPositions, 0);
    pair.dst = memory.data();
    pair.packing = task.packing;
    pair.code_bound = task.code_bound;
    kernels.pair(pair);
    task.src = memory.data() + (by_pixels ? src_.origin / 4 : src_.origin);
    task.src_plane = pair.dst_plane;
    for (int plane = 0; plane < planes; ++plane)
      for (const std::int32_t tap : taps_)
        taps.push_back(plane * static_cast<std::int32_t>(pair.dst_plane) + (by_pixels ? tap / 4 : tap));
    task.taps = taps.data();
    task.tap_count = static_cast<int>(taps.size());
    task.quads = 1;
  }

  /// Accumulator by the definition, at one pixel.
  std::int64_t expected(int o, int y, int x) {
    std::int64_t sum = 0;
    for (int i = 0; i < weights_.in; ++i)
      for (int t = 0; t < weights_.taps; ++t) {
        const int sy = y + t / p_.kernel - pad_, sx = x + t % p_.kernel - pad_;
        if (sy < 0 || sx < 0 || sy >= p_.height || sx >= p_.width) continue;
        sum += static_cast<std::int64_t>(src_.at(p_.depthwise ? o : i, sy, sx)) *
               weights_.values[static_cast<std::size_t>((o * weights_.in + i) * weights_.taps + t)];
      }
    return sum + bias_[static_cast<std::size_t>(o)];
  }
  float multiplier(int o) const { return multiplier_[static_cast<std::size_t>(o)]; }
  /// Channels that only pad a group may hold anything.
  void clear_padding(std::vector<std::uint8_t>& all, const Value& shape) const {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::size_t at = i % shape.bytes.size();
      if (static_cast<int>(at / shape.plane * 4 + at % 4) >= p_.out) all[i] = 0;
    }
  }

 private:
  int below(int count) { return static_cast<int>(random_.below(static_cast<std::uint64_t>(count))); }
  int weight() {
    const int lowest = -(1 << (p_.bits_w - 1)), highest = -lowest - 1;
    int code = lowest;
    if (p_.fill == Fill::kRandom) code = lowest + below(highest - lowest + 1);
    if (p_.fill == Fill::kHighHigh) code = highest;
    if (p_.fill == Fill::kMixedEnds) code = below(2) == 0 ? lowest : highest;
    return p_.g * code + p_.h;
  }
  Problem p_;
  Random random_;
  int pad_;
  Value src_, carry_;
  EffectiveWeights weights_;
  std::vector<float> multiplier_;
  std::vector<std::int32_t> bias_, taps_;
};

constexpr Packing kScalarPacking{Packing::Format::kWords, 4, Packing::Lanes::kPixels};

void check_all(const Problem& problem, std::uint64_t seed) {
  Convolution convolution(problem, seed);
  const std::vector<std::uint8_t> reference = convolution.run(kScalarKernels, kScalarPacking);
  for (const Kernels* kernels : all_kernels()) {
    if (!kernels->supported()) continue;
    INFO(std::string(kernels->name), ": ", problem.in, " -> ", problem.out, ", kernel ", problem.kernel, ", ",
         problem.height, " x ", problem.width, ", bits ", problem.bits_w, "/", problem.bits_a, ", fill ",
         static_cast<int>(problem.fill), ", depthwise ", problem.depthwise, ", g ", problem.g, ", h ", problem.h);
    for (const Packing packing : convolution.packings(*kernels)) {
      INFO("filters in lanes ", packing.lanes == Packing::Lanes::kFilters);
      REQUIRE(convolution.run(*kernels, packing) == reference);
    }
  }
}

/// At stride 2 every packing that reads in place stores what the scalar convolution at stride 1 does at every other row and
/// column, and nothing else.  Returns how many it tried.
int check_strided(const Problem& problem, std::uint64_t seed) {
  Convolution convolution(problem, seed);
  const std::vector<Value> reference = convolution.values(kScalarKernels, kScalarPacking);
  int tried = 0;
  for (const Kernels* kernels : all_kernels()) {
    if (!kernels->supported()) continue;
    for (const Packing packing : convolution.packings(*kernels, 2)) {
      if (packing.lanes == Packing::Lanes::kPixels) continue;  // the plan copies what these read
      INFO(std::string(kernels->name), ", ", packing_name(packing), ": ", problem.in, " -> ", problem.out, ", kernel ",
           problem.kernel, ", ", problem.height, " x ", problem.width, ", bits ", problem.bits_w, "/", problem.bits_a,
           ", fill ", static_cast<int>(problem.fill), ", depthwise ", problem.depthwise);
      std::vector<Value> got = convolution.values(*kernels, packing, 2);
      Value expected = got.front();
      for (std::size_t o = 0; o < got.size(); ++o) {
        std::memset(expected.bytes.data(), kBorder, expected.bytes.size());
        Value whole = reference[o];
        for (int c = 0; c < problem.out; ++c)
          for (int y = 0; y < strided(problem.height, 2); ++y)
            for (int x = 0; x < strided(problem.width, 2); ++x) expected.at(c, y, x) = whole.at(c, 2 * y, 2 * x);
        convolution.clear_padding(expected.bytes, expected);
        convolution.clear_padding(got[o].bytes, expected);
        REQUIRE((got[o].bytes == expected.bytes));
      }
      ++tried;
    }
  }
  return tried;
}

}  // namespace

TEST_CASE("kernels: the scalar convolution is the integer rule, pixel by pixel") {
  const Problem problem{6, 9, 3, 5, 7, false, false, 8, 8, Fill::kRandom, 1, 0};
  Convolution convolution(problem, 1);
  const std::vector<std::uint8_t> stored = convolution.run(kScalarKernels, kScalarPacking);
  Value layout(9, 5, 7, 1);
  layout.bytes.assign(stored.begin(), stored.begin() + static_cast<std::ptrdiff_t>(layout.bytes.size()));
  for (int o = 0; o < 9; ++o)
    for (int y = 0; y < 5; ++y)
      for (int x = 0; x < 7; ++x) {
        const float value = static_cast<float>(convolution.expected(o, y, x)) * convolution.multiplier(o);
        CHECK(static_cast<float>(layout.at(o, y, x)) == std::min(std::max(std::nearbyint(value), 0.0F), 255.0F));
      }
}

TEST_CASE("kernels: every set stores the scalar codes for every pair of bits, at the ends of the ranges too") {
  std::uint64_t seed = 100;
  for (int bits_w = 2; bits_w <= 8; ++bits_w)
    for (int bits_a = 2; bits_a <= 8; ++bits_a)
      for (const Fill fill : kFills) {
        check_all({16, 16, 3, 9, 11, false, false, bits_w, bits_a, fill, 1, 0}, ++seed);
        check_all({40, 8, 1, 3, 5, false, true, bits_w, bits_a, fill, 1, 0}, ++seed);
        check_all({8, 8, 3, 6, 6, true, false, bits_w, bits_a, fill, 1, 0}, ++seed);
        check_all({6, 6, 3, 4, 37, true, true, bits_w, bits_a, fill, 1, 0}, ++seed);
      }
}

TEST_CASE("kernels: every set stores the scalar codes for every Form, beyond 8-bit effective weights too") {
  std::uint64_t seed = 3000;
  const std::pair<int, int> forms[] = {{1, 0}, {1, -127}, {1, 100}, {2, 1}, {2, -255}};
  for (const auto& [g, h] : forms)
    for (const int bits : {2, 5, 8})
      for (const Fill fill : kFills)
        for (const bool depthwise : {false, true})
          check_all({12, 12, 3, 5, 9, depthwise, false, bits, bits, fill, g, h}, ++seed);
}

TEST_CASE("kernels: every set stores any number of codes of one convolution") {
  std::uint64_t seed = 4000;
  for (const int outputs : {1, 3, 4, 5, 6})
    for (const bool add : {false, true}) {
      check_all({12, 16, 3, 5, 9, false, add, 8, 8, Fill::kRandom, 1, 0, outputs}, ++seed);
      check_all({12, 32, 1, 5, 9, false, add, 4, 8, Fill::kRandom, 1, 0, outputs}, ++seed);
      check_all({12, 12, 3, 5, 9, true, add, 8, 7, Fill::kRandom, 1, 0, outputs}, ++seed);
      check_all({32, 64, 3, 5, 9, false, add, 2, 2, Fill::kRandom, 1, 0, outputs}, ++seed);
    }
}

TEST_CASE("kernels: values beyond every integer are clamped like others") {
  std::uint64_t seed = 4500;
  for (const double gain : {1e7, 1e9, 1e30})
    for (const bool add : {false, true}) {
      check_all({12, 16, 3, 5, 9, false, add, 8, 8, Fill::kRandom, 1, 0, 6, gain}, ++seed);
      check_all({12, 32, 1, 5, 9, false, add, 4, 8, Fill::kRandom, 1, 0, 6, gain}, ++seed);
      check_all({12, 12, 3, 5, 9, true, add, 8, 7, Fill::kRandom, 1, 0, 6, gain}, ++seed);
      check_all({32, 64, 3, 5, 9, false, add, 2, 2, Fill::kRandom, 1, 0, 6, gain}, ++seed);
    }
}

TEST_CASE("kernels: product tables store the scalar codes up to the ends of their 8-bit and 16-bit sums") {
  std::uint64_t seed = 5000;
  for (const int bits_a : {2, 3})
    for (const Fill fill : kFills)
      for (const bool add : {false, true}) {
        check_all({64, 64, 3, 8, 8, false, add, 2, bits_a, fill, 1, 0}, ++seed);
        check_all({5, 96, 1, 3, 2, false, add, 2, bits_a, fill, 1, 0}, ++seed);
        check_all({24, 32, 3, 4, 13, false, add, 2, bits_a, fill, 1, 0}, ++seed);
        // As much as a 16-bit sum takes (9 * 606 products of -2 * 3, 9 * 260 of -2 * 7), and more.
        check_all({bits_a == 2 ? 606 : 260, 64, 3, 3, 5, false, add, 2, bits_a, fill, 1, 0}, ++seed);
        check_all({bits_a == 2 ? 607 : 261, 64, 3, 3, 5, false, add, 2, bits_a, fill, 1, 0}, ++seed);
      }
}

TEST_CASE("kernels: strides of 2 store every other scalar code, at the ends of the ranges too") {
  std::uint64_t seed = 6000;
  int tried = 0;
  for (int bits_w = 2; bits_w <= 8; ++bits_w)
    for (int bits_a = 2; bits_a <= 8; ++bits_a)
      for (const Fill fill : kFills) {
        tried += check_strided({16, 32, 3, 9, 11, false, false, bits_w, bits_a, fill, 1, 0}, ++seed);
        tried += check_strided({20, 16, 1, 6, 37, false, true, bits_w, bits_a, fill, 1, 0}, ++seed);
        tried += check_strided({12, 12, 3, 8, 40, true, false, bits_w, bits_a, fill, 1, 0}, ++seed);
      }
  for (const int bits_a : {2, 3})
    for (const Fill fill : kFills) tried += check_strided({64, 64, 3, 8, 7, false, true, 2, bits_a, fill, 1, 0}, ++seed);
  const bool vectors = all_kernels().size() > 1 && all_kernels().front()->supported();
  if (vectors) CHECK(tried > 600);
}

TEST_CASE("kernels: every set stores the scalar codes for any size, and nothing outside the picture") {
  Random random(7, "shapes");
  const auto between = [&](int low, int high) {
    return low + static_cast<int>(random.below(static_cast<std::uint64_t>(high - low + 1)));
  };
  for (int i = 0; i < 400; ++i) {
    const int channels = between(1, 40);
    const bool depthwise = between(0, 3) == 0;
    check_all({channels, depthwise ? channels : between(1, 40), 2 * between(0, 3) + 1, between(1, 20), between(1, 40),
               depthwise, between(0, 1) == 0, between(2, 8), between(2, 8), kFills[between(0, 3)], 1, 0},
              static_cast<std::uint64_t>(10000 + i));
  }
}
