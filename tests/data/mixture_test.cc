#include "data/mixture.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "runtime/core/files.h"
#include "tests/data/errors.h"

namespace bitpilot {
namespace {

using testing::check_error;

const std::string kFile = std::string(BITPILOT_SOURCE_DIR) + "/experiments/configs/mixture.json";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  REQUIRE(text.find(from) != std::string::npos);
  return text.replace(text.find(from), from.size(), to);
}

TEST_CASE("data/mixture: the compiled-in mixture is experiments/configs/mixture.json, byte for byte") {
  CHECK(standard_mixture().hash == "sha256:" + sha256(read_file(kFile)));
  CHECK(read_mixture(kFile).seen == standard_mixture().seen);
}

TEST_CASE("data/mixture: the standard mixture is the frozen one: results that name this hash were drawn from it") {
  CHECK(standard_mixture().hash == "sha256:40be9d791ab86227c96005cb33ff3d63f660c2f19d9057eb8f330b2ee106dac5");
  CHECK(standard_mixture().seen ==
        std::vector<std::string>{"gaussian_noise", "shot_noise", "gaussian_blur", "jpeg", "contrast", "pixelate"});
  CHECK(standard_mixture().held_out ==
        std::vector<std::string>{"motion", "impulse", "defocus", "fog", "brightness", "speckle"});
  CHECK(standard_mixture().clean_share == 1.0 / 3.0);
}

TEST_CASE("data/mixture: draws follow the shares, and a draw depends on its key alone") {
  for (const bool held : {false, true}) {
    std::map<std::string, int> families;
    std::map<int, int> severities;
    constexpr int kDraws = 60000;
    for (std::uint64_t i = 0; i < kDraws; ++i) {
      const Draw draw = standard_mixture().draw(7, "train", i, held);
      CHECK((draw.family == "clean") == (draw.severity == 0));
      ++families[draw.family];
      ++severities[draw.severity];
    }
    CHECK(families.size() == 7);
    for (const auto& [family, count] : families) {
      INFO(family);
      const std::vector<std::string>& group = held ? standard_mixture().held_out : standard_mixture().seen;
      if (family == "clean") {
        CHECK(count == doctest::Approx(kDraws / 3.0).epsilon(0.03));
      } else {
        CHECK(std::find(group.begin(), group.end(), family) != group.end());
        CHECK(count == doctest::Approx(kDraws / 9.0).epsilon(0.05));
      }
    }
    for (int severity = 1; severity <= 5; ++severity)
      CHECK(severities[severity] == doctest::Approx(kDraws * 2.0 / 15).epsilon(0.05));
  }
  const Draw a = standard_mixture().draw(7, "train", 123), again = standard_mixture().draw(7, "train", 123);
  CHECK(a.family == again.family);
  CHECK(a.seed == again.seed);
  int same = 0;
  for (std::uint64_t i = 0; i < 300; ++i)
    same += standard_mixture().draw(7, "train", i).seed == standard_mixture().draw(7, "policy", i).seed &&
                    standard_mixture().draw(7, "train", i).severity > 0
                ? 1
                : 0;
  CHECK(same == 0);
}

TEST_CASE("data/mixture: a file with an unknown key, an unknown family or changed parameters is refused") {
  const std::string text = read_file(kFile);
  check_error(ExitCode::kData, {"clean_shar", "clean_share"},
              [&] { parse_mixture(replaced(text, "\"clean_share\"", "\"clean_shar\""), "m.json"); });
  check_error(ExitCode::kData, {"m.json", "gaussian_nois"},
              [&] { parse_mixture(replaced(text, "[\"gaussian_noise\"", "[\"gaussian_nois\""), "m.json"); });
  check_error(ExitCode::kData, {"sd", "0.05"},
              [&] { parse_mixture(replaced(text, "\"sd\": 0.05", "\"sd\": 0.06"), "m.json"); });
  check_error(ExitCode::kData, {"never be trained on"},
              [&] { parse_mixture(replaced(text, "[\"motion\"", "[\"jpeg\", \"motion\""), "m.json"); });
  check_error(ExitCode::kData, {"bitpilot.mixture/1"},
              [&] { parse_mixture(replaced(text, "mixture/1", "mixture/2"), "m.json"); });
  check_error(ExitCode::kData, {"m.json"}, [&] { parse_mixture(text.substr(0, 100), "m.json"); });
  check_error(ExitCode::kData, {"nowhere.json"}, [] { read_mixture("/nowhere.json"); });
}

TEST_CASE("data/mixture: a mixture of one's own may leave the parameters out") {
  const Mixture own =
      parse_mixture(R"({"schema":"bitpilot.mixture/1","clean_share":0,"seen":["snow"],"held_out":[]})", "own.json");
  CHECK(own.draw(1, "x", 0).family == "snow");
  CHECK(own.draw(1, "x", 0, /*held=*/true).family == "clean");  // nothing to draw from
}

}  // namespace
}  // namespace bitpilot
