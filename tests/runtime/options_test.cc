#include "runtime/commands/options.h"

#include <doctest/doctest.h>

#include "runtime/core/error.h"
#include "tests/support/temporary_folder.h"

using bitpilot::Error;
using bitpilot::ExitCode;

namespace {

struct Flags {
  std::string model, file;
  std::vector<std::string> sources;
  std::int64_t threads = 1;
  std::optional<double> lambda;
  bool quiet = false;
  bitpilot::Options options{"run", "test"};

  Flags() {
    options.text("model", "FILE", model, "the model").required();
    options.list("source", "SOURCE", sources, "where from");
    options.integer("threads", "N", threads, 1, 64, "workers");
    options.number("lambda", "X", lambda, 0, 1000, "price");
    options.flag("quiet", quiet, "no progress");
    options.positional("FILE", file, "a file");
  }
  /// Exit code of parsing, kOk if it went well; `said` gets the message.
  ExitCode parse(const std::vector<std::string>& args) {
    try {
      options.parse(args);
      return ExitCode::kOk;
    } catch (const Error& error) {
      said = error.what();
      return error.code;
    }
  }
  bool says(const std::string& text) const { return said.find(text) != std::string::npos; }
  std::string said;
};

}  // namespace

TEST_CASE("commands/options: values come by space or by equals sign, lists grow, positionals are found") {
  Flags flags;
  REQUIRE(flags.parse({"--model", "m", "--source=a", "--source", "b", "--threads=4", "--lambda", "0.25", "--quiet",
                       "x"}) == ExitCode::kOk);
  CHECK(flags.model == "m");
  CHECK(flags.sources == std::vector<std::string>{"a", "b"});
  CHECK(flags.threads == 4);
  CHECK(flags.lambda == 0.25);
  CHECK(flags.quiet);
  CHECK(flags.file == "x");
  CHECK(flags.options.given("threads"));
}

TEST_CASE("commands/options: a dash alone and negative numbers are values") {
  Flags flags;
  CHECK(flags.parse({"--model", "-"}) == ExitCode::kOk);
  CHECK(flags.model == "-");
  CHECK(Flags().parse({"--model", "m", "--threads", "-1"}) == ExitCode::kUsage);  // understood, out of range
}

TEST_CASE("commands/options: wrong usage is refused with the flag's name and a way out") {
  const auto refused = [](const std::vector<std::string>& args, const std::string& text) {
    Flags flags;
    INFO(text);
    CHECK(flags.parse(args) == ExitCode::kUsage);
    INFO(flags.said);
    CHECK(flags.says(text));
  };
  refused({"--model", "m", "--modle", "x"}, "did you mean --model?");
  refused({"--model", "m", "--model", "n"}, "--model is given twice");
  refused({"--model", "m", "--quiet", "--quiet"}, "--quiet is given twice");
  refused({"--model"}, "--model needs a value");
  refused({"--model", "--quiet"}, "--model needs a value");
  refused({"--quiet"}, "--model FILE is missing");
  refused({"--model", "m", "--threads", "2x"}, "not \"2x\"");
  refused({"--model", "m", "--threads", "65"}, "from 1 to 64");
  refused({"--model", "m", "--lambda", "nan"}, "not \"nan\"");
  refused({"--model", "m", "--quiet=yes"}, "--quiet takes no value");
  refused({"--model", "m", "a", "b"}, "unexpected argument \"b\"");
  refused({"--model", "m", "-q"}, "unknown flag -q");
  refused({"--model="}, "--model needs a value");
  refused({"--model", ""}, "--model takes a value that is not empty");
  refused({"--model", "m", "--threads", "3.0"}, "not \"3.0\"");
  refused({"--model", "m", "--threads", "99999999999999999999"}, "--threads takes a whole number from 1 to 64");
  refused({"--model", "m", "--=x"}, "unknown flag --");
  refused({"--model", "m", "--FILE", "x"}, "unknown flag --FILE");  // a positional argument has no flag
  refused({"--model", "m", "--MODEL", "x"}, "unknown flag --MODEL");
}

