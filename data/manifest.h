#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/image.h"

namespace bitpilot {

/// One line of manifest.jsonl: what one picture of a degraded set was made from, and how.
struct ManifestEntry {
  std::string file;        ///< path inside the folder; empty in an IDX set, where line i describes picture i
  std::string source;      ///< ImageSet::source of the original
  std::string family;      ///< "clean" or a degradation family
  int severity = 0;        ///< 0 for clean, else 1..5
  std::string parameters;  ///< JSON object, as degradation_parameters()
  std::uint64_t seed = 0;  ///< of degrade(); below 2^53, so that every JSON reader keeps it
  std::string label;       ///< name of the class
  std::string checksum;    ///< pixels_checksum() of the degraded picture
};

/// "sha256:…" over the pixels, rows from the top, gray or blue-green-red.
std::string pixels_checksum(const Image& image);
/// One line, '\n' included.
std::string manifest_line(const ManifestEntry& entry);
/// Strict.  Throws Error(kData) on an unknown key, a file that points out of the folder, an unknown family.
std::vector<ManifestEntry> read_manifest(const std::string& path);

}  // namespace bitpilot
