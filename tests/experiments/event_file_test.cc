#include "experiments/event_file.h"

#include <doctest/doctest.h>

#include <bit>
#include <cstring>
#include <map>

#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "tests/support/temporary_folder.h"

using bitpilot::EventFile;

namespace {

std::uint64_t number(const std::string& bytes, std::size_t at, int count) {
  std::uint64_t value = 0;
  for (int i = 0; i < count; ++i) value |= std::uint64_t{static_cast<unsigned char>(bytes.at(at + static_cast<std::size_t>(i)))} << (8 * i);
  return value;
}

/// Fields of a protocol buffer message by number, as their raw bytes.
std::multimap<std::uint64_t, std::string> fields(const std::string& message) {
  std::multimap<std::uint64_t, std::string> found;
  std::size_t at = 0;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(message.at(at++));
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.size()) {
    const std::uint64_t key = varint(), wire = key & 7;
    if (wire == 0) {
      found.emplace(key >> 3, std::to_string(varint()));
    } else {
      REQUIRE((wire == 1 || wire == 2 || wire == 5));
      const std::size_t size = wire == 1 ? 8 : wire == 5 ? 4 : varint();
      REQUIRE(at + size <= message.size());
      found.emplace(key >> 3, message.substr(at, size));
      at += size;
    }
  }
  return found;
}

struct Event {
  double time = 0;
  std::int64_t step = 0;
  std::string version;
  std::map<std::string, float> scalars;
};

/// Reads a file as TensorBoard does: every length and every CRC must hold.
std::vector<Event> read(const std::string& bytes) {
  std::vector<Event> events;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t length = number(bytes, at, 8);
    REQUIRE(number(bytes, at + 8, 4) == bitpilot::masked_crc32c(bytes.substr(at, 8)));
    const std::string message = bytes.substr(at + 12, length);
    REQUIRE(message.size() == length);
    REQUIRE(number(bytes, at + 12 + length, 4) == bitpilot::masked_crc32c(message));
    at += 16 + length;
    Event event;
    const auto found = fields(message);
    event.time = std::bit_cast<double>(number(found.find(1)->second, 0, 8));
    event.step = std::stoll(found.find(2)->second);
    if (found.count(3)) event.version = found.find(3)->second;
    if (found.count(5))
      for (const auto& [unused, value] : fields(found.find(5)->second)) {
        const auto scalar = fields(value);
        event.scalars[scalar.find(1)->second] = std::bit_cast<float>(static_cast<std::uint32_t>(number(scalar.find(2)->second, 0, 4)));
      }
    events.push_back(event);
  }
  return events;
}

}  // namespace

TEST_CASE("experiments/event_file: CRC32C gives the published check values") {
  CHECK(bitpilot::crc32c("") == 0);
  CHECK(bitpilot::crc32c("123456789") == 0xE3069283);               // the polynomial's check value
  CHECK(bitpilot::crc32c(std::string(32, '\0')) == 0x8A9136AA);     // RFC 3720, B.4
  CHECK(bitpilot::crc32c(std::string(32, '\xff')) == 0x62A8AB43);
}

TEST_CASE("experiments/event_file: a version first, then every step's scalars, all checksums right") {
  const bitpilot::testing::TemporaryFolder folder;
  const EventFile file(folder.path("events.out.tfevents.run"));
  CHECK(file.size() == 0);
  file.add(300, {{"supernet/loss/u4", 1.25}, {"supernet/learning_rate", 1e-3}});
  file.add(1LL << 40, {{"supernet/loss/u4", -0.5}});
  const std::vector<Event> events = read(bitpilot::read_file(folder.path("events.out.tfevents.run")));
  REQUIRE(events.size() == 3);
  CHECK(events[0].version == "brain.Event:2");
  CHECK(events[1].step == 300);
  CHECK(events[1].scalars == std::map<std::string, float>{{"supernet/loss/u4", 1.25F}, {"supernet/learning_rate", 1e-3F}});
  CHECK(events[2].step == 1LL << 40);
  CHECK(events[2].scalars.at("supernet/loss/u4") == -0.5F);
  CHECK(events[1].time > 1.6e9);
  CHECK(events[2].time >= events[1].time);
}

TEST_CASE("experiments/event_file: cut back to an earlier size it goes on from there") {
  const bitpilot::testing::TemporaryFolder folder;
  const std::string path = folder.path("events.out.tfevents.run");
  const EventFile file(path);
  file.add(1, {{"a", 1}});
  const std::uint64_t known = file.size();
  file.add(2, {{"a", 2}});
  file.cut(known);
  file.add(2, {{"a", 3}});
  const std::vector<Event> events = read(bitpilot::read_file(path));
  REQUIRE(events.size() == 3);
  CHECK(events[2].scalars.at("a") == 3);
  file.cut(0);
  file.add(5, {{"b", 1}});
  CHECK(read(bitpilot::read_file(path)).front().version == "brain.Event:2");
  CHECK_THROWS_AS(EventFile(folder.path("none/events")).add(1, {{"a", 1}}), bitpilot::Error);
}
