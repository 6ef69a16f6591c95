#include "runtime/sinks/json_lines.h"

#include <doctest/doctest.h>

#include "runtime/core/error.h"
#include "tests/support/temporary_folder.h"

using bitpilot::Error;
using bitpilot::ExitCode;
using bitpilot::JsonLines;
using bitpilot::testing::TemporaryFolder;

namespace {

const std::string kFirst = R"({"schema":"bitpilot.decision/1","sequence":0})",
                  kSecond = R"({"schema":"bitpilot.decision/1","sequence":1})";

ExitCode code_of(const auto& action) {
  try {
    action();
    return ExitCode::kOk;
  } catch (const Error& error) {
    return error.code;
  }
}

}  // namespace

TEST_CASE("sinks/json_lines: a file starts anew, or goes on behind its last whole line") {
  const TemporaryFolder folder;
  const std::string path = folder.path("d.jsonl");
  JsonLines(path).write(kFirst);
  CHECK(folder.read("d.jsonl") == kFirst + "\n");
  folder.write("d.jsonl", kFirst + "\n" + kSecond.substr(0, 20));
  JsonLines(path, true).write(kSecond);
  CHECK(folder.read("d.jsonl") == kFirst + "\n" + kSecond + "\n");
  JsonLines(path).write(kSecond);
  CHECK(folder.read("d.jsonl") == kSecond + "\n");
}

TEST_CASE("sinks/json_lines: a torn line of any length is cut off, also when it is all there is") {
  const TemporaryFolder folder;
  for (const std::size_t length : {1UL, 4095UL, 4096UL, 4097UL, 20000UL}) {
    for (const bool alone : {true, false}) {
      INFO(length, alone);
      const std::string torn = (kFirst.substr(0, 21) + std::string(length, 'x')).substr(0, length);
      folder.write("d.jsonl", (alone ? "" : kFirst + "\n") + torn);
      JsonLines(folder.path("d.jsonl"), true).write(kSecond);
      CHECK(folder.read("d.jsonl") == (alone ? "" : kFirst + "\n") + kSecond + "\n");
    }
  }
}

TEST_CASE("sinks/json_lines: a file of something else is left as it is") {
  const TemporaryFolder folder;
  const std::string path = folder.write("model.safetensors", "precious");
  CHECK(code_of([&] { JsonLines lines(path); }) == ExitCode::kUsage);
  CHECK(folder.read("model.safetensors") == "precious");
}

TEST_CASE("sinks/json_lines: a full or missing place is the machine's failure") {
  CHECK(code_of([] { JsonLines("/dev/full").write(kFirst); }) == ExitCode::kMachine);
  CHECK(code_of([] { JsonLines("/nowhere/at/all.jsonl"); }) == ExitCode::kMachine);
}
