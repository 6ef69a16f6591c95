#include "runtime/commands/options.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdio>

#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {

namespace {

namespace po = boost::program_options;

// No abbreviations, no single letters: a flag added later must not change what an old script means.
constexpr int kStyle = po::command_line_style::allow_long | po::command_line_style::long_allow_adjacent |
                       po::command_line_style::long_allow_next;

/// Where a set of values comes from: how an error about it reads.
struct Origin {
  ExitCode code;
  std::string where, fix, quote;  ///< `quote` before and behind a name

  Error error(const std::string& name, const std::string& what) const {
    return Error(code, (quote.empty() ? "--" + name : quote + name + quote) + " " + what, where, fix);
  }
};

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

void describe(const Option& option, po::options_description& table) {
  const auto add = [&](auto* value) {
    if (option.required) value->required();
    table.add_options()(option.name.c_str(), value, "");
  };
  std::visit(Overloaded{[&](bool* target) { add(po::value(target)->zero_tokens()); },
                        [&](std::string* target) { add(po::value(target)); },
                        [&](std::vector<std::string>* target) { add(po::value(target)); },
                        [&](const IntegerTarget& whole) { add(po::value(whole.target)); },
                        [&](const NumberTarget& number) {
                          add(po::value<double>()->notifier([to = number.target](double value) { *to = value; }));
                        }},
             option.target);
}

/// What an option takes, for messages.
std::string kind_of(const Option& option) {
  const auto range = [](const char* kind, double lowest, double highest) {
    char text[96];
    std::snprintf(text, sizeof text, "%s from %.10g to %.10g", kind, lowest, highest);
    return std::string(text);
  };
  const auto* whole = std::get_if<IntegerTarget>(&option.target);
  if (whole != nullptr && whole->highest > std::int64_t{1} << 32)
    return "a whole number from " + std::to_string(whole->lowest) + " on";
  if (whole != nullptr)
    return range("a whole number", static_cast<double>(whole->lowest), static_cast<double>(whole->highest));
  if (const auto* number = std::get_if<NumberTarget>(&option.target))
    return range("a number", number->lowest, number->highest);
  return "a value that is not empty";
}

/// False if a value is of its kind but not allowed.
bool allowed(const Option& option, const po::variable_value& value) {
  return std::visit(
      Overloaded{[](bool*) { return true; }, [&](std::string*) { return !value.as<std::string>().empty(); },
                 [&](std::vector<std::string>*) {
                   const auto& list = value.as<std::vector<std::string>>();
                   return std::find(list.begin(), list.end(), "") == list.end();
                 },
                 [&](const IntegerTarget& whole) {
                   const auto got = value.as<std::int64_t>();
                   return got >= whole.lowest && got <= whole.highest;
                 },
                 [&](const NumberTarget& number) {  // not a number: false
                   const double got = value.as<double>();
                   return got >= number.lowest && got <= number.highest;
                 }},
      option.target);
}

Error unknown_flag(const std::string& word, const std::vector<Option>& options, const Origin& origin) {
  std::vector<std::string> known{"help"};
  for (const Option& option : options)
    if (!option.positional) known.push_back(option.name);
  const std::string like = nearest_name(word.starts_with("--") ? word.substr(2) : word, known);
  return Error(origin.code, "unknown flag " + word, origin.where,
               like.empty() ? origin.fix : "did you mean --" + like + "? Or " + origin.fix);
}

std::string name_in(const po::error_with_option_name& error) {
  const std::string name = error.get_option_name();
  return name.substr(std::min(name.find_first_not_of('-'), name.size()));
}

/// Words to (name, value): unknown flags, missing values and words too many are refused here.
std::vector<po::option> split(const std::vector<std::string>& args, const po::options_description& flags,
                              const std::vector<Option>& options, const Origin& origin) {
  std::vector<po::option> found;
  try {
    found = po::command_line_parser(args).options(flags).style(kStyle).allow_unregistered().run().options;
  } catch (const po::invalid_command_line_syntax& wrong) {
    const bool extra = wrong.kind() == po::invalid_command_line_syntax::extra_parameter;
    throw origin.error(name_in(wrong), extra ? "takes no value" : "needs a value");
  }
  const bool ended = std::find(args.begin(), args.end(), "--") != args.end();
  auto positional = options.begin();
  for (po::option& one : found) {
    const std::string& word = one.original_tokens.front();
    const bool unnamed = one.position_key >= 0;
    if (one.unregistered || (unnamed && !ended && word.size() > 1 && word[0] == '-'))
      throw unknown_flag(word.substr(0, word.find('=')), options, origin);
    if (unnamed) {
      positional = std::find_if(positional, options.end(), [](const Option& o) { return o.positional; });
      if (positional == options.end())
        throw Error(origin.code, "unexpected argument \"" + word + "\"", origin.where, origin.fix);
      one.string_key = (positional++)->name;
    } else if (one.original_tokens.size() > 1 && one.original_tokens[1].starts_with("--")) {
      throw origin.error(one.string_key, "needs a value");  // what follows is a flag
    }
  }
  return found;
}

/// Adds values to those that are there already, which win.
void store(const po::parsed_options& parsed, const std::vector<Option>& options, const Origin& origin,
           po::variables_map& values) {
  const auto refuse = [&](const std::string& name) {
    const auto option = std::find_if(options.begin(), options.end(), [&](const Option& o) { return o.name == name; });
    std::string said;
    for (const po::option& one : parsed.options)
      if (one.string_key == name && !one.value.empty()) said = one.value.front();
    const std::string kind = option == options.end() ? "another value" : kind_of(*option);
    return origin.error(name, "takes " + kind + (said.empty() ? "" : ", not \"" + said + "\""));
  };
  try {
    po::store(parsed, values);
  } catch (const po::multiple_occurrences& twice) {
    throw origin.error(name_in(twice), "is given twice");
  } catch (const po::error_with_option_name& wrong) {
    throw refuse(name_in(wrong));
  }
  for (const Option& option : options)
    if (values.count(option.name) > 0 && !allowed(option, values[option.name])) throw refuse(option.name);
}

}  // namespace

