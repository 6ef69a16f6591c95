#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/error.h"

namespace bitpilot {

/// Parses JSON text.  Throws Error(kData) on a syntax error (with its byte), nesting deeper than 32, more than
/// `max_values` values (which bounds the memory that hostile text can ask for), a key that stands twice in one object
/// or invalid UTF-8.
nlohmann::json parse_json(std::string_view text, const std::string& where,
                          std::size_t max_values = std::size_t{1} << 22);

/// Strict reading of a JSON value: each getter checks type and range and names the place ("recipe.json:
/// training.epochs") on failure. Holds a reference: the value must outlive the reader.
class JsonReader {
 public:
  /// `code`: exit code of failures: kData for files, kUsage for what stands on the command line.
  JsonReader(const nlohmann::json& value, std::string where, ExitCode code = ExitCode::kData);

  const nlohmann::json& value() const { return *value_; }
  const std::string& where() const { return where_; }
  [[noreturn]] void fail(const std::string& what) const;

  /// Objects.  allow() throws on a key that is not among `known`, naming the nearest known one.
  void allow(std::initializer_list<const char*> known) const;
  void allow(const std::vector<std::string>& known) const;
  bool has(const std::string& key) const;
  JsonReader at(const std::string& key) const;  ///< throws if the key is missing
  std::vector<std::string> keys() const;

  /// Arrays.
  std::size_t size() const;
  JsonReader at(std::size_t index) const;

  /// This value.
  std::int64_t integer(std::int64_t lowest, std::int64_t highest) const;
  double number(double lowest, double highest) const;
  bool boolean() const;
  std::string text(std::size_t max_length = 1 << 20) const;  ///< no NUL bytes

  /// Optional members: the value of `key`, or `otherwise` where it is missing.
  std::int64_t integer(const std::string& key, std::int64_t lowest, std::int64_t highest, std::int64_t otherwise) const;
  double number(const std::string& key, double lowest, double highest, double otherwise) const;
  bool boolean(const std::string& key, bool otherwise) const;
  std::string text(const std::string& key, const std::string& otherwise) const;

 private:
  const nlohmann::json* value_;
  std::string where_;
  ExitCode code_;
};

}  // namespace bitpilot
