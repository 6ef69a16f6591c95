// Checks files that the programs wrote:
//   check_records decisions FILE   JSON lines of `run`; prints "D decisions, F fallbacks, T regions, S summaries"
//   check_records eval FILE…       records of `eval --json`, or kept results that hold one as "metrics"
// Exit code 1 and one line on standard error for what fits the schema not, or contradicts itself.
#include <cmath>
#include <cstdio>
#include <fstream>
#include <stdexcept>

#include "runtime/core/files.h"
#include "tests/support/json_schema.h"

namespace {

using bitpilot::testing::JsonSchema;
using nlohmann::json;

void demand(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

JsonSchema schema(const std::string& name) {
  return JsonSchema(json::parse(bitpilot::read_file(BITPILOT_SOURCE_DIR "/runtime/format/" + name + ".schema.json")));
}

class DecisionsCheck {
 public:
  void add(const json& line) {
    const std::string problem = schema_.problem(line);
    demand(problem.empty(), problem);
    line["schema"] == "bitpilot.summary/1" ? summary(line) : decision(line);
  }
  void print() const {
    std::printf("%d decisions, %d fallbacks, %d regions, %d summaries\n", decisions_, fallbacks_, regions_, summaries_);
  }

 private:
  void decision(const json& line) {
    demand(line["sequence"] >= since_summary_, "sequence goes back");
    gap_ = gap_ || line["sequence"] != since_summary_;
    ++since_summary_;
    ++decisions_;
    regions_ += !line["region"].is_null();
    const json &looks = line["looks"], &last = looks.back();
    double relative = 0;
    for (const json& look : looks) {
      demand(look["bits"].size() == line["layers"].size(), "a look and the layers differ in number");
      relative += look["relative"].get<double>();
    }
    // Each figure is rounded to six decimals.
    demand(line["cost"]["relative"].get<double>() > relative - 1e-5, "the cost is less than the looks'");
    demand(last["index"] == line["prediction"]["index"], "the prediction is not the last look's");
    demand(last["confidence"] == line["prediction"]["confidence"], "the confidence is not the last look's");
    for (std::size_t i = 0; i < line["layers"].size(); ++i) {
      const json& layer = line["layers"][i];
      const json bits{layer["weight_bits"], layer["activation_bits"], layer["active_blocks"]};
      demand(bits == last["bits"][i], "layers and the last look have other bits");
      if (!line["fallback"].is_null()) fixed(layer);
    }
    fallbacks_ += !line["fallback"].is_null();
  }
  /// On a fallback: mean = the static value, std 0.
  static void fixed(const json& layer) {
    for (const std::string tensor : {"weight", "activation"}) {
      const json& spread = layer[tensor + "_distribution"];
      demand(spread["std"] == 0.0 && spread["mean"] == layer[tensor + "_bits"], "a fallback with a spread");
    }
  }
  void summary(const json& line) {
    std::uint64_t rest = line["processed"].get<std::uint64_t>() + line["queued"].get<std::uint64_t>();
    for (const json& count : line["dropped"]) rest += count.get<std::uint64_t>();
    demand(line["received"] == rest, "received is not processed + queued + all dropped");
    demand(line["records"] == since_summary_ + line["output_errors"].get<int>(),
           "the summary counts other decisions than there are");
    demand(!gap_ || line["output_errors"] > 0, "sequence has a gap");
    ++summaries_;
    gap_ = false;
    since_summary_ = 0;
  }

  const JsonSchema schema_ = schema("decision");
  bool gap_ = false;
  int decisions_ = 0, fallbacks_ = 0, regions_ = 0, summaries_ = 0, since_summary_ = 0;
};

void check_decisions(const std::string& path) {
  DecisionsCheck check;
  std::ifstream file(path);
  demand(bool(file), "cannot be read");
  std::string line;
  while (std::getline(file, line)) {
    demand(!file.eof(), "the last line is torn");
    check.add(json::parse(line));
  }
  check.print();
}

void check_eval(const JsonSchema& schema, const std::string& path) {
  json record = json::parse(bitpilot::read_file(path));
  if (record.contains("metrics")) record = json(record["metrics"]);
  const std::string problem = schema.problem(record);
  demand(problem.empty(), problem);
  std::uint64_t images = 0;
  double share = 0;
  for (const json& family : record["by_family"])
    for (const json& group : family) images += group["images"].get<std::uint64_t>();
  for (const json& config : record["configs"]) share += config["share"].get<double>();
  demand(record["data"]["images"] == images, "the families have other pictures than the whole");
  demand(std::abs(share - 1) < 1e-9, "the shares are not 1 together");
  demand(record["accuracy_ci95"][0] <= record["accuracy"] && record["accuracy"] <= record["accuracy_ci95"][1],
         "the accuracy lies outside of its interval");
  demand(record["bops"]["mean"] <= record["bops"]["max"], "the mean is more than the most");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string kind = argc > 2 ? argv[1] : "";
  for (int i = 2; i < argc; ++i) {
    try {
      if (kind == "decisions") {
        check_decisions(argv[i]);
      } else if (kind == "eval") {
        check_eval(schema("eval"), argv[i]);
      } else {
        return 2;
      }
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: %s\n", argv[i], error.what());
      return 1;
    }
  }
  return argc > 2 ? 0 : 2;
}
