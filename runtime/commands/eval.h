#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// `bitpilot eval`: accuracy and cost of a model on labelled pictures, or the check that a decisions file can be
/// repeated. Returns the exit code.
int run_eval(const std::vector<std::string>& args);

/// Class of the model for each class of a data set: by name; by number where the set's classes are named by numbers
/// alone. Throws Error(kData) if a class of the set is none of the model's.
std::vector<int> match_classes(const std::vector<std::string>& set, const std::vector<std::string>& model);

}  // namespace bitpilot
