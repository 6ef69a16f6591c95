#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bitpilot {

/// Whole file as bytes.  Throws Error(kData) if missing, Error(kMachine) if unreadable.
std::string read_file(const std::string& path);
/// Temporary file in the same folder, fsync, rename, fsync of the folder.  Throws Error(kMachine); an earlier file
/// stays whole.
void write_file_atomically(const std::string& path, std::string_view bytes);
/// Lower-case hex SHA-256.
std::string sha256(std::string_view bytes);
/// The name among `known` nearest to `name` (edit distance <= 3), or "".
std::string nearest_name(const std::string& name, const std::vector<std::string>& known);

}  // namespace bitpilot
