#include "experiments/commands/export.h"

#include <iostream>

#include "experiments/onnx_model.h"
#include "runtime/commands/bench_model.h"
#include "runtime/commands/bits.h"
#include "runtime/commands/options.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/format/model_file.h"
#include "runtime/format/reduce_model.h"

namespace bitpilot {
namespace {

void write_onnx(const ModelData& model, const std::string& bits, const std::string& out) {
  const std::optional<BitConfig> config = read_bits(bits, model);
  if (!config)
    throw Error(ExitCode::kUsage, "an ONNX graph holds one configuration, not a policy", "--bits " + bits, "name an anchor, or give --bits 8");
  const std::string bytes = onnx_model(model, *config);
  write_file_atomically(out, bytes);
  std::cout << out << ": " << model.network.name << " at " << to_string(*config, model.space) << ", " << bytes.size() << " bytes\n";
}

}  // namespace

int run_export(const std::vector<std::string>& args) {
  std::string run, format = "safetensors", bits, out;
  BenchModel source;
  std::vector<std::string> anchors;
  Options options("export", "write a model file, or one configuration of it as ONNX");
  options.text("run", "DIR", run, "run folder (its model.safetensors)");
  source.add_options(options);
  options.text("format", "NAME", format, "safetensors (bitpilot's model file) or onnx (one configuration, QDQ form)");
  options.list("anchors", "NAME", anchors, "safetensors: keep these anchors only; without all of them the policy is dropped; default: all");
  options.text("bits", "BITS", bits, "onnx: which configuration: 8, 4/8, an anchor's name or a JSON file");
  options.text("out", "FILE", out, "file to write").required();
  if (!options.parse(args)) return 0;
  if (run.empty() == (source.model.empty() && source.network.empty()))
    throw Error(ExitCode::kUsage, "give one of --run, --model and --network", "bitpilot export", "see `bitpilot export --help`");
  if (format != "safetensors" && format != "onnx")
    throw Error(ExitCode::kUsage, "--format takes safetensors or onnx, not \"" + format + "\"", "bitpilot export", "see `bitpilot export --help`");
  const bool as_onnx = format == "onnx";
  if (as_onnx == bits.empty())
    throw Error(ExitCode::kUsage, as_onnx ? "--bits is missing: an ONNX graph holds one configuration" : "--bits is for --format onnx", "bitpilot export",
                as_onnx ? "name an anchor, or give --bits 8" : "leave it out, or name --anchors");
  if (as_onnx && !anchors.empty())
    throw Error(ExitCode::kUsage, "--anchors is for --format safetensors", "bitpilot export", "give --bits ANCHOR");
  if (!run.empty()) source.model = run + "/model.safetensors";
  std::string hash;
  ModelData model = source.load("export", hash);
  if (as_onnx) {
    write_onnx(model, bits, out);
    return 0;
  }
  if (!anchors.empty()) model = keep_anchors(model, anchors);
  write_model(model, out);
  const ModelSizes sizes = model_sizes(model);
  std::cout << out << ": " << model.anchors.size() << " anchors, " << sizes.total << " bytes (weights " << sizes.weights << ")\n";
  return 0;
}

}  // namespace bitpilot
