#include "experiments/event_file.h"

#include <array>
#include <bit>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "runtime/core/error.h"

namespace bitpilot {

namespace {

namespace fs = std::filesystem;

std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>((value >> (8 * i)) & 0xFFU);
  return text;
}

// Protocol buffers: a field is its number and wire type, then its value.
enum class Wire : std::uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string varint(std::uint64_t value) {
  std::string text;
  for (; value >= 0x80; value >>= 7) text += static_cast<char>((value & 0x7FU) | 0x80U);
  return text + static_cast<char>(value);
}

std::string field(std::uint64_t number, Wire wire, const std::string& value) {
  return varint((number << 3) | static_cast<std::uint64_t>(wire)) + (wire == Wire::kBytes ? varint(value.size()) : "") + value;
}

/// Event{1: wall time, 2: step}; the step in as few bytes as it takes.
std::string event_head(std::int64_t step) {
  const double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  return field(1, Wire::kFixed64, little_endian(std::bit_cast<std::uint64_t>(now), 8)) +
         field(2, Wire::kVarint, varint(static_cast<std::uint64_t>(step)));
}

std::string record(const std::string& event) {
  const std::string length = little_endian(event.size(), 8);
  return length + little_endian(masked_crc32c(length), 4) + event + little_endian(masked_crc32c(event), 4);
}

}  // namespace

std::uint32_t crc32c(const std::string& bytes) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> made{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      made[i] = i;
      for (int bit = 0; bit < 8; ++bit) made[i] = (made[i] >> 1) ^ ((made[i] & 1) != 0 ? 0x82F63B78U : 0U);
    }
    return made;
  }();
  std::uint32_t crc = ~0U;
  for (const char c : bytes) crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xFFU];
  return ~crc;
}

std::uint32_t masked_crc32c(const std::string& bytes) { return std::rotr(crc32c(bytes), 15) + 0xA282EAD8U; }

std::uint64_t EventFile::size() const {
  std::error_code none;
  const std::uintmax_t bytes = fs::file_size(path_, none);
  return none ? 0 : bytes;
}

void EventFile::cut(std::uint64_t bytes) const {
  std::error_code failure;
  if (size() > bytes) fs::resize_file(path_, bytes, failure);
  if (failure)
    throw Error(ExitCode::kMachine, "the event file cannot be cut back: " + failure.message(), path_, "check its rights");
}

void EventFile::add(std::int64_t step, const std::vector<std::pair<std::string, double>>& scalars) const {
  const std::uint64_t before = size();
  std::string bytes;
  if (before == 0) bytes = record(event_head(0) + field(3, Wire::kBytes, "brain.Event:2"));
  std::string summary;
  for (const auto& [tag, value] : scalars)
    summary += field(1, Wire::kBytes,
                     field(1, Wire::kBytes, tag) +
                         field(2, Wire::kFixed32, little_endian(std::bit_cast<std::uint32_t>(static_cast<float>(value)), 4)));
  bytes += record(event_head(step) + field(5, Wire::kBytes, summary));
  std::ofstream file(path_, std::ios::app | std::ios::binary);
  file << bytes << std::flush;
  if (file) return;
  file.close();
  std::error_code ignored;
  fs::resize_file(path_, before, ignored);
  throw Error(ExitCode::kMachine, "the event file cannot be written", path_, "free space on the disk");
}

}  // namespace bitpilot
