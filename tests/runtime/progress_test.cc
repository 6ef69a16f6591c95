#include "runtime/sinks/progress.h"

#include <doctest/doctest.h>

using bitpilot::Progress;

TEST_CASE("sinks/progress: a line shows share, count, time left and note") {
  const std::string line = Progress::line("train", 500, 2000, 30, "loss 0.41", false);
  CHECK(line == "train   25 %  500/2000  1m 30s left  loss 0.41");
  const std::string bar = Progress::line("train", 500, 2000, 30, "", true);
  CHECK(bar.find("[######                  ]") != std::string::npos);
}

TEST_CASE("sinks/progress: work of unknown length shows what is done, finished work no time left") {
  CHECK(Progress::line("run", 7, 0, 2, "", true) == "run  7  2.0 s");
  CHECK(Progress::line("run", 8, 8, 2, "", false) == "run  100 %  8/8");
}

TEST_CASE("sinks/progress: durations are read at a glance") {
  CHECK(Progress::duration(0.25) == "250 ms");
  CHECK(Progress::duration(3.44) == "3.4 s");
  CHECK(Progress::duration(125) == "2m 5s");
  CHECK(Progress::duration(3840) == "1h 4m");
}

TEST_CASE("sinks/progress: quiet wins over everything") { CHECK(Progress::style(true) == Progress::Style::kSilent); }
