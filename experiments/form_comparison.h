#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "env/outcomes.h"

namespace bitpilot {

/// The file in a run's folder that holds a path of an EQ-Net supernet in a Form other than the default one.  form: "tensor/asymmetric".
std::string form_file(const std::string& run, const std::string& form, const std::string& path);

/// A Form of a shared EQ-Net run against the same Form at the same bits trained alone, both as integers on the same pictures.
/// run, alone   run folders; alone: of a recipe with one Form and one path
/// sets         samples of every evaluation set, in the order of kEvaluationSets
/// Returns      {"form", "path", SET: {"images", "shared", "alone", "difference": {mean, ci95, …}}, …}; difference: shared minus alone,
///              paired over pictures
/// Throws       Error(kData) if `alone` is no such run, or `run` has not that Form at that path's bits.
nlohmann::json compare_form(const std::string& run, const std::string& alone, const std::vector<std::vector<Sample>>& sets, int threads);

}  // namespace bitpilot
