#pragma once

#include <regex.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace bitpilot::testing {

/// A small validator of JSON Schema (draft 7): the keywords that our schemas use; an unknown keyword is an answer too,
/// so none is passed over.
class JsonSchema {
 public:
  explicit JsonSchema(nlohmann::json schema) : root_(std::move(schema)) {}
  /// What is wrong with `value`, "" if nothing.
  std::string problem(const nlohmann::json& value) const { return check(root_, value, "$"); }

 private:
  using Json = nlohmann::json;

  static bool is_type(const Json& value, const std::string& type) {
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    return type == value.type_name();
  }

  /// POSIX extended regular expressions: our patterns are the same in both dialects.
  static bool matches(const std::string& text, const std::string& pattern) {
    regex_t compiled;
    if (regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0) return false;
    const bool found = regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
    regfree(&compiled);
    return found;
  }

  std::string check(const Json& schema, const Json& value, const std::string& where) const {
    static const std::set<std::string> known{"$schema",
                                             "title",
                                             "description",
                                             "definitions",
                                             "$ref",
                                             "oneOf",
                                             "type",
                                             "enum",
                                             "minimum",
                                             "maximum",
                                             "pattern",
                                             "items",
                                             "minItems",
                                             "maxItems",
                                             "required",
                                             "properties",
                                             "additionalProperties"};
    for (const auto& item : schema.items())
      if (known.count(item.key()) == 0) return "the schema uses " + item.key() + ", which this validator does not know";
    if (schema.contains("$ref")) {
      const std::string problem =
          check(root_.at(Json::json_pointer(schema["$ref"].get<std::string>().substr(1))), value, where);
      if (!problem.empty()) return problem;
    }
    if (schema.contains("oneOf")) {
      std::string all;
      int fitting = 0;
      for (const Json& option : schema["oneOf"]) {
        const std::string problem = check(option, value, where);
        fitting += problem.empty();
        all += problem + "; ";
      }
      if (fitting != 1) return where + ": fits " + std::to_string(fitting) + " of the alternatives: " + all;
    }
    if (schema.contains("type")) {
      const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
      bool fits = false;
      for (const Json& type : types) fits = fits || is_type(value, type);
      if (!fits) return where + ": is " + value.type_name() + ", not " + types.dump();
    }
    if (schema.contains("enum") &&
        std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
      return where + ": " + value.dump() + " is none of " + schema["enum"].dump();
    if (value.is_number()) {
      if (schema.contains("minimum") && value < schema["minimum"]) return where + ": below " + schema["minimum"].dump();
      if (schema.contains("maximum") && value > schema["maximum"]) return where + ": above " + schema["maximum"].dump();
    }
    if (value.is_string() && schema.contains("pattern") &&
        !matches(value.get<std::string>(), schema["pattern"].get<std::string>()))
      return where + ": does not look like " + schema["pattern"].dump();
    return value.is_array()    ? check_items(schema, value, where)
           : value.is_object() ? check_members(schema, value, where)
                               : "";
  }

  std::string check_items(const Json& schema, const Json& value, const std::string& where) const {
    if (schema.contains("minItems") && value.size() < schema["minItems"]) return where + ": too few items";
    if (schema.contains("maxItems") && value.size() > schema["maxItems"]) return where + ": too many items";
    for (std::size_t i = 0; schema.contains("items") && i < value.size(); ++i) {
      const std::string problem = check(schema["items"], value[i], where + "[" + std::to_string(i) + "]");
      if (!problem.empty()) return problem;
    }
    return "";
  }

  std::string check_members(const Json& schema, const Json& value, const std::string& where) const {
    for (const Json& name : schema.value("required", Json::array()))
      if (!value.contains(name.get<std::string>())) return where + ": " + name.get<std::string>() + " is missing";
    const Json properties = schema.value("properties", Json::object());
    for (const auto& [name, member] : value.items()) {
      const Json rest = schema.value("additionalProperties", Json(true));
      if (!properties.contains(name) && rest == false) return where + ": unknown member " + name;
      const Json& rule = properties.contains(name) ? properties[name] : rest;
      const std::string problem = rule.is_object() ? check(rule, member, where + "." + name) : "";
      if (!problem.empty()) return problem;
    }
    return "";
  }

  Json root_;
};

}  // namespace bitpilot::testing
