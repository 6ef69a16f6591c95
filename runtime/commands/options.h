#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace bitpilot {

/// Where a value goes, and what is allowed: a flag, a text, a list, a whole number, a number.
struct IntegerTarget {
  std::int64_t* target;
  std::int64_t lowest, highest;
};
struct NumberTarget {
  std::optional<double>* target;
  double lowest, highest;
};
using OptionTarget = std::variant<bool*, std::string*, std::vector<std::string>*, IntegerTarget, NumberTarget>;

/// One row of a command's table.
struct Option {
  std::string name, placeholder, help;
  OptionTarget target;
  bool required = false, positional = false;
  bool is_flag() const { return std::holds_alternative<bool*>(target); }
  bool repeatable() const { return std::holds_alternative<std::vector<std::string>*>(target); }
  /// "--threads N", "--quiet", "FILE".
  std::string usage() const { return positional ? name : "--" + name + (is_flag() ? "" : " " + placeholder); }
};

/// One command's flags: its help, its parsing and its --config file come from this one table.
///
///   Options options("run", "adaptive inference over cameras, videos and folders");
///   options.text("model", "FILE", model, "model file").required();
///   if (!options.parse(args)) return ExitCode::kOk;  // --help was asked for
///
/// Boost.Program_options reads the words and converts the values; this table adds the names of the nearest flags, the
/// config file and the help.  `--name value` and `--name=value` are the same, names are never guessed from their
/// beginnings, behind `--` nothing is a flag.  `--config FILE` reads the same names from a JSON object, where the
/// command line wins.  Targets must outlive the Options and keep their defaults when a flag is not given.
class Options {
 public:
  /// `own_config`: the command reads --config itself (train: a recipe); it must then declare that flag.
  Options(std::string command, std::string summary, bool own_config = false);

  Options& flag(const std::string& name, bool& target, const std::string& help);
  Options& text(const std::string& name, const std::string& placeholder, std::string& target, const std::string& help);
  /// Repeatable; a list in the config file.
  Options& list(const std::string& name, const std::string& placeholder, std::vector<std::string>& target,
                const std::string& help);
  Options& integer(const std::string& name, const std::string& placeholder, std::int64_t& target, std::int64_t lowest,
                   std::int64_t highest, const std::string& help);
  Options& number(const std::string& name, const std::string& placeholder, std::optional<double>& target, double lowest,
                  double highest, const std::string& help);
  /// An argument without a name.
  Options& positional(const std::string& placeholder, std::string& target, const std::string& help);
  /// The option added last must be given.
  Options& required();
  /// Lines printed below the flags.
  Options& remark(const std::string& text);

  /// Fills the targets.  False: --help was asked for and printed to stdout.
  /// Throws Error(kUsage) on an unknown, repeated, missing or ill-formed flag, Error(kData) for the same in the config
  /// file; both name the nearest known flag.
  bool parse(const std::vector<std::string>& args);
  std::string help() const;
  /// True when the flag stood on the command line or in the config file.
  bool given(const std::string& name) const { return given_.count(name) > 0; }

 private:
  std::string command_, summary_, remark_, config_;
  bool own_config_ = false;
  std::vector<Option> options_;
  std::set<std::string> given_;

  Option& add(const std::string& name, const std::string& placeholder, const std::string& help, OptionTarget target);
  std::string see_help() const { return "see `bitpilot " + command_ + " --help`"; }
  /// The config file as flags: (name, value), a list as several.
  std::vector<std::pair<std::string, std::string>> read_config(const std::string& path) const;
};

}  // namespace bitpilot
