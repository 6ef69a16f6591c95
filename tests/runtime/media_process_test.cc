#include "runtime/sources/media_process.h"

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>

#include "runtime/core/error.h"
#include "runtime/sources/source.h"
#include "tests/support/temporary_folder.h"

using bitpilot::Error;
using bitpilot::ExitCode;
using bitpilot::MediaEvent;
using bitpilot::MediaProcess;
using bitpilot::Stop;
using bitpilot::testing::TemporaryFolder;
using namespace std::chrono_literals;

namespace {

/// A message header as shell's printf writes it.
std::string header(int kind, int slot = -1, unsigned width = 0, unsigned height = 0, unsigned channels = 0,
                   unsigned text_bytes = 0) {
  std::string text = "\\x42\\x4d\\x50\\x31";  // the magic
  const auto add = [&](std::uint64_t value, int bytes) {
    const char* digits = "0123456789abcdef";
    for (int i = 0; i < bytes; ++i, value >>= 8)
      text += std::string("\\x") + digits[value >> 4 & 15] + digits[value & 15];
  };
  add(static_cast<std::uint64_t>(kind), 4);
  add(0, 8);
  add(static_cast<std::uint32_t>(slot), 4);
  for (const unsigned value : {width, height, channels}) add(value, 4);
  add(0, 8);
  add(0, 8);
  add(0, 4);
  add(0, 4);
  add(text_bytes, 4);
  add(0, 4);
  return text;
}

constexpr int kHello = 16, kFrame = 17;

/// A media program that says hello, runs `script` and then sleeps.
std::string program(const TemporaryFolder& folder, const std::string& script, bool hello = true) {
  const std::string said = hello ? "printf '" + header(kHello) + "' >&3\n" : "";
  const std::string path = folder.write("media.sh", "#!/bin/bash\n" + said + script + "\nexec sleep 60\n");
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

MediaEvent event_of(const std::string& script, std::chrono::milliseconds timeout = 5s) {
  const TemporaryFolder folder;
  const Stop stop;
  MediaProcess process(stop, program(folder, script));
  REQUIRE(process.start());
  MediaEvent event = process.wait(timeout);
  CHECK(process.running() == (event.kind == MediaEvent::Kind::kMessage));
  return event;
}

}  // namespace

TEST_CASE("sources/media_process: a child that cannot start or does not answer as it should is the machine's failure") {
  const TemporaryFolder folder;
  const Stop stop;
  for (const std::string& script : {std::string("exit 7"), std::string("printf 'nonsense' >&3"),
                                    "printf '" + header(kFrame, 0, 1, 1, 1) + "' >&3"}) {
    INFO(script);
    MediaProcess process(stop, program(folder, script, false));
    CHECK_THROWS_AS(process.start(), Error);
    CHECK_FALSE(process.running());
  }
  MediaProcess missing(stop, "/nowhere/bitpilot-media");
  CHECK_THROWS_AS(missing.start(), Error);
}

TEST_CASE("sources/media_process: crashes, hangs and garbage are events, and the child is gone afterwards") {
  CHECK(event_of("kill -SEGV $$").kind == MediaEvent::Kind::kDied);
  CHECK(event_of("kill -SEGV $$").reason == "killed by signal 11");
  CHECK(event_of("exit 3").reason == "ended with exit code 3");
  CHECK(event_of("", 100ms).kind == MediaEvent::Kind::kTimeout);
  CHECK(event_of("printf 'what is this' >&3").kind == MediaEvent::Kind::kGarbage);
  CHECK(event_of("printf '" + header(18, 0, 0, 0, 0, 9) + "short' >&3").kind == MediaEvent::Kind::kGarbage);
}

TEST_CASE("sources/media_process: impossible frames are refused before their pixels are touched") {
  const auto kind = [](int slot, unsigned width, unsigned height, unsigned channels) {
    return event_of("printf '" + header(kFrame, slot, width, height, channels) + "' >&3").kind;
  };
  CHECK(kind(0, 8, 8, 3) == MediaEvent::Kind::kMessage);
  CHECK(kind(2, 8000, 8000, 3) == MediaEvent::Kind::kMessage);  // 64 megapixels, the most
  CHECK(kind(3, 8, 8, 1) == MediaEvent::Kind::kGarbage);
  CHECK(kind(-1, 8, 8, 1) == MediaEvent::Kind::kGarbage);
  CHECK(kind(0, 0, 8, 1) == MediaEvent::Kind::kGarbage);
  CHECK(kind(0, 8, 8, 2) == MediaEvent::Kind::kGarbage);
  CHECK(kind(0, 8001, 8000, 1) == MediaEvent::Kind::kGarbage);
  CHECK(kind(0, 0x7fffffff, 0x7fffffff, 3) == MediaEvent::Kind::kGarbage);
  CHECK(kind(0, 0xffffffff, 0xffffffff, 3) == MediaEvent::Kind::kGarbage);
}

TEST_CASE("sources/media_process: a child cannot take its shared memory away") {
  // It may try; reading it afterwards must not end this process by SIGBUS.
  const MediaEvent event =
      event_of("truncate -s 0 /proc/self/fd/4; printf '" + header(kFrame, 1, 100, 100, 3) + "' >&3");
  CHECK(event.kind == MediaEvent::Kind::kMessage);
  CHECK(event.image.pixels.size() == 30000);
}

TEST_CASE("sources/media_process: a stop ends waiting at once") {
  const TemporaryFolder folder;
  Stop stop;
  MediaProcess process(stop, program(folder, ""));
  REQUIRE(process.start());
  stop.request();
  CHECK(process.wait(60s).kind == MediaEvent::Kind::kStopped);
  CHECK_FALSE(process.running());
}

TEST_CASE("sources: a decoder that dies on every picture costs those pictures and nothing else") {
  const TemporaryFolder folder;
  const Stop stop;
  folder.write("pictures/a.png", "x");
  folder.write("pictures/b.png", "x");
  bitpilot::SourceOptions options;
  options.media_program = program(folder, "exit 9");
  const auto source = bitpilot::open_source(bitpilot::parse_source(folder.path("pictures")), options, stop);
  for (const char* name : {"a.png", "b.png"}) {
    const bitpilot::SourceEvent event = source->next();
    CHECK(event.kind == bitpilot::SourceEvent::Kind::kSkipped);
    CHECK(event.text.find(name) != std::string::npos);
    CHECK(event.text.find("exit code 9") != std::string::npos);
  }
  CHECK(source->next().kind == bitpilot::SourceEvent::Kind::kEnd);
}

TEST_CASE("sources: a decoder that hangs costs one picture after its time") {
  const TemporaryFolder folder;
  const Stop stop;
  bitpilot::SourceOptions options;
  options.item_timeout = 50ms;
  options.media_program = program(folder, "");
  const auto source = bitpilot::open_source(bitpilot::parse_source(folder.write("a.png", "x")), options, stop);
  CHECK(source->next().kind == bitpilot::SourceEvent::Kind::kSkipped);
  CHECK(source->next().kind == bitpilot::SourceEvent::Kind::kEnd);
}

TEST_CASE("sources: a live stream comes back as often as was asked for, then fails") {
  const TemporaryFolder folder;
  const Stop stop;
  bitpilot::SourceOptions options;
  options.reconnect_attempts = 1;
  options.media_program = program(folder, "exit 1");
  const auto source = bitpilot::open_source(bitpilot::parse_source("rtsp://user:secret@127.0.0.1/x"), options, stop);
  CHECK(source->live());
  CHECK(source->name().find("secret") == std::string::npos);
  CHECK(source->next().kind == bitpilot::SourceEvent::Kind::kNotice);
  const bitpilot::SourceEvent last = source->next();
  CHECK(last.kind == bitpilot::SourceEvent::Kind::kFailed);
  CHECK(last.code == ExitCode::kMachine);
  CHECK(source->next().kind == bitpilot::SourceEvent::Kind::kEnd);
}