Options::Options(std::string command, std::string summary, bool own_config)
    : command_(std::move(command)), summary_(std::move(summary)), own_config_(own_config) {
  if (!own_config) text("config", "FILE", config_, "JSON object with the same names; the command line wins");
}

Option& Options::add(const std::string& name, const std::string& placeholder, const std::string& help,
                     OptionTarget target) {
  return options_.emplace_back(Option{name, placeholder, help, target});
}

Options& Options::flag(const std::string& name, bool& target, const std::string& help) {
  add(name, "", help, &target);
  return *this;
}

Options& Options::text(const std::string& name, const std::string& placeholder, std::string& target,
                       const std::string& help) {
  add(name, placeholder, help, &target);
  return *this;
}

Options& Options::list(const std::string& name, const std::string& placeholder, std::vector<std::string>& target,
                       const std::string& help) {
  add(name, placeholder, help, &target);
  return *this;
}

Options& Options::integer(const std::string& name, const std::string& placeholder, std::int64_t& target,
                          std::int64_t lowest, std::int64_t highest, const std::string& help) {
  add(name, placeholder, help, IntegerTarget{&target, lowest, highest});
  return *this;
}

Options& Options::number(const std::string& name, const std::string& placeholder, std::optional<double>& target,
                         double lowest, double highest, const std::string& help) {
  add(name, placeholder, help, NumberTarget{&target, lowest, highest});
  return *this;
}

Options& Options::positional(const std::string& placeholder, std::string& target, const std::string& help) {
  add(placeholder, "", help, &target).positional = true;
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

bool Options::parse(const std::vector<std::string>& args) {
  if (std::any_of(args.begin(), args.end(), [](const std::string& arg) { return arg == "--help" || arg == "-h"; })) {
    std::fputs(help().c_str(), stdout);
    return false;
  }
  po::options_description flags, all;  // positional ones have no flag of their name
  for (const Option& option : options_) {
    describe(option, all);
    if (!option.positional) describe(option, flags);
  }
  const Origin command_line{ExitCode::kUsage, "bitpilot " + command_, see_help(), ""};
  const auto named = [&](const std::vector<po::option>& values) {
    po::parsed_options parsed(&all);
    parsed.options = values;
    return parsed;
  };
  po::variables_map values;
  store(named(split(args, flags, options_, command_line)), options_, command_line, values);
  if (!own_config_ && values.count("config") > 0) {
    const std::string path = values["config"].as<std::string>();
    std::vector<po::option> from_file;
    for (const auto& [name, value] : read_config(path)) from_file.emplace_back(name, std::vector<std::string>{value});
    store(named(from_file), options_, {ExitCode::kData, path, "correct the file; " + see_help(), "\""}, values);
  }
  try {
    po::notify(values);
  } catch (const po::required_option& missing) {
    const std::string name = name_in(missing);
    const auto option = std::find_if(options_.begin(), options_.end(), [&](const Option& o) { return o.name == name; });
    throw Error(ExitCode::kUsage, (option == options_.end() ? name : option->usage()) + " is missing",
                command_line.where, "give it; " + see_help());
  }
  for (const auto& [name, value] : values) given_.insert(name);
  return true;
}

}  // namespace bitpilot
