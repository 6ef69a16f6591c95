#include "runtime/format/safetensors.h"

#include <algorithm>
#include <array>
#include <utility>

#include "runtime/core/json.h"

namespace bitpilot {
namespace {

constexpr std::size_t kMaxHeader = std::size_t{1} << 20;
constexpr std::size_t kMaxHeaderValues = std::size_t{1} << 17;
constexpr std::size_t kMaxRank = 8;
constexpr std::size_t kMaxNameLength = 512;
constexpr std::array<std::pair<const char*, std::size_t>, 13> kDtypes{{{"F64", 8},
                                                                       {"F32", 4},
                                                                       {"F16", 2},
                                                                       {"BF16", 2},
                                                                       {"I64", 8},
                                                                       {"I32", 4},
                                                                       {"I16", 2},
                                                                       {"I8", 1},
                                                                       {"U64", 8},
                                                                       {"U32", 4},
                                                                       {"U16", 2},
                                                                       {"U8", 1},
                                                                       {"BOOL", 1}}};

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Error(ExitCode::kData, what, where, "this is no whole safetensors file: copy or export it again");
}

/// Product of dimensions and element size; false on overflow.
bool byte_count(const std::vector<std::int64_t>& shape, std::size_t element, std::uint64_t& result) {
  result = element;
  for (const std::int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(result, static_cast<std::uint64_t>(size), &result)) return false;
  return true;
}

struct Entry {
  std::string name;
  TensorView view;
  std::uint64_t begin = 0, end = 0;
};

Entry read_entry(const std::string& name, const JsonReader& json, std::string_view data) {
  json.allow({"dtype", "shape", "data_offsets"});
  Entry entry;
  entry.name = name;
  entry.view.dtype = json.at("dtype").text(8);
  const std::size_t element = dtype_size(entry.view.dtype);
  if (element == 0) json.at("dtype").fail("unknown dtype \"" + entry.view.dtype + "\"");
  const JsonReader shape = json.at("shape"), offsets = json.at("data_offsets");
  if (shape.size() > kMaxRank) shape.fail("more than 8 dimensions");
  for (std::size_t i = 0; i < shape.size(); ++i) entry.view.shape.push_back(shape.at(i).integer(0, INT64_MAX));
  if (offsets.size() != 2) offsets.fail("expected [begin, end]");
  entry.begin = static_cast<std::uint64_t>(offsets.at(0).integer(0, INT64_MAX));
  entry.end = static_cast<std::uint64_t>(offsets.at(1).integer(0, INT64_MAX));
  std::uint64_t wanted = 0;
  if (!byte_count(entry.view.shape, element, wanted)) shape.fail("the dimensions overflow");
  if (entry.begin > entry.end || entry.end > data.size())
    offsets.fail("outside the " + std::to_string(data.size()) + " bytes of data");
  if (entry.end - entry.begin != wanted)
    offsets.fail(std::to_string(entry.end - entry.begin) + " bytes for a shape of " + std::to_string(wanted) +
                 " bytes");
  entry.view.bytes = {reinterpret_cast<const std::uint8_t*>(data.data()) + entry.begin,
                      static_cast<std::size_t>(wanted)};
  return entry;
}

void check_coverage(std::vector<Entry>& entries, std::uint64_t size, const std::string& where) {
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  std::uint64_t covered = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != covered)
      refuse(entry.begin < covered ? "two tensors overlap" : "a hole between two tensors", where + ": " + entry.name);
    covered = entry.end;
  }
  if (covered != size) refuse(std::to_string(size - covered) + " bytes belong to no tensor", where);
}

}  // namespace

std::int64_t TensorView::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

std::size_t dtype_size(const std::string& dtype) {
  for (const auto& [name, size] : kDtypes)
    if (dtype == name) return size;
  return 0;
}

SafeTensors parse_safetensors(std::string_view bytes, const std::string& where) {
  if (bytes.size() < 8)
    refuse("the file has " + std::to_string(bytes.size()) + " bytes, a header alone needs 8", where);
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < 8; ++i)
    length |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  if (length > kMaxHeader) refuse("a header of " + std::to_string(length) + " bytes, at most 1 MiB is read", where);
  if (length > bytes.size() - 8) refuse("the file ends in its header", where);
  const std::string_view header = bytes.substr(8, static_cast<std::size_t>(length)),
                         data = bytes.substr(8 + static_cast<std::size_t>(length));
  if (header.empty() || header.front() != '{') refuse("the header is no JSON object", where);
  const nlohmann::json json = parse_json(header, where + ": header", kMaxHeaderValues);
  const JsonReader root(json, where);
  SafeTensors file;
  std::vector<Entry> entries;
  for (const std::string& name : root.keys()) {
    if (name == "__metadata__") {
      const JsonReader metadata = root.at(name);
      for (const std::string& key : metadata.keys()) file.metadata[key] = metadata.at(key).text();
      continue;
    }
    const bool printable =
        std::all_of(name.begin(), name.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
    if (name.empty() || name.size() > kMaxNameLength || !printable)
      refuse("a tensor's name is empty, too long or has control characters", where);
    entries.push_back(read_entry(name, root.at(name), data));
  }
  check_coverage(entries, data.size(), where);
  for (Entry& entry : entries) file.tensors.emplace(entry.name, std::move(entry.view));
  return file;
}

std::string safetensors_bytes(const std::map<std::string, std::string>& metadata,
                              const std::map<std::string, TensorView>& tensors) {
  std::vector<std::pair<std::string, const TensorView*>> order;
  for (const auto& [name, view] : tensors) order.emplace_back(name, &view);
  // Larger elements first keeps every tensor aligned for readers that map the file.
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return dtype_size(a.second->dtype) > dtype_size(b.second->dtype);
  });
  nlohmann::json header = nlohmann::json::object();  // keeps its keys sorted
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const auto& [name, view] : order) {
    std::uint64_t wanted = 0;
    if (!byte_count(view->shape, dtype_size(view->dtype), wanted) || wanted != view->bytes.size() ||
        dtype_size(view->dtype) == 0)
      throw Error(ExitCode::kBug, "a tensor's bytes do not fit its shape", name, "report this");
    header[name] = {{"dtype", view->dtype}, {"shape", view->shape}, {"data_offsets", {offset, offset + wanted}}};
    offset += wanted;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > kMaxHeader)
    throw Error(ExitCode::kBug, "a header of " + std::to_string(text.size()) + " bytes, at most 1 MiB is written",
                "safetensors", "store fewer or larger tensors");
  std::string bytes;
  bytes.reserve(8 + text.size() + offset);
  for (std::size_t i = 0; i < 8; ++i)
    bytes += static_cast<char>(static_cast<std::uint64_t>(text.size()) >> (8 * i) & 0xff);
  bytes += text;
  for (const auto& [name, view] : order)
    bytes.append(reinterpret_cast<const char*>(view->bytes.data()), view->bytes.size());
  return bytes;
}

}  // namespace bitpilot
