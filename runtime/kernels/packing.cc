#include "runtime/kernels/packing.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace bitpilot {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t round_up(std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }

/// Where channel c of a quad stands among the four words: even channels first.
constexpr int kWordOfChannel[4] = {0, 2, 1, 3};

void put(std::uint8_t* lane, Packing::Format format, int channel, std::int16_t value) {
  if (format == Packing::Format::kBytes)
    lane[channel] = static_cast<std::uint8_t>(static_cast<std::int8_t>(value));
  else
    std::memcpy(lane + 2 * kWordOfChannel[channel], &value, sizeof(value));
}

/// Byte of a tap of filter `in_group` of a group of Packing::Lanes::kTaps.
constexpr std::size_t kTapsInRow = 3, kTapGroupBytes = 48;
std::size_t tap_place(std::size_t tap, std::size_t in_group) {
  return tap / kTapsInRow * 16 + in_group * 4 + tap % kTapsInRow;
}

/// Packing::Format::kInt4 and kInt2: the byte of weights of 0, and where a weight goes.
std::uint8_t empty_byte(Packing::Format format) { return format == Packing::Format::kInt4 ? 0x08 : 0x2a; }

void put_packed(std::uint8_t* byte, Packing::Format format, int quad, int value) {
  const int quads = linear_quads(format), bits = 8 / quads, shift = quad % quads * bits, mask = (1 << bits) - 1;
  const int code = (quad % quads + 1 == quads ? value : value + (1 << (bits - 1))) & mask;
  *byte = static_cast<std::uint8_t>((*byte & ~(mask << shift)) | (code << shift));
}

constexpr int kWindows[] = {2, 3, 4, 6, 8, 12, 18, 27, 36, 72, 144, 1 << 20};

/// What PackedWeights::reach holds.  Positive and negative weights apart: codes are not negative, so that a sum stands
/// between them at every step.
std::vector<int> reach_of(const PackedWeights& packed, std::size_t steps, std::size_t groups) {
  const auto pairs = static_cast<std::size_t>(packed.packing.group) * 2;
  std::vector<int> up(pairs), down(pairs), reach;
  for (const int window : kWindows) {
    int furthest = 0;
    const auto end_window = [&] {
      for (std::size_t p = 0; p < pairs; ++p) furthest = std::max({furthest, up[p], -down[p]});
      std::fill(up.begin(), up.end(), 0);
      std::fill(down.begin(), down.end(), 0);
    };
    for (std::size_t group = 0; group < groups; ++group) {
      const auto* weight = reinterpret_cast<const std::int8_t*>(packed.data()) + group * packed.group_bytes;
      int left = window;
      for (std::size_t step = 0; step < steps; ++step, weight += 2 * pairs) {
        for (std::size_t p = 0; p < pairs; ++p) {
          const int first = weight[2 * p], second = weight[2 * p + 1];
          up[p] += std::max(first, 0) + std::max(second, 0);
          down[p] += std::min(first, 0) + std::min(second, 0);
        }
        if (--left == 0) {
          end_window();
          left = window;
        }
      }
      end_window();
    }
    reach.push_back(furthest);
    if (static_cast<std::size_t>(window) > steps) break;  // never full before the end
  }
  return reach;
}

}  // namespace

int PackedWeights::narrow_steps(int code_bound) const {
  int steps = 1;
  for (std::size_t i = 0; i < reach.size() && reach[i] * code_bound <= 32767; ++i) steps = kWindows[i];
  return steps;
}

TablePlace table_place(const Packing& packing, int channel) {
  const int quad = channel / 4, in_quad = channel % 4;
  if (table_channels(packing) == 3) return {quad / 3 * 2 + in_quad % 2, in_quad / 2, quad % 3 * kTableWeightBits};
  // By pixels a byte is the place of a table of 16 bytes.
  return {quad, in_quad / 2, in_quad % 2 * kTableWeightBits + (packing.lanes == Packing::Lanes::kPixels ? 4 : 0)};
}

int EffectiveWeights::lowest() const { return values.empty() ? 0 : *std::min_element(values.begin(), values.end()); }
int EffectiveWeights::highest() const { return values.empty() ? 0 : *std::max_element(values.begin(), values.end()); }

void PackedWeights::Free::operator()(std::uint8_t* memory) const { std::free(memory); }

PackedWeights pack_weights(const EffectiveWeights& weights, Packing packing) {
  const auto taps = static_cast<std::size_t>(weights.taps);
  const auto group = static_cast<std::size_t>(packing.group);
  // A depthwise group of four filters reads the one quad of its own channels.
  const std::size_t quads = weights.depthwise ? 1 : (static_cast<std::size_t>(weights.in) + 3) / 4;
  const bool tables = packing.format == Packing::Format::kTables;
  const std::size_t planes = tables ? static_cast<std::size_t>(table_planes(packing, static_cast<int>(quads))) : quads;
  const std::size_t lane = tables ? 2 : packing.format == Packing::Format::kWords ? 8 : 4;
  const auto together = static_cast<std::size_t>(linear_quads(packing.format));
  const std::size_t groups = (static_cast<std::size_t>(weights.out) + group - 1) / group;

  PackedWeights packed;
  packed.packing = packing;
  const bool by_taps = packing.lanes == Packing::Lanes::kTaps;
  packed.group_bytes = round_up(by_taps ? kTapGroupBytes : (planes + together - 1) / together * taps * group * lane, kAlignment);
  const std::size_t bytes = std::max(packed.group_bytes * groups, kAlignment);
  packed.data_.reset(static_cast<std::uint8_t*>(std::aligned_alloc(kAlignment, bytes)));
  if (!packed.data_) throw std::bad_alloc();
  std::memset(packed.data_.get(), together > 1 ? empty_byte(packing.format) : 0, bytes);

  const std::size_t in = static_cast<std::size_t>(weights.in);
  for (std::size_t o = 0; o < static_cast<std::size_t>(weights.out); ++o)
    for (std::size_t i = 0; i < in; ++i)
      for (std::size_t t = 0; t < taps; ++t) {
        const std::size_t channel = weights.depthwise ? o % 4 : i % 4;
        const std::size_t quad = weights.depthwise ? 0 : i / 4;
        std::uint8_t* const first = packed.data_.get() + o / group * packed.group_bytes;
        const std::int16_t value = weights.values[(o * in + i) * taps + t];
        if (tables) {
          const TablePlace place = table_place(packing, static_cast<int>(i));
          const std::size_t at =
              (static_cast<std::size_t>(place.plane) * taps + t) * 2 + static_cast<std::size_t>(place.slot);
          first[at * group + o % group] |= static_cast<std::uint8_t>((value & 3) << place.shift);
        } else if (together > 1) {
          put_packed(first + (quad / together * group + o % group) * lane + channel, packing.format,
                     static_cast<int>(quad), value);
        } else if (by_taps) {
          first[tap_place(t, o % group)] = static_cast<std::uint8_t>(static_cast<std::int8_t>(value));
        } else {
          put(first + ((quad * taps + t) * group + o % group) * lane, packing.format, static_cast<int>(channel), value);
        }
      }
  // Sets that count in 16 bits have groups of 4 pixels' or of 8 filters' lanes.
  if (packing.format == Packing::Format::kBytes && !by_taps && group <= 8)
    packed.reach = reach_of(packed, quads * taps, groups);
  return packed;
}

}  // namespace bitpilot
