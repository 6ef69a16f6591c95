#include "runtime/commands/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/core/json.h"

namespace bitpilot {

namespace {

template <typename T>
std::string parse_number(const std::string& value, T lowest, T highest, T& target, const char* kind) {
  T parsed{};
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
  const bool whole = error == std::errc() && end == value.data() + value.size();
  if (!whole || !(parsed >= lowest && parsed <= highest)) {
    char range[96];
    std::snprintf(range, sizeof range, " from %.10g to %.10g", static_cast<double>(lowest),
                  static_cast<double>(highest));
    return "takes " + std::string(kind) + range + ", not \"" + value + "\"";
  }
  target = parsed;
  return "";
}

}  // namespace

Options::Options(std::string command, std::string summary, bool own_config)
    : command_(std::move(command)), summary_(std::move(summary)), own_config_(own_config) {
  if (!own_config) text("config", "FILE", config_, "JSON object with the same names; the command line wins");
}

Options::Option& Options::add(const std::string& name, const std::string& placeholder, const std::string& help) {
  options_.push_back({});
  Option& option = options_.back();
  option.name = name;
  option.placeholder = placeholder;
  option.help = help;
  return option;
}

Options& Options::flag(const std::string& name, bool& target, const std::string& help) {
  add(name, "", help).set = [&target](const std::string& value) -> std::string {
    if (value != "true" && value != "false") return "takes no value";
    target = value == "true";
    return "";
  };
  return *this;
}

Options& Options::text(const std::string& name, const std::string& placeholder, std::string& target,
                       const std::string& help) {
  add(name, placeholder, help).set = [&target](const std::string& value) -> std::string {
    if (value.empty()) return "takes a value that is not empty";
    target = value;
    return "";
  };
  return *this;
}

Options& Options::list(const std::string& name, const std::string& placeholder, std::vector<std::string>& target,
                       const std::string& help) {
  Option& option = add(name, placeholder, help);
  option.repeatable = true;
  option.clear = [&target] { target.clear(); };
  option.set = [&target](const std::string& value) -> std::string {
    if (value.empty()) return "takes a value that is not empty";
    target.push_back(value);
    return "";
  };
  return *this;
}

Options& Options::integer(const std::string& name, const std::string& placeholder, std::int64_t& target,
                          std::int64_t lowest, std::int64_t highest, const std::string& help) {
  add(name, placeholder, help).set = [&target, lowest, highest](const std::string& value) {
    return parse_number<std::int64_t>(value, lowest, highest, target, "a whole number");
  };
  return *this;
}

Options& Options::number(const std::string& name, const std::string& placeholder, std::optional<double>& target,
                         double lowest, double highest, const std::string& help) {
  add(name, placeholder, help).set = [&target, lowest, highest](const std::string& value) {
    double parsed = 0;
    std::string wrong = parse_number<double>(value, lowest, highest, parsed, "a number");
    if (wrong.empty()) target = parsed;
    return wrong;
  };
  return *this;
}

Options& Options::positional(const std::string& placeholder, std::string& target, const std::string& help) {
  text(placeholder, "", target, help);
  options_.back().positional = true;
  return *this;
}

Options& Options::required() {
  options_.back().required = true;
  return *this;
}

Options& Options::remark(const std::string& text) {
  remark_ += text + "\n";
  return *this;
}

Options::Option* Options::find(const std::string& name) {
  const auto found =
      std::find_if(options_.begin(), options_.end(), [&](const Option& o) { return !o.positional && o.name == name; });
  return found == options_.end() ? nullptr : &*found;
}

bool Options::given(const std::string& name) const {
  return std::any_of(options_.begin(), options_.end(),
                     [&](const Option& o) { return o.name == name && (o.seen > 0 || o.from_file); });
}

std::string Options::nearest(const std::string& name) const {
  std::vector<std::string> known{"help"};
  for (const Option& option : options_) {
    if (!option.positional) known.push_back(option.name);
  }
  return nearest_name(name, known);
}

void Options::read_command_line(const std::vector<std::string>& args,
                                std::vector<std::pair<Option*, std::string>>& values) {
  const std::string here = "bitpilot " + command_, see = "see `bitpilot " + command_ + " --help`";
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg.size() < 2 || arg[0] != '-') {
      const auto found =
          std::find_if(options_.begin(), options_.end(), [](const Option& o) { return o.positional && o.seen == 0; });
      if (found == options_.end()) throw Error(ExitCode::kUsage, "unexpected argument \"" + arg + "\"", here, see);
      ++found->seen;
      values.emplace_back(&*found, arg);
      continue;
    }
    const std::size_t equals = arg.find('=');
    const std::string name =
        arg.starts_with("--") ? arg.substr(2, equals == std::string::npos ? equals : equals - 2) : "";
    Option* option = find(name);
    if (option == nullptr) {
      const std::string shown = arg.substr(0, equals), like = nearest(name);
      throw Error(ExitCode::kUsage, "unknown flag " + shown, here,
                  like.empty() ? see : "did you mean --" + like + "? Or " + see);
    }
    if (++option->seen > 1 && !option->repeatable) {
      throw Error(ExitCode::kUsage, "--" + name + " is given twice", here, "give it once");
    }
    std::string value = "true";
    if (equals != std::string::npos) {
      value = arg.substr(equals + 1);
      if (option->placeholder.empty()) throw Error(ExitCode::kUsage, "--" + name + " takes no value", here, see);
    } else if (!option->placeholder.empty()) {
      const bool missing = i + 1 == args.size() || args[i + 1].starts_with("--");
      if (missing)
        throw Error(ExitCode::kUsage, "--" + name + " needs a value", here,
                    "give --" + name + " " + option->placeholder);
      value = args[++i];
    }
    values.emplace_back(option, value);
  }
}

