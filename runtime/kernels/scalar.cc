#include <cmath>
#include <cstring>

#include "runtime/kernels/kernels.h"

/// Portable kernels: the reference that every other table must equal.  Plain loops over one pixel at a time, no vector
/// types.
namespace bitpilot {
namespace {

bool is_valid(const std::uint8_t* valid, int position) { return (valid[position / 8] >> (position % 8)) & 1; }

int code_of(float value, int zero_point, int highest) {
  const auto lowest_value = static_cast<float>(-zero_point);
  const auto highest_value = static_cast<float>(highest - zero_point);
  float clamped = value > lowest_value ? value : lowest_value;
  clamped = clamped < highest_value ? clamped : highest_value;
  return static_cast<int>(std::nearbyint(clamped)) + zero_point;
}

bool supported() { return true; }

int packings(const ConvShape&, Packing (&legal)[kMaxPackings]) {
  legal[0] = {Packing::Format::kWords, 4, Packing::Lanes::kPixels};
  return 1;
}

/// Sum of one filter at one position, modulo 2^32.
std::int32_t dot(const ConvTask& task, int group, int filter, int position) {
  std::uint32_t sum = 0;
  const std::uint8_t* src = task.src + static_cast<std::size_t>(group * task.quad_step) * task.src_plane + 4 * position;
  const std::uint8_t* weights = task.weights + static_cast<std::size_t>(group) * task.group_bytes + 8 * filter;
  for (int quad = 0; quad < task.quads; ++quad, src += task.src_plane)
    for (int tap = 0; tap < task.tap_count; ++tap, weights += 32) {
      const std::uint8_t* codes = src + task.taps[tap];
      std::int16_t words[4];  // of channels 0 2 1 3
      std::memcpy(words, weights, sizeof(words));
      sum += static_cast<std::uint32_t>(codes[0] * words[0] + codes[2] * words[1] + codes[1] * words[2] +
                                        codes[3] * words[3]);
    }
  return static_cast<std::int32_t>(sum);
}

void conv(const ConvTask& task) {
  for (int filter = 4 * task.first_group; filter < 4 * task.groups; ++filter) {
    const auto quad = static_cast<std::size_t>(filter / 4);
    for (int position = task.first_position; position < task.positions; ++position) {
      if (!is_valid(task.valid, position)) continue;
      const auto at = static_cast<std::size_t>(4 * position + filter % 4);
      const auto sum = static_cast<std::uint32_t>(dot(task, filter / 4, filter % 4, position));
      const auto biased = static_cast<std::int32_t>(sum + static_cast<std::uint32_t>(task.bias[filter]));
      float value = static_cast<float>(biased) * task.multiplier[filter];
      if (task.carry.src != nullptr) {
        const int carried = task.carry.src[quad * task.carry.plane + at] - task.carry.zero_point;
        const float residual = static_cast<float>(carried) * task.carry.step;
        value = value + residual;
      }
      for (int o = 0; o < task.output_count; ++o) {
        const CodeOutput& output = task.outputs[o];
        output.dst[quad * output.plane + at] =
            static_cast<std::uint8_t>(code_of(value * output.scale, output.zero_point, output.highest));
      }
    }
  }
}

void max_pool(const PoolTask& task) {
  for (int quad = 0; quad < task.quads; ++quad)
    for (int position = 0; position < task.positions; ++position) {
      if (!is_valid(task.valid, position)) continue;
      for (int channel = 0; channel < 4; ++channel) {
        const std::uint8_t* src = task.src + static_cast<std::size_t>(quad) * task.src_plane + 4 * position + channel;
        std::uint8_t largest = 0;
        for (int tap = 0; tap < task.tap_count; ++tap)
          largest = src[task.taps[tap]] > largest ? src[task.taps[tap]] : largest;
        task.dst[static_cast<std::size_t>(quad) * task.dst_plane + static_cast<std::size_t>(4 * position + channel)] =
            largest;
      }
    }
}

void gather(const GatherTask& task) {
  for (int quad = 0; quad < task.quads; ++quad)
    for (int row = 0; row < task.rows; ++row) {
      const std::uint8_t* src = task.src + static_cast<std::size_t>(quad) * task.src_plane +
                                static_cast<std::size_t>(row * task.stride) * task.src_row;
      std::uint8_t* dst =
          task.dst + static_cast<std::size_t>(quad) * task.dst_plane + static_cast<std::size_t>(row) * task.dst_row;
      for (int column = 0; column < task.columns; ++column)
        std::memcpy(dst + 4 * column, src + 4 * column * task.stride, 4);
    }
}

void recode(const RecodeTask& task) {
  std::uint8_t table[256];
  for (int code = 0; code < 256; ++code)
    table[code] = static_cast<std::uint8_t>(code_of(static_cast<float>(code - task.src_zero) * task.output.scale,
                                                    task.output.zero_point, task.output.highest));
  for (int quad = 0; quad < task.quads; ++quad) {
    const std::uint8_t* src = task.src + static_cast<std::size_t>(quad) * task.src_plane;
    std::uint8_t* dst = task.output.dst + static_cast<std::size_t>(quad) * task.output.plane;
    for (int position = 0; position < task.positions; ++position)
      if (is_valid(task.valid, position))
        for (int channel = 0; channel < 4; ++channel) dst[4 * position + channel] = table[src[4 * position + channel]];
  }
}

void channel_sums(const SumTask& task) {
  for (int quad = 0; quad < task.quads; ++quad)
    for (int channel = 0; channel < 4; ++channel) {
      std::uint32_t sum = 0;  // modulo 2^32, as vectors add
      const std::uint8_t* src = task.src + static_cast<std::size_t>(quad) * task.src_plane + channel;
      for (int position = 0; position < task.positions; ++position)
        if (is_valid(task.valid, position)) sum += src[4 * position];
      task.sums[4 * quad + channel] = static_cast<std::int32_t>(sum);
    }
}

/// One weight of a packed Linear layer, and the channel that it meets in the task's order.
int linear_weight(const LinearTask& task, int filter, int channel) {
  if (const int quads = linear_quads(task.packing.format); quads > 1) {
    const int bits = 8 / quads, place = channel / 4 % quads, half = 1 << (bits - 1);
    const std::uint8_t byte = task.weights[static_cast<std::size_t>(filter / 8) * task.group_bytes +
                                           static_cast<std::size_t>((channel / 4 / quads * 8 + filter % 8) * 4 + channel % 4)];
    const int code = byte >> (place * bits) & (2 * half - 1);
    return place + 1 < quads ? code - half : (code ^ half) - half;
  }
  const bool bytes = task.packing.format == Packing::Format::kBytes;
  const std::size_t lane = bytes ? 1 : 2, group = static_cast<std::size_t>(filter / task.packing.group),
                    quad = static_cast<std::size_t>(channel / 4),
                    in_group = static_cast<std::size_t>(filter % task.packing.group);
  const std::uint8_t* at =
      task.weights + group * task.group_bytes +
      ((quad * static_cast<std::size_t>(task.packing.group) + in_group) * 4 + static_cast<std::size_t>(channel % 4)) *
          lane;
  if (bytes) return static_cast<std::int8_t>(*at);
  std::int16_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

void linear(const LinearTask& task) {
  for (int o = 0; o < task.packing.group * task.groups; ++o) {
    std::uint32_t sum = 0;
    for (int i = 0; i < 4 * task.quads; ++i) {
      const auto low = static_cast<std::uint32_t>(std::int32_t{task.low[i]});
      const auto high = task.high != nullptr ? static_cast<std::uint32_t>(std::int32_t{task.high[i]}) : 0U;
      sum += (low + (high << 15)) * static_cast<std::uint32_t>(linear_weight(task, o, i));
    }
    task.dst[o] = static_cast<std::int32_t>(sum);
  }
}

std::int64_t peak(int rounds) {
  constexpr int kSums = 16, kTimes = 16;
  std::int32_t sums[kSums] = {};
  std::int32_t code = 3;
  for (int i = 0; i < rounds * kTimes; ++i) {
    asm("" : "+r"(code));  // unknown to the compiler
    for (std::int32_t& sum : sums) sum += (code & 255) * 5;
    asm("" : : "r"(sums) : "memory");
  }
  return std::int64_t{rounds} * kTimes * kSums;
}

}  // namespace

const Kernels kScalarKernels{"scalar", false,  supported, packings,     conv,   nullptr,
                             max_pool, gather, recode,    channel_sums, linear, peak};

}  // namespace bitpilot
