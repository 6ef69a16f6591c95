#include "experiments/run_clock.h"

#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "runtime/core/files.h"
#include "tests/support/temporary_folder.h"

using namespace bitpilot;

TEST_CASE("experiments/run_clock: parts add up over calls, and a damaged file counts as nothing") {
  const bitpilot::testing::TemporaryFolder folder;
  const std::string file = folder.path("seconds.json");
  const auto seconds = [&] { return nlohmann::json::parse(read_file(file)); };
  const auto wait = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  double kept = 0;
  {
    RunClock clock(file);
    clock.begin("float");
    wait();
    clock.begin("supernet");
    wait();
    clock.keep();
    kept = seconds().at("supernet");
    wait();  // the call is killed here: not counted
  }
  const double first = seconds().at("supernet");
  CHECK(first == kept);
  CHECK(seconds().at("float").get<double>() >= 0.02);
  CHECK(first >= 0.02);
  {
    RunClock clock(file);
    clock.begin("supernet");
    wait();
    clock.keep();
  }
  CHECK(seconds().at("supernet").get<double>() >= first + 0.02);
  CHECK(seconds().size() == 2);

  write_file_atomically(file, "{\"float\": ");
  RunClock clock(file);
  clock.begin("policy");
  clock.keep();
  CHECK(seconds().size() == 1);
  CHECK(seconds().contains("policy"));
}
