#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace bitpilot {

/// One command's flags: its help, its parsing and its --config file come from this one table.
///
///   Options options("run", "adaptive inference over cameras, videos and folders");
///   options.text("model", "FILE", model, "model file").required();
///   if (!options.parse(args)) return ExitCode::kOk;  // --help was asked for
///
/// `--name value` and `--name=value` are the same; `--config FILE` reads the same names from a JSON object, where the
/// command line wins. Targets must outlive the Options and keep their defaults when a flag is not given.
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
  /// An argument without a name; at most one a command.
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
  bool given(const std::string& name) const;

 private:
  struct Option {
    std::string name, placeholder, help;
    bool repeatable = false, required = false, positional = false;
    std::function<std::string(const std::string&)> set;  ///< returns "" or what is wrong with the value
    std::function<void()> clear;                         ///< empties a list before the command line replaces the file's
    int seen = 0;                                        ///< on the command line
    bool from_file = false;
  };
  std::string command_, summary_, remark_, config_;
  bool own_config_ = false;
  std::vector<Option> options_;

  Option& add(const std::string& name, const std::string& placeholder, const std::string& help);
  Option* find(const std::string& name);
  std::string nearest(const std::string& name) const;
  void read_command_line(const std::vector<std::string>& args, std::vector<std::pair<Option*, std::string>>& values);
  void read_config(const std::string& path);
  void set_from_json(Option& option, const nlohmann::json& value, const std::string& where);
};

}  // namespace bitpilot
