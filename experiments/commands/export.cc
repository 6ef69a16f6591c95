#include "experiments/commands/export.h"

#include <iostream>

#include "runtime/commands/options.h"
#include "runtime/core/error.h"
#include "runtime/format/model_file.h"
#include "runtime/format/reduce_model.h"

namespace bitpilot {

int run_export(const std::vector<std::string>& args) {
  std::string run, model_file, out;
  std::vector<std::string> anchors;
  Options options("export", "write a model file from a run or from another model");
  options.text("run", "DIR", run, "run folder (its model.safetensors)");
  options.text("model", "FILE", model_file, "model file, instead of --run");
  options.list("anchors", "NAME", anchors, "keep these anchors only; without all of them the policy is dropped; default: all");
  options.text("out", "FILE", out, "model file to write").required();
  if (!options.parse(args)) return 0;
  if (run.empty() == model_file.empty())
    throw Error(ExitCode::kUsage, "give one of --run and --model", "bitpilot export", "see `bitpilot export --help`");
  ModelData model = read_model(run.empty() ? model_file : run + "/model.safetensors");
  if (!anchors.empty()) model = keep_anchors(model, anchors);
  write_model(model, out);
  const ModelSizes sizes = model_sizes(model);
  std::cout << out << ": " << model.anchors.size() << " anchors, " << sizes.total << " bytes (weights " << sizes.weights << ")\n";
  return 0;
}

}  // namespace bitpilot
