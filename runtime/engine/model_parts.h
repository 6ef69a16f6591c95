#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/engine/layout.h"
#include "runtime/engine/step_numbers.h"
#include "runtime/engine/weight_store.h"

namespace bitpilot {

/// What a Model holds; sessions read it.
struct Model::Impl {
  Impl(ModelData model_data, const Kernels* wanted, KernelChoice choice);
  ModelData data;
  const Kernels& kernels;
  std::string hash;
  Layout layout;
  WeightStore
      weights;  ///< unpacked for every anchor when the model is made, for other configurations at their first use
  FoldCache folds;
  std::vector<std::shared_ptr<const std::vector<StepNumbers>>> anchors;
};

}  // namespace bitpilot
