#include "runtime/profile.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"

namespace bitpilot {
namespace {

constexpr char kSchema[] = "bitpilot.profile/3";
constexpr double kLongest = 1e6;  // ms
constexpr std::size_t kShortDigest = 12;

void check_machine(const Machine& made_on, const Machine& here, const std::string& where) {
  const auto refuse = [&](const std::string& what, const std::string& theirs, const std::string& ours) {
    throw Error(ExitCode::kData, "times of another " + what + ": " + theirs + ", but here it is " + ours, where,
                "make this machine's own with `bitpilot profile`");
  };
  if (made_on.cpu != here.cpu) refuse("processor", made_on.cpu, here.cpu);
  if (made_on.isa != here.isa) refuse("instruction set", made_on.isa, here.isa);
  if (made_on.threads != here.threads)
    refuse("number of threads", std::to_string(made_on.threads), std::to_string(here.threads));
  if (made_on.kernels != here.kernels)
    refuse("build, with other kernels", made_on.kernels.substr(0, kShortDigest), here.kernels.substr(0, kShortDigest));
}

/// Fills the widths and block counts that were not measured: the time of the cheapest wider pair of widths, and a
/// straight line between block counts.  Fixed parts go with the times.
void complete(CostTable& cost, const BitSpace& space, int layer) {
  const auto blocks = space.layers[static_cast<std::size_t>(layer)].blocks;
  const auto interpolate = [&](double from, double to, double share) { return from + (to - from) * share; };
  for (int w = 8; w >= 2; --w)
    for (int a = 8; a >= 2; --a) {
      int last = 0;
      for (int b = 1; b <= blocks; ++b) {
        if (cost.at(layer, w, a, b) == 0) continue;
        for (int between = last + 1; between < b; ++between) {
          const double share = static_cast<double>(between - last) / (b - last);
          cost.at(layer, w, a, between) =
              interpolate(last > 0 ? cost.at(layer, w, a, last) : 0, cost.at(layer, w, a, b), share);
          cost.fixed_part(layer, w, a, between) =
              interpolate(last > 0 ? cost.fixed_part(layer, w, a, last) : 0, cost.fixed_part(layer, w, a, b), share);
        }
        last = b;
      }
      if (last > 0 || (w == 8 && a == 8)) continue;
      for (int b = 1; b <= blocks; ++b) {
        const bool wider_codes = a < 8 && (w == 8 || cost.at(layer, w, a + 1, b) <= cost.at(layer, w + 1, a, b));
        const int from_w = wider_codes ? w : w + 1, from_a = wider_codes ? a + 1 : a;
        cost.at(layer, w, a, b) = cost.at(layer, from_w, from_a, b);
        cost.fixed_part(layer, w, a, b) = cost.fixed_part(layer, from_w, from_a, b);
      }
    }
}

DecidingTimes read_deciding(const JsonReader& times) {
  times.allow({"choosing_ms", "guard_ms", "networks_ms"});
  return {times.at("choosing_ms").number(0, kLongest), times.at("guard_ms").number(0, kLongest), times.at("networks_ms").number(0, kLongest)};
}

}  // namespace

std::string profile_text(const Machine& machine, const Network& network, const BitSpace& space,
                         const std::vector<ProfileEntry>& entries, const DecidingTimes& deciding) {
  using Json = nlohmann::ordered_json;
  Json layers = Json::array();
  for (int l = 0; l < network.layer_count(); ++l)
    layers.push_back({{"name", network.layer(l).name}, {"times", Json::array()}});
  for (const ProfileEntry& entry : entries)
    layers[static_cast<std::size_t>(entry.layer)]["times"].push_back({{"weight", entry.weight},
                                                                      {"activation", entry.activation},
                                                                      {"blocks", entry.blocks},
                                                                      {"ms", entry.ms},
                                                                      {"spread_ms", entry.spread_ms},
                                                                      {"fixed_ms", entry.fixed_ms},
                                                                      {"kernel", entry.kernel},
                                                                      {"place", entry.place}});
  const Json json{
      {"schema", kSchema},          {"cpu", machine.cpu},
      {"isa", machine.isa},         {"threads", machine.threads},
      {"version", machine.version}, {"kernels", machine.kernels},
      {"network", {{"name", network.name}, {"sha256", sha256(network.to_text())}}},
      {"block", space.block},
      {"deciding", {{"choosing_ms", deciding.choosing_ms}, {"guard_ms", deciding.guard_ms}, {"networks_ms", deciding.networks_ms}}},
      {"layers", std::move(layers)}};
  return json.dump(1) + "\n";
}

Profile parse_profile(const std::string& text, const std::string& where, const Network& network, const BitSpace& space,
                      const Machine& machine) {
  const nlohmann::json json = parse_json(text, where);
  const JsonReader file(json, where);
  file.allow({"schema", "cpu", "isa", "threads", "version", "kernels", "network", "block", "deciding", "layers"});
  if (file.at("schema").text() != kSchema) file.fail("is no " + std::string(kSchema));
  Profile profile{{file.at("cpu").text(), file.at("isa").text(), static_cast<int>(file.at("threads").integer(1, 64)),
                   file.at("version").text(), file.at("kernels").text()},
                  file.at("network").at("sha256").text(),
                  CostTable("ms", network, space),
                  KernelChoice(),
                  read_deciding(file.at("deciding"))};
  check_machine(profile.machine, machine, where);
  if (profile.network != sha256(network.to_text()) || file.at("block").integer(1, 64) != space.block)
    throw Error(ExitCode::kData, "times of another network: " + file.at("network").at("name").text(), where,
                "make this network's own with `bitpilot profile`");
  const JsonReader layers = file.at("layers");
  if (static_cast<int>(layers.size()) != network.layer_count()) layers.fail("has another number of layers");
  for (int l = 0; l < network.layer_count(); ++l) {
    const int blocks = space.layers[static_cast<std::size_t>(l)].blocks;
    const JsonReader times = layers.at(static_cast<std::size_t>(l)).at("times");
    for (std::size_t i = 0; i < times.size(); ++i) {
      const JsonReader entry = times.at(i);
      const auto integer = [&](const char* key, int lowest, int highest) {
        return static_cast<int>(entry.at(key).integer(lowest, highest));
      };
      const int w = integer("weight", 2, 8), a = integer("activation", 2, 8), b = integer("blocks", 1, blocks);
      const double ms = std::max(entry.at("ms").number(0, kLongest), 1e-9);
      profile.cost.at(l, w, a, b) = ms;
      profile.cost.fixed_part(l, w, a, b) = entry.at("fixed_ms").number(0, ms);
      const int place = integer("place", 0, kMaxPackings - 1);
      profile.choice.set(l, {w, a, b}, place);
    }
    if (profile.cost.at(l, 8, 8, blocks) == 0) times.fail("has no time at 8 bits and whole width");
    complete(profile.cost, space, l);
  }
  return profile;
}

}  // namespace bitpilot
