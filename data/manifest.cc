#include "data/manifest.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/degrade.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"

namespace bitpilot {
namespace {

ManifestEntry read_line(const std::string& line, const std::string& where) {
  const nlohmann::json json = parse_json(line, where);
  const JsonReader reader(json, where);
  reader.allow({"file", "source", "family", "severity", "parameters", "seed", "label", "checksum"});
  ManifestEntry entry;
  entry.file = reader.text("file", "");
  entry.source = reader.at("source").text();
  entry.family = reader.at("family").text();
  entry.severity = static_cast<int>(reader.at("severity").integer(0, 5));
  entry.parameters = reader.at("parameters").value().dump();
  entry.seed = static_cast<std::uint64_t>(reader.at("seed").integer(0, std::int64_t{1} << 53));
  entry.label = reader.at("label").text();
  entry.checksum = reader.at("checksum").text();
  const std::vector<std::string>& known = degradation_families();
  const bool clean = entry.family == "clean";
  if (clean != (entry.severity == 0) || (!clean && std::find(known.begin(), known.end(), entry.family) == known.end()))
    reader.at("family").fail("no family '" + entry.family + "' at severity " + std::to_string(entry.severity));
  const std::filesystem::path path(entry.file);
  if (path.is_absolute() || std::find(path.begin(), path.end(), "..") != path.end())
    reader.at("file").fail("points out of the folder");
  return entry;
}

}  // namespace

std::string pixels_checksum(const Image& image) {
  return "sha256:" + sha256({reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size()});
}

std::string manifest_line(const ManifestEntry& entry) {
  nlohmann::ordered_json json;
  if (!entry.file.empty()) json["file"] = entry.file;
  json["source"] = entry.source;
  json["family"] = entry.family;
  json["severity"] = entry.severity;
  json["parameters"] = nlohmann::ordered_json::parse(entry.parameters);
  json["seed"] = entry.seed;
  json["label"] = entry.label;
  json["checksum"] = entry.checksum;
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::vector<ManifestEntry> read_manifest(const std::string& path) {
  const std::string text = read_file(path);
  std::vector<ManifestEntry> entries;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    entries.push_back(
        read_line(text.substr(begin, end - begin), path + ", line " + std::to_string(entries.size() + 1)));
    begin = end + 1;
  }
  if (entries.empty())
    throw Error(ExitCode::kData, "the manifest is empty", path, "write the degraded set again: bitpilot degrade");
  return entries;
}

}  // namespace bitpilot