void Options::set_from_json(Option& option, const nlohmann::json& value, const std::string& where) {
  const auto fail = [&](const std::string& what) {
    throw Error(ExitCode::kData, "\"" + option.name + "\" " + what, where,
                "correct the file; see `bitpilot " + command_ + " --help`");
  };
  if (value.is_array() && option.repeatable) {
    for (const auto& item : value) set_from_json(option, item, where);
    return;
  }
  const bool is_flag = option.placeholder.empty();
  if (is_flag != value.is_boolean()) fail(is_flag ? "takes true or false" : "takes no true or false");
  if (!value.is_string() && !value.is_number() && !value.is_boolean()) fail("takes a plain value");
  const std::string wrong = option.set(value.is_string() ? value.get<std::string>() : value.dump());
  if (!wrong.empty()) fail(wrong);
  option.from_file = true;
}

void Options::read_config(const std::string& path) {
  const nlohmann::json config = parse_json(read_file(path), path);
  if (!config.is_object())
    throw Error(ExitCode::kData, "a config is a JSON object", path, "write {\"name\": value, ...}");
  for (const auto& [key, value] : config.items()) {
    Option* option = find(key);
    if (option == nullptr || key == "config") {
      const std::string like = nearest(key);
      throw Error(
          ExitCode::kData, "unknown key \"" + key + "\"", path,
          like.empty() ? "see `bitpilot " + command_ + " --help` for the names" : "did you mean \"" + like + "\"?");
    }
    set_from_json(*option, value, path);
  }
}

bool Options::parse(const std::vector<std::string>& args) {
  if (std::any_of(args.begin(), args.end(), [](const std::string& arg) { return arg == "--help" || arg == "-h"; })) {
    std::fputs(help().c_str(), stdout);
    return false;
  }
  std::vector<std::pair<Option*, std::string>> values;
  read_command_line(args, values);
  for (const auto& [option, value] : values) {
    if (option->name == "config" && !own_config_) read_config(value);
  }
  for (const auto& [option, value] : values) {
    if (option->from_file && option->clear) option->clear();
    option->from_file = false;
  }
  const std::string here = "bitpilot " + command_;
  for (const auto& [option, value] : values) {
    const std::string wrong = option->set(value);
    const std::string shown = option->positional ? option->name : "--" + option->name;
    if (!wrong.empty())
      throw Error(ExitCode::kUsage, shown + " " + wrong, here, "see `bitpilot " + command_ + " --help`");
  }
  for (const Option& option : options_) {
    if (!option.required || option.seen > 0 || option.from_file) continue;
    const std::string shown = option.positional ? option.name : "--" + option.name + " " + option.placeholder;
    throw Error(ExitCode::kUsage, shown + " is missing", here, "give it; see `bitpilot " + command_ + " --help`");
  }
  return true;
}

}  // namespace bitpilot
