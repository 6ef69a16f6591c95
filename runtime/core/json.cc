#include "runtime/core/json.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "runtime/core/files.h"

namespace bitpilot {
namespace {

constexpr std::size_t kMaxDepth = 32;

/// Walks the text once before anything is built: depth, number of values and duplicate keys, which nlohmann's own
/// parser lets pass.
class Guard : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Guard(std::size_t max_values) : values_left_(max_values) {}
  std::string problem;

  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(number_integer_t) override { return count(); }
  bool number_unsigned(number_unsigned_t) override { return count(); }
  bool number_float(number_float_t, const string_t&) override { return count(); }
  bool string(string_t&) override { return count(); }
  bool binary(binary_t&) override { return count(); }
  bool start_object(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    problem = "the key \"" + name + "\" stands twice";
    return false;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
    problem = error.what();
    return false;
  }

 private:
  bool count() {
    if (values_left_-- > 0) return true;
    problem = "too many values";
    return false;
  }
  bool open() {
    keys_.emplace_back();
    if (keys_.size() <= kMaxDepth) return count();
    problem = "nested deeper than " + std::to_string(kMaxDepth);
    return false;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }
  std::size_t values_left_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& where, std::size_t max_values) {
  Guard guard(max_values);
  try {
    if (nlohmann::json::sax_parse(text, &guard)) return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    guard.problem = error.what();
  }
  // Messages may quote bytes of the input: keep them printable.
  for (char& c : guard.problem)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  throw Error(ExitCode::kData, "not the JSON that was expected: " + guard.problem, where,
              "correct the text at that place");
}

JsonReader::JsonReader(const nlohmann::json& value, std::string where, ExitCode code)
    : value_(&value), where_(std::move(where)), code_(code) {}

void JsonReader::fail(const std::string& what) const {
  throw Error(code_, what, where_, "see the documentation of this field");
}

void JsonReader::allow(std::initializer_list<const char*> known) const {
  allow(std::vector<std::string>(known.begin(), known.end()));
}

void JsonReader::allow(const std::vector<std::string>& known) const {
  if (!value_->is_object()) fail("expected an object");
  for (const auto& item : value_->items()) {
    if (std::find(known.begin(), known.end(), item.key()) != known.end()) continue;
    const std::string nearest = nearest_name(item.key(), known);
    std::string list;
    for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
    throw Error(code_, "unknown key \"" + item.key() + "\"", where_,
                nearest.empty() ? "known keys: " + list : "did you mean \"" + nearest + "\"?");
  }
}

bool JsonReader::has(const std::string& key) const {
  if (!value_->is_object()) fail("expected an object");
  return value_->contains(key);
}

JsonReader JsonReader::at(const std::string& key) const {
  if (!has(key)) throw Error(code_, "the key \"" + key + "\" is missing", where_, "add it");
  const bool root = where_.empty() || where_.find(": ") == std::string::npos;
  return {(*value_)[key], where_ + (root ? ": " : ".") + key, code_};
}

std::vector<std::string> JsonReader::keys() const {
  if (!value_->is_object()) fail("expected an object");
  std::vector<std::string> names;
  for (const auto& item : value_->items()) names.push_back(item.key());
  return names;
}

std::size_t JsonReader::size() const {
  if (!value_->is_array()) fail("expected a list");
  return value_->size();
}

JsonReader JsonReader::at(std::size_t index) const {
  if (index >= size()) fail("the list is too short");
  return {(*value_)[index], where_ + "[" + std::to_string(index) + "]", code_};
}

std::int64_t JsonReader::integer(std::int64_t lowest, std::int64_t highest) const {
  const bool fits =
      value_->is_number_integer() &&
      (!value_->is_number_unsigned() || value_->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX));
  if (!fits) fail("expected a whole number");
  const auto result = value_->get<std::int64_t>();
  if (result < lowest || result > highest)
    fail(std::to_string(result) + " is outside " + std::to_string(lowest) + ".." + std::to_string(highest));
  return result;
}

double JsonReader::number(double lowest, double highest) const {
  if (!value_->is_number()) fail("expected a number");
  const auto result = value_->get<double>();
  if (!(result >= lowest && result <= highest))
    fail(nlohmann::json(result).dump() + " is outside " + nlohmann::json(lowest).dump() + ".." +
         nlohmann::json(highest).dump());
  return result;
}

bool JsonReader::boolean() const {
  if (!value_->is_boolean()) fail("expected true or false");
  return value_->get<bool>();
}

std::string JsonReader::text(std::size_t max_length) const {
  if (!value_->is_string()) fail("expected a text");
  const auto& result = value_->get_ref<const std::string&>();
  if (result.size() > max_length) fail("longer than " + std::to_string(max_length) + " bytes");
  if (result.find('\0') != std::string::npos) fail("a text with a NUL byte");
  return result;
}

std::int64_t JsonReader::integer(const std::string& key, std::int64_t lowest, std::int64_t highest,
                                 std::int64_t otherwise) const {
  return has(key) ? at(key).integer(lowest, highest) : otherwise;
}
double JsonReader::number(const std::string& key, double lowest, double highest, double otherwise) const {
  return has(key) ? at(key).number(lowest, highest) : otherwise;
}
bool JsonReader::boolean(const std::string& key, bool otherwise) const {
  return has(key) ? at(key).boolean() : otherwise;
}
std::string JsonReader::text(const std::string& key, const std::string& otherwise) const {
  return has(key) ? at(key).text() : otherwise;
}

}  // namespace bitpilot
