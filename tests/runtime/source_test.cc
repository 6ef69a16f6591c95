#include "runtime/sources/source.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>

#include "runtime/sources/stream_source.h"
#include "tests/support/temporary_folder.h"

using bitpilot::Error;
using bitpilot::ExitCode;
using bitpilot::parse_source;
using bitpilot::SourceKind;
using bitpilot::testing::TemporaryFolder;

TEST_CASE("sources/folder: pictures of all subfolders in name order, nothing else") {
  const TemporaryFolder folder;
  for (const char* name : {"b/2.PNG", "a/z.jpg", "a/b/1.png", "c.webp", "a.png"}) folder.write(name, "x");
  folder.write("notes.txt", "no picture");
  folder.write("manifest.jsonl", "{}");
  folder.write("unnamed", std::string("\x89PNG\r\n\x1a\n", 8) + "rest");
  std::filesystem::create_directory_symlink(folder.path(), folder.path("a/loop"));
  REQUIRE(mkfifo(folder.path("pipe.png").c_str(), 0600) == 0);
  std::vector<std::string> expected;
  for (const char* name : {"a/b/1.png", "a/z.jpg", "a.png", "b/2.PNG", "c.webp", "unnamed"})
    expected.push_back(folder.path(name));
  CHECK(bitpilot::list_pictures(folder.path()) == expected);
}

TEST_CASE("sources: what a --source means") {
  const TemporaryFolder folder;
  CHECK(parse_source(folder.path()).kind == SourceKind::kPictures);
  CHECK(parse_source(folder.write("a.jpg", "x")).kind == SourceKind::kPictures);
  CHECK(parse_source(folder.write("a.mp4", "x")).kind == SourceKind::kVideo);
  CHECK(parse_source("rtsp://host/stream").kind == SourceKind::kRtsp);
  CHECK(parse_source("http://host:8080/video").kind == SourceKind::kHttp);
  CHECK(parse_source("7").target == "/dev/video7");
  CHECK(parse_source("/dev/null").kind == SourceKind::kCamera);
  CHECK(parse_source("7").live());
  CHECK_FALSE(parse_source(folder.path("a.mp4")).live());
}

TEST_CASE("sources: addresses are named without their credentials") {
  const bitpilot::SourceSpec spec = parse_source("rtsp://admin:hunter2@cam/stream?token=abc123");
  CHECK(spec.target.find("hunter2") != std::string::npos);
  CHECK(spec.name.find("hunter2") == std::string::npos);
  CHECK(spec.name.find("abc123") == std::string::npos);
}

TEST_CASE("sources: what is not there or of another kind is refused") {
  const TemporaryFolder folder;
  const auto code = [](const std::string& text) {
    try {
      parse_source(text);
      return ExitCode::kOk;
    } catch (const Error& error) {
      return error.code;
    }
  };
  CHECK(code(folder.path("missing.mp4")) == ExitCode::kData);
  CHECK(code("ftp://host/file") == ExitCode::kUsage);
  CHECK(code("concat://a") == ExitCode::kUsage);
  const bitpilot::Stop stop;
  CHECK_THROWS_AS(bitpilot::open_source(parse_source(folder.path()), {}, stop), Error);
}

TEST_CASE("sources: attempts to reconnect come at most twice a second and at least every six") {
  bitpilot::Random random(1, "test");
  for (std::int64_t failures = 1; failures < 100; ++failures) {
    const auto pause = bitpilot::reconnect_pause(failures, random).count();
    CHECK(pause >= 500);
    CHECK(pause <= 6000);
    if (failures > 5) CHECK(pause >= 5000);
  }
}
