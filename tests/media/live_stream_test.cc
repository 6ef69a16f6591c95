// A camera over http, played by a small server of our own: it ends, freezes, falls silent, changes its size, serves
// what it should not.
#include <doctest/doctest.h>

#include <string>

#include "runtime/core/error.h"
#include "runtime/sources/source.h"
#include "tests/support/fake_camera.h"

using bitpilot::SourceEvent;
using bitpilot::Stop;
using bitpilot::testing::FakeCamera;
using Kind = bitpilot::SourceEvent::Kind;

namespace {

bitpilot::SourceOptions options(std::int64_t attempts) {
  bitpilot::SourceOptions chosen;
  chosen.media_program = std::string(BITPILOT_BIN_DIR) + "/bitpilot-media";
  chosen.reconnect_attempts = attempts;
  return chosen;
}

/// Plays `frames` pictures that differ.
FakeCamera::Play pictures(int frames, int width = 64, int height = 48) {
  return [=](FakeCamera& camera, int) {
    camera.put_head();
    for (int i = 0; i < frames && !camera.over(); ++i) camera.put_picture(i, width, height);
  };
}

/// The next event that says something or brings a frame.
SourceEvent next_of(bitpilot::Source& source) {
  SourceEvent event = source.next();
  while (event.kind == Kind::kNotice && event.text.empty()) event = source.next();
  CHECK(event.text.find("secret") == std::string::npos);
  CHECK(event.frame.source.find("secret") == std::string::npos);
  return event;
}

}  // namespace

TEST_CASE("media: a live stream that ends is lost, comes back and says so") {
  FakeCamera camera(pictures(40));
  const Stop stop;
  const auto source = bitpilot::open_source(bitpilot::parse_source(camera.address()), options(-1), stop);
  int frames = 0, lost = 0, back = 0;
  while (frames < 60) {
    const SourceEvent event = next_of(*source);
    REQUIRE(event.kind != Kind::kEnd);
    REQUIRE(event.kind != Kind::kFailed);
    if (event.kind == Kind::kNotice) {
      ++lost;
      REQUIRE(lost < 100);
      continue;
    }
    back += event.text == "is back";
    CHECK(event.frame.image.width == 64);
    CHECK(event.frame.image.height == 48);
    CHECK(event.frame.index == static_cast<std::uint64_t>(frames++));
  }
  CHECK(lost >= 1);
  CHECK(back >= 1);
  CHECK(camera.clients() >= 2);
}

TEST_CASE("media: a camera that comes back with another size goes on with that") {
  FakeCamera camera([](FakeCamera& self, int number) { pictures(30, number % 2 == 0 ? 64 : 320, 48)(self, number); });
  const Stop stop;
  const auto source = bitpilot::open_source(bitpilot::parse_source(camera.address()), options(-1), stop);
  bool small = false, large = false;
  for (int events = 0; events < 200 && !large; ++events) {
    const SourceEvent event = next_of(*source);
    if (event.kind != Kind::kFrame) continue;
    CHECK(event.frame.image.pixels.size() == static_cast<std::size_t>(event.frame.image.width) * 48 * 3);
    small = small || event.frame.image.width == 64;
    large = event.frame.image.width == 320;
  }
  CHECK(small);
  CHECK(large);
}

TEST_CASE("media: a camera that shows one picture again and again is frozen; its frames are counted, not handed on") {
  FakeCamera camera([](FakeCamera& self, int) {
    self.put_head();
    for (int i = 0; i < 10; ++i) self.put_picture(i);
    for (int i = 0; i < 150 && !self.over(); ++i) self.put_picture(77);
    for (int i = 0; i < 200 && !self.over(); ++i) self.put_picture(100 + i % 50);
    self.hold();
  });
  bitpilot::SourceOptions quick = options(-1);
  quick.frozen_after = std::chrono::milliseconds(200);
  const Stop stop;
  const auto source = bitpilot::open_source(bitpilot::parse_source(camera.address()), quick, stop);
  std::uint64_t frozen = 0;
  int told = 0;
  for (int events = 0; events < 400; ++events) {
    const SourceEvent event = source->next();
    frozen += event.frozen;
    told += event.text.starts_with("frozen: the same picture for 200 ms");
    if (event.kind != Kind::kFrame || event.text != "moves again") continue;
    CHECK(event.frame.dropped_before == frozen);
    CHECK(told == 1);
    CHECK(frozen > 0);
    return;
  }
  FAIL("it never moved again");
}

TEST_CASE("media: a camera that falls silent, at once or within a picture, is lost at its timeout") {
  for (const bool at_once : {true, false}) {
    FakeCamera camera([at_once](FakeCamera& self, int) {
      if (!at_once) {
        self.put_head();
        for (int i = 0; i < 8; ++i) self.put_picture(i);
        self.put("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 5000\r\n\r\n\xff\xd8\xff");
      }
      self.hold();
    });
    bitpilot::SourceOptions quick = options(0);
    quick.open_timeout = std::chrono::milliseconds(3000);
    quick.read_timeout = std::chrono::milliseconds(700);
    const Stop stop;
    const auto source = bitpilot::open_source(bitpilot::parse_source(camera.address()), quick, stop);
    int frames = 0;
    SourceEvent event = next_of(*source);
    for (; event.kind == Kind::kFrame; event = next_of(*source)) ++frames;
    INFO("at once: ", at_once);
    CHECK(event.kind == Kind::kFailed);
    CHECK(event.code == bitpilot::ExitCode::kMachine);
    CHECK(event.text.find(at_once ? "silent for 3000 ms" : "silent for 700 ms") != std::string::npos);
    CHECK((frames > 0) == !at_once);
  }
}

TEST_CASE("media: a camera that refuses or serves no pictures is given up after its attempts") {
  for (const std::string body :
       {"HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"secret\"\r\n\r\n",
        "HTTP/1.0 404 Not Found\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>no camera</html>",
        "nonsense"}) {
    FakeCamera camera([body](FakeCamera& self, int) { self.put(body); });
    const Stop stop;
    const auto source = bitpilot::open_source(bitpilot::parse_source(camera.address()), options(1), stop);
    INFO(body);
    CHECK(next_of(*source).kind == Kind::kNotice);
    const SourceEvent event = next_of(*source);
    CHECK(event.kind == Kind::kFailed);
    CHECK(event.code == bitpilot::ExitCode::kMachine);
    CHECK(camera.clients() >= 2);
  }
}

TEST_CASE("media: a camera that serves a playlist opens nothing else") {
  FakeCamera other(pictures(40));
  const std::string playlist =
      "HTTP/1.0 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\n\r\n#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
      "#EXTINF:1,\n" +
      other.address() + "\n#EXT-X-ENDLIST\n";
  FakeCamera camera([playlist](FakeCamera& self, int) { self.put(playlist); });
  const Stop stop;
  const auto source = bitpilot::open_source(bitpilot::parse_source(camera.address()), options(1), stop);
  SourceEvent event = next_of(*source);
  while (event.kind == Kind::kNotice) event = next_of(*source);
  CHECK(event.kind == Kind::kFailed);
  CHECK(event.code == bitpilot::ExitCode::kMachine);
  CHECK(camera.clients() >= 1);
  CHECK(other.clients() == 0);
}
