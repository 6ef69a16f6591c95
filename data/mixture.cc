#include "data/mixture.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "data/degrade.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"
#include "runtime/core/random.h"

namespace bitpilot {
namespace {

// Byte for byte experiments/configs/mixture.json.
constexpr const char* kStandard =
#include "data/standard_mixture.inc"
    ;

std::vector<std::string> read_families(const JsonReader& reader) {
  std::vector<std::string> families;
  for (std::size_t i = 0; i < reader.size(); ++i) {
    const std::string family = reader.at(i).text();
    const std::vector<std::string>& known = degradation_families();
    if (std::find(known.begin(), known.end(), family) == known.end()) {
      const std::string nearest = nearest_name(family, known);
      reader.at(i).fail("unknown degradation family '" + family + "'" +
                        (nearest.empty() ? "" : ", did you mean '" + nearest + "'?"));
    }
    if (std::find(families.begin(), families.end(), family) != families.end())
      reader.at(i).fail("family '" + family + "' stands twice");
    families.push_back(family);
  }
  return families;
}

/// The file states the parameters that its hash freezes: they must be those that degrade() uses on small pictures.
void check_parameters(const JsonReader& reader) {
  for (const std::string& family : reader.keys()) {
    const std::vector<std::string>& known = degradation_families();
    if (std::find(known.begin(), known.end(), family) == known.end())
      reader.fail("unknown degradation family '" + family + "'");
    const JsonReader severities = reader.at(family);
    if (severities.size() != 5) severities.fail("five severities are needed");
    for (std::size_t s = 0; s < 5; ++s) {
      const nlohmann::json wanted = degradation_parameters(family, static_cast<int>(s) + 1, 1, 1);
      const JsonReader given = severities.at(s);
      given.allow([&] {
        std::vector<std::string> names;
        for (const auto& item : wanted.items()) names.push_back(item.key());
        return names;
      }());
      for (const auto& item : wanted.items())
        if (std::abs(given.at(item.key()).number(-1e9, 1e9) - item.value().get<double>()) > 1e-12)
          given.fail("'" + item.key() + "' is " + item.value().dump() +
                     " in this program: the file belongs to another version");
    }
  }
}

}  // namespace

Draw Mixture::draw(std::uint64_t seed, std::string_view purpose, std::uint64_t index, bool held) const {
  Random random(seed, std::string("mixture/").append(purpose), index);
  const std::vector<std::string>& families = held ? held_out : seen;
  Draw draw;
  if (random.uniform() < clean_share || families.empty()) return draw;
  draw.family = families[random.below(families.size())];
  draw.severity = 1 + static_cast<int>(random.below(5));
  draw.seed = random.next();
  return draw;
}

Mixture parse_mixture(const std::string& text, const std::string& where) {
  const nlohmann::json json = parse_json(text, where);
  const JsonReader reader(json, where);
  reader.allow({"schema", "seen", "held_out", "clean_share", "small_up_to_px", "parameters"});
  if (reader.at("schema").text() != "bitpilot.mixture/1") reader.at("schema").fail("not 'bitpilot.mixture/1'");
  Mixture mixture;
  mixture.seen = read_families(reader.at("seen"));
  mixture.held_out = read_families(reader.at("held_out"));
  for (const std::string& family : mixture.held_out)
    if (std::find(mixture.seen.begin(), mixture.seen.end(), family) != mixture.seen.end())
      reader.at("held_out").fail("family '" + family + "' is seen as well: what is held out must never be trained on");
  mixture.clean_share = reader.at("clean_share").number(0, 1);
  if (mixture.seen.empty() && mixture.clean_share < 1) reader.at("seen").fail("no family, but clean_share is below 1");
  if (reader.integer("small_up_to_px", 1, 1 << 20, kSmallPicture) != kSmallPicture)
    reader.at("small_up_to_px").fail("is " + std::to_string(kSmallPicture) + " in this program");
  if (reader.has("parameters")) check_parameters(reader.at("parameters"));
  mixture.hash = "sha256:" + sha256(text);
  return mixture;
}

Mixture read_mixture(const std::string& path) { return parse_mixture(read_file(path), path); }

const Mixture& standard_mixture() {
  static const Mixture mixture = parse_mixture(kStandard, "the compiled-in mixture");
  return mixture;
}

}  // namespace bitpilot
