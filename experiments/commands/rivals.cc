#include "experiments/commands/rivals.h"

#include <algorithm>
#include <iostream>

#include "experiments/rival_record.h"
#include "runtime/commands/options.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

using nlohmann::json;

std::string all_methods() {
  std::string names;
  for (const std::string& name : rival_methods()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

void print(const json& record) {
  const auto line = [](const std::string& name, const json& set) {
    const auto gain = [&](const char* over) { return set[over]["gain"]["mean"].get<double>(); };
    std::cout << "  " << name << "  accuracy " << set["accuracy"] << "  cost " << set["relative"] << "  reward " << set["reward"]
              << "  over hull " << gain("hull") << "  over cascade " << gain("cascade") << "  over random bits " << gain("random_bits") << "\n";
  };
  std::cout << record["method"].get<std::string>() << "  price " << record["lambda"] << "  " << record["evaluations"] << " evaluations, "
            << record["seconds"] << " s\n";
  line("validation", record["validation"]);
  for (const auto& [name, set] : record["sets"].items()) line(name, set);
}

}  // namespace

int run_rivals(const std::vector<std::string>& args) {
  GroundOptions ground;
  RivalRequest request;
  std::string json_file;
  std::int64_t images = 0, threads = 2, evaluations = 0, seed = 0;
  Options options("rivals", "learn a rival of the policy against a trained run and judge it");
  options.text("run", "DIR", ground.run, "run folder of the shared network").required();
  options.text("method", "NAME", request.method, all_methods()).required();
  options.number("lambda", "L", ground.lambda, 1e-3, 32, "price of relative cost in units of task loss; default: the model's");
  options.integer("evaluations", "N", evaluations, 0, 1000000000, "passes through the backbone that learning may ask for; 0: the method's own");
  options.integer("seed", "S", seed, 0, 1000000000, "seed");
  options.integer("images", "N", images, 0, 1000000, "pictures of every split, 0 = as in the run's recipe");
  options.integer("threads", "N", threads, 1, 256, "threads; the result does not depend on it");
  options.text("memory", "DIR", ground.memory, "keeps what the anchors say of every picture, for the next call");
  options.text("json", "FILE", json_file, "where the record goes; - for stdout").required();
  if (!options.parse(args)) return 0;
  if (std::count(rival_methods().begin(), rival_methods().end(), request.method) == 0)
    throw Error(ExitCode::kUsage, "there is no learner called \"" + request.method + "\"", "--method", "give one of " + all_methods());
  ground.images = static_cast<int>(images);
  ground.threads = static_cast<int>(threads);
  request.evaluations = evaluations;
  request.seed = static_cast<std::uint64_t>(seed);
  const RivalGround field = open_ground(ground);
  const json record = rival_record(field, request, learn_rival(field, request));
  if (json_file == "-") {
    std::cout << record.dump(2) << "\n";
  } else {
    print(record);
    write_file_atomically(json_file, record.dump(2) + "\n");
  }
  return 0;
}

}  // namespace bitpilot