TEST_CASE("commands/options: the beginning of a flag's name is not that flag") {
  for (const char* shortened : {"--mod", "--mode", "--mode=m", "-model", "--q"}) {
    Flags flags;
    INFO(shortened);
    CHECK(flags.parse({"--model", "m", shortened, "m"}) == ExitCode::kUsage);
    CHECK(flags.says("unknown flag"));
  }
}

TEST_CASE("commands/options: behind -- nothing is a flag, and a value by equals sign may begin with dashes") {
  Flags flags;
  REQUIRE(flags.parse({"--model=--odd", "--", "--quiet"}) == ExitCode::kOk);
  CHECK(flags.model == "--odd");
  CHECK(flags.file == "--quiet");
  CHECK_FALSE(flags.quiet);
  CHECK_FALSE(flags.options.given("quiet"));
}

TEST_CASE("commands/options: what is not given keeps its default") {
  Flags flags;
  flags.threads = 7;
  REQUIRE(flags.parse({"--model", "m"}) == ExitCode::kOk);
  CHECK(flags.threads == 7);
  CHECK_FALSE(flags.lambda.has_value());
  CHECK_FALSE(flags.options.given("threads"));
}

TEST_CASE("commands/options: a config file has the flags' names and the command line wins") {
  const bitpilot::testing::TemporaryFolder folder;
  const std::string config =
      folder.write("c.json", R"({"model": "m", "source": ["a", "b"], "threads": 3, "quiet": true, "lambda": 0.5})");
  Flags from_file;
  REQUIRE(from_file.parse({"--config", config}) == ExitCode::kOk);
  CHECK(from_file.sources == std::vector<std::string>{"a", "b"});
  CHECK(from_file.threads == 3);
  CHECK(from_file.quiet);
  Flags both;
  REQUIRE(both.parse({"--source", "c", "--config", config, "--threads", "5", "--source", "d"}) == ExitCode::kOk);
  CHECK(both.model == "m");
  CHECK(both.sources == std::vector<std::string>{"c", "d"});
  CHECK(both.threads == 5);
}

TEST_CASE("commands/options: a wrong config is bad data and names the nearest key") {
  const bitpilot::testing::TemporaryFolder folder;
  const auto refused = [&](const std::string& json, const std::string& text) {
    Flags flags;
    CHECK(flags.parse({"--config", folder.write("c.json", json)}) == ExitCode::kData);
    INFO(json, " gave ", flags.said);
    CHECK(flags.says(text));
  };
  refused(R"({"model": "m", "thread": 3})", "did you mean \"threads\"?");
  refused(R"({"model": "m", "threads": "many"})", "takes a whole number");
  refused(R"({"model": "m", "threads": true})", "takes no true or false");
  refused(R"({"model": "m", "quiet": 1})", "takes true or false");
  refused(R"({"model": {"a": 1}})", "takes a plain value");
  refused(R"({"model": "m", "threads": 65})", "from 1 to 64");
  refused(R"({"model": "m", "source": ["a", ""]})", "\"source\" takes a value that is not empty");
  refused(R"({"model": "m", "source": ["a", ["b"]]})", "takes a plain value");
  refused(R"({"model": "m", "FILE": "x"})", "unknown key \"FILE\"");
  refused(R"({"config": "other.json"})", "unknown key \"config\"");
  refused("[1]", "a config is a JSON object");
  refused("{", "c.json");
}

TEST_CASE("commands/options: help lists every flag and asks for nothing else") {
  Flags flags;
  const std::string help = flags.options.help();
  for (const char* name :
       {"--model FILE", "--source SOURCE", "--threads N", "--lambda X", "--quiet", "--config FILE", "--help"}) {
    INFO(name);
    CHECK(help.find(name) != std::string::npos);
  }
  CHECK_FALSE(flags.options.parse({"--nonsense", "--help"}));
}
