#include "runtime/commands/bench_model.h"

#include "runtime/core/backbones.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/engine/random_weights.h"
#include "runtime/format/model_file.h"

namespace bitpilot {
namespace {

constexpr int kLargeInput = 224, kSmallInput = 32;

}  // namespace

void BenchModel::add_options(Options& options) {
  options.text("model", "FILE", model, "model file (*.safetensors)");
  options.text("network", "NAME", network, "a backbone with random weights instead: resnet8, resnet18, ...");
  options.integer("size", "N", size, 8, 1024, "pixels of a --network's picture; its usual size if not given");
  options.integer("channels", "N", channels, 1, 4, "channels of a --network's picture; 3 if not given");
  options.integer("classes", "N", classes, 2, 10'000, "classes of a --network; 10, or 1000 from 224 pixels up");
}

ModelData BenchModel::load(const std::string& command, std::string& hash) const {
  const std::string where = "bitpilot " + command;
  if (model.empty() == network.empty())
    throw Error(ExitCode::kUsage, "give one of --model and --network", where, "see `" + where + " --help`");
  if (!model.empty()) {
    if (size > 0 || channels > 0 || classes > 0)
      throw Error(ExitCode::kUsage, "--size, --channels and --classes are for --network", where,
                  "leave them out: the model file knows its own");
    const std::string bytes = read_file(model);
    hash = "sha256:" + sha256(bytes);
    return parse_model(bytes, model);
  }
  const bool large = network == "resnet18" || network == "mobilenet_v2";
  const int pixels = size > 0 ? static_cast<int>(size) : large ? kLargeInput : kSmallInput;
  const Shape input{channels > 0 ? static_cast<int>(channels) : 3, pixels, pixels};
  const int labels = classes > 0 ? static_cast<int>(classes) : pixels >= kLargeInput ? 1000 : 10;
  return random_weights(make_backbone(network, input, labels));
}

}  // namespace bitpilot
