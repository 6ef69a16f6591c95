// Names and parameters of every degradation family.  Columns: "small" for pictures up to 64 px a side, "large" for the
// others. Sources: the standard mixture for the small column of its twelve families, ImageNet-C for the large column
// and CIFAR-10-C for the small column of the others (Hendrycks & Dietterich, arXiv:1903.12261), save three whose damage
// does not grow with severity there: glass and spatter have the same settings in the order of the damage that they do
// at 28 px, elastic a steady ramp.
#include "data/degradation_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "data/degrade.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

struct Parameter {
  const char* name;
  std::array<double, 5> small, large;  ///< by severity
};

struct Family {
  const char* name;
  std::vector<Parameter> parameters;
};

const std::vector<Family>& families() {
  static const std::vector<Family> all{
      {"gaussian_noise", {{"sd", {.05, .10, .17, .25, .35}, {.08, .12, .18, .26, .38}}}},
      {"shot_noise", {{"photons", {60, 25, 12, 6, 3}, {60, 25, 12, 5, 3}}}},
      {"impulse", {{"fraction", {.02, .05, .10, .18, .28}, {.03, .06, .09, .17, .27}}}},
      {"speckle", {{"sd", {.15, .2, .35, .45, .6}, {.15, .2, .35, .45, .6}}}},
      {"gaussian_blur", {{"sigma", {.5, .8, 1.1, 1.5, 2.0}, {1, 2, 3, 4, 6}}}},
      {"glass",
       {{"sigma", {.4, .25, .4, .25, .25}, {.7, .9, 1, 1.1, 1.5}},
        {"reach", {1, 1, 1, 1, 1}, {1, 2, 2, 3, 4}},
        {"sweeps", {1, 1, 2, 2, 3}, {2, 1, 3, 2, 2}}}},
      {"defocus",
       {{"radius", {1, 1.5, 2, 2.5, 3}, {3, 4, 6, 8, 10}}, {"alias_sigma", {0, 0, 0, 0, 0}, {.1, .5, .5, .5, .5}}}},
      {"motion", {{"length", {3, 5, 7, 9, 11}, {21, 31, 31, 31, 41}}, {"sigma", {0, 0, 0, 0, 0}, {3, 5, 8, 12, 15}}}},
      {"zoom",
       {{"largest", {1.06, 1.11, 1.15, 1.20, 1.25}, {1.11, 1.15, 1.20, 1.24, 1.30}},
        {"step", {.01, .01, .01, .01, .01}, {.01, .01, .02, .02, .03}},
        {"count", {7, 12, 16, 21, 26}, {12, 16, 11, 13, 11}}}},
      {"fog",
       {{"strength", {.2, .5, .75, 1, 1.5}, {1.5, 2, 2.5, 2.5, 3}},
        {"decay", {3, 3, 2.5, 2, 1.75}, {2, 2, 1.7, 1.5, 1.4}}}},
      {"snow",
       {{"mean", {.1, .1, .15, .25, .3}, {.1, .2, .55, .55, .55}},
        {"sd", {.2, .2, .3, .3, .3}, {.3, .3, .3, .3, .3}},
        {"zoom", {1, 1, 1.75, 2.25, 1.25}, {3, 2, 4, 4.5, 2.5}},
        {"threshold", {.6, .5, .55, .6, .65}, {.5, .5, .9, .85, .85}},
        {"motion_radius", {8, 10, 10, 12, 14}, {10, 12, 12, 12, 12}},
        {"motion_sigma", {3, 4, 4, 6, 12}, {4, 4, 8, 8, 12}},
        {"mix", {.95, .9, .9, .85, .8}, {.8, .7, .7, .65, .55}}}},
      {"spatter",
       {{"mean", {.62, .65, .65, .65, .65}, {.65, .65, .65, .65, .67}},
        {"sd", {.1, .1, .1, .1, .3}, {.3, .3, .3, .3, .4}},
        {"blur", {.7, .7, .8, .5, 1}, {4, 3, 2, 1, 1}},
        {"threshold", {.7, .69, .7, .68, .69}, {.69, .68, .68, .65, .65}},
        {"amount", {.5, .6, .5, .6, .5}, {.6, .6, .5, 1.5, 1.5}},
        {"mud", {0, 1, 0, 1, 0}, {0, 0, 0, 1, 1}}}},
      {"contrast", {{"factor", {.6, .4, .25, .15, .08}, {.4, .3, .2, .1, .05}}}},
      {"brightness", {{"shift", {.1, .2, .3, .4, .5}, {.1, .2, .3, .4, .5}}}},
      {"saturate",
       {{"factor", {.3, .1, 1.5, 2, 2.5}, {.3, .1, 2, 5, 20}}, {"shift", {0, 0, 0, .1, .2}, {0, 0, 0, .1, .2}}}},
      {"jpeg", {{"quality", {40, 20, 12, 7, 4}, {25, 18, 15, 10, 7}}}},
      {"pixelate", {{"scale", {20.0 / 28, 16.0 / 28, 12.0 / 28, 9.0 / 28, 7.0 / 28}, {.6, .5, .4, .3, .25}}}},
      {"elastic",
       {{"alpha", {.05, .07, .09, .11, .13}, {2, 2, .05, .07, .12}},
        {"sigma", {.04, .04, .04, .04, .04}, {.7, .08, .01, .01, .01}},
        {"affine", {.02, .03, .04, .05, .06}, {.1, .2, .02, .02, .02}}}}};
  return all;
}

}  // namespace

const std::vector<std::string>& degradation_families() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Family& family : families()) list.emplace_back(family.name);
    return list;
  }();
  return names;
}

bool applies_to_channels(const std::string& family, int channels) { return family != "saturate" || channels == 3; }

static const Family& find_family(const std::string& name, int severity) {
  const auto found =
      std::find_if(families().begin(), families().end(), [&](const Family& f) { return name == f.name; });
  if (found == families().end()) {
    const std::string nearest = nearest_name(name, degradation_families());
    throw Error(ExitCode::kUsage, "unknown degradation family '" + name + "'", "degradations",
                nearest.empty() ? "see bitpilot degrade --help for the families" : "did you mean '" + nearest + "'?");
  }
  if (severity < 1 || severity > 5)
    throw Error(ExitCode::kUsage, "severity " + std::to_string(severity) + " of " + name, "degradations",
                "severities are 1 to 5");
  return *found;
}

ParameterValues parameter_values(const std::string& family, int severity, bool small) {
  ParameterValues values{};
  const std::vector<Parameter>& parameters = find_family(family, severity).parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    values[i] = (small ? parameters[i].small : parameters[i].large)[static_cast<std::size_t>(severity - 1)];
  return values;
}

nlohmann::json degradation_parameters(const std::string& family, int severity, int width, int height) {
  nlohmann::json json = nlohmann::json::object();
  for (const Parameter& p : find_family(family, severity).parameters) {
    const double value = (is_small(width, height) ? p.small : p.large)[static_cast<std::size_t>(severity - 1)];
    if (value == std::floor(value))
      json[p.name] = static_cast<std::int64_t>(value);  // 20, not 20.0
    else
      json[p.name] = value;
  }
  return json;
}

}  // namespace bitpilot
