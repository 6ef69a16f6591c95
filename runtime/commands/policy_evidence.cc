#include "runtime/commands/policy_evidence.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace bitpilot {
namespace {

using nlohmann::json;

/// The value at a dotted path; null where there is none.
json at(const json& value, const std::string& path) {
  std::string pointer = "/" + path;
  for (char& c : pointer)
    if (c == '.') c = '/';
  const json::json_pointer place(pointer);
  return value.contains(place) ? value.at(place) : json();
}

std::string number(const char* form, double value) {
  char text[64];
  std::snprintf(text, sizeof text, form, value);
  return text;
}

/// "+0.79 [+0.51, +1.08]" in points of accuracy; the interval where there is one.
std::string points(const json& mean, const json& interval) {
  if (!mean.is_number()) return "";
  std::string text = number("%+.2f", 100 * mean.get<double>());
  if (interval.is_array() && interval.size() == 2)
    text += " [" + number("%+.2f", 100 * interval[0].get<double>()) + ", " + number("%+.2f", 100 * interval[1].get<double>()) + "]";
  return text;
}

std::string percent(const json& value) { return value.is_number() ? number("%.1f %%", 100 * value.get<double>()) : ""; }

/// One line with a cell for every set; none where no set has the figure.
class Table {
 public:
  explicit Table(const json& sets) : sets_(sets) {
    text_ = "  " + padded("", kLabel);
    for (const auto& [name, unused] : sets.items()) text_ += padded(name, kCell);
    text_ += "\n";
  }
  template <class Cell>
  void row(const std::string& label, const Cell& cell) {
    std::string line = "  " + padded(label, kLabel);
    bool any = false;
    for (const auto& [unused, set] : sets_.items()) {
      const std::string text = cell(set);
      any = any || !text.empty();
      line += padded(text, kCell);
    }
    if (any) text_ += line + "\n";
  }
  void gain(const std::string& label, const std::string& path) {
    row(label, [&](const json& set) { return points(at(set, path + ".mean"), at(set, path + ".ci95")); });
  }
  void over_hull(const std::string& label, const std::string& path) {
    row(label, [&](const json& set) { return points(at(set, path + ".gain_over_hull"), at(set, path + ".gain_over_hull_ci95")); });
  }
  void share(const std::string& label, const std::string& path) {
    row(label, [&](const json& set) { return percent(at(set, path)); });
  }
  const std::string& text() const { return text_; }

 private:
  static constexpr std::size_t kLabel = 46, kCell = 24;
  static std::string padded(std::string text, std::size_t width) {
    if (text.size() < width) text.resize(width, ' ');
    return text;
  }
  const json& sets_;
  std::string text_;
};

}  // namespace

std::string policy_evidence(const json& report, const json& log) {
  const json sets = at(report, "sets");
  if (!sets.is_object()) return "";
  Table table(sets);
  table.row("relative cost at the default price", [](const json& set) {
    const json cost = at(set, "default.relative");
    return cost.is_number() ? number("%.4f", cost.get<double>()) : std::string();
  });
  table.row("accuracy", [](const json& set) {
    const json share = at(set, "default.accuracy");
    return share.is_number() ? number("%.2f %%", 100 * share.get<double>()) : std::string();
  });
  table.gain("gain over mixes of its own configurations", "default.hull.gain");
  table.gain("gain over its best threshold cascade", "default.cascade.gain");
  table.gain("the same, both without the guard's cost", "default.cascade_without_guard.gain");
  table.gain("gain over its best single configuration", "default.best_single.gain");
  table.gain("gain over its histogram dealt at random", "default.choices.same_histogram_at_random.gain");
  table.row("configurations that serve 5 % or more", [](const json& set) {
    const json count = at(set, "default.choices.serving_5_percent");
    return count.is_number() ? std::to_string(count.get<int>()) : std::string();
  });
  table.share("share of the gain: network of the first look", "ablations.without_first_look_network.share_of_gain");
  table.share("share of the gain: network of the stop rule", "ablations.without_stop_network.share_of_gain");
  table.over_hull("shuffled: what the picture shows", "shuffles.embedding");
  table.over_hull("shuffled: what the first look said", "shuffles.scores");
  table.over_hull("shuffled: both", "shuffles.both");
  table.share("policy and statistics, share of the cost", "default.policy_share");
  table.share("budgets: mean deviation", "budget.mean_deviation");
  table.share("budgets: largest deviation", "budget.largest_deviation");
  table.row("rank correlation of estimated severity", [](const json& set) {
    const json found = at(set, "quality.severity_rank_correlation");
    return found.is_number() ? number("%.2f", found.get<double>()) : std::string();
  });
  std::string text = "evidence  of the policy on test pictures; points of accuracy, 95 % intervals paired over pictures\n" + table.text();
  const json offsets = at(log, "offsets");
  if (at(offsets, "teacher").is_string()) {
    text += "  per-layer offsets " + std::string(at(offsets, "kept") == true ? "kept" : "dropped") + ": reward " +
            points(at(offsets, "reward_gain.mean"), at(offsets, "reward_gain.ci95")) + " (x 100), taught by the " + offsets["teacher"].get<std::string>();
    if (at(offsets, "rank_correlation").is_number())
      text += "; rank correlation of the reward model " + number("%.2f", offsets["rank_correlation"].get<double>());
    text += "\n";
  }
  return text;
}

}  // namespace bitpilot
