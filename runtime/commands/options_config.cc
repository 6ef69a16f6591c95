#include <algorithm>

#include "runtime/commands/options.h"
#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"

namespace bitpilot {

std::vector<std::pair<std::string, std::string>> Options::read_config(const std::string& path) const {
  const nlohmann::json config = parse_json(read_file(path), path);
  if (!config.is_object())
    throw Error(ExitCode::kData, "a config is a JSON object", path, "write {\"name\": value, ...}");
  std::vector<std::pair<std::string, std::string>> values;
  for (const auto& [key, value] : config.items()) {
    const auto option = std::find_if(options_.begin(), options_.end(), [&name = key](const Option& o) {
      return !o.positional && o.name == name && name != "config";
    });
    if (option == options_.end()) {
      std::vector<std::string> known;
      for (const Option& o : options_)
        if (!o.positional && o.name != "config") known.push_back(o.name);
      const std::string like = nearest_name(key, known);
      throw Error(ExitCode::kData, "unknown key \"" + key + "\"", path,
                  like.empty() ? see_help() + " for the names" : "did you mean \"" + like + "\"?");
    }
    const bool is_flag = option->is_flag(), listed = value.is_array() && option->repeatable();
    const nlohmann::json items = listed ? value : nlohmann::json::array({value});
    for (const nlohmann::json& item : items) {
      std::string wrong;
      if (is_flag != item.is_boolean()) wrong = is_flag ? "takes true or false" : "takes no true or false";
      if (!item.is_string() && !item.is_number() && !item.is_boolean()) wrong = "takes a plain value";
      if (!wrong.empty())
        throw Error(ExitCode::kData, "\"" + key + "\" " + wrong, path, "correct the file; " + see_help());
      values.emplace_back(key, item.is_string() ? item.get<std::string>() : item.dump());
    }
  }
  return values;
}

}  // namespace bitpilot
