#pragma once

#include <string>
#include <vector>

namespace bitpilot {

/// Whether two class names mean the same: case, spaces and punctuation do not count ("Ankle boot", "ankle_boot").
bool same_label(const std::string& a, const std::string& b);
/// Name of the folder that holds a class: characters other than letters, digits, '-', '.' and '_' become '_'.
std::string label_folder(const std::string& label);
/// Index among `labels` of a class given by name (same_label) or by its index in digits; -1 if neither.
int find_label(const std::string& name, const std::vector<std::string>& labels);
/// For every name of `from` its index in `to`, by name or, where no name matches at all, by index.  Throws Error(kData)
/// naming the first one that has none, with `where`.
std::vector<int> map_labels(const std::vector<std::string>& from, const std::vector<std::string>& to,
                            const std::string& where);
/// Names of the ten classes of Fashion-MNIST.
const std::vector<std::string>& fashion_mnist_labels();
/// labels.txt of a folder, one name a line; empty if there is none.
std::vector<std::string> read_label_names(const std::string& folder);

}  // namespace bitpilot
