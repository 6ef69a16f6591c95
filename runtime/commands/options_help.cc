#include <algorithm>

#include "runtime/commands/options.h"

namespace bitpilot {

namespace {

/// "text" broken into lines of at most `width`, the later ones indented.
std::string wrapped(const std::string& text, std::size_t indent, std::size_t width) {
  std::string out;
  std::size_t column = indent;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    if (column + (end - begin) > width && column > indent) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += text.substr(begin, end - begin);
    column += end - begin;
    begin = end + 1;
  }
  return out;
}

}  // namespace

std::string Options::help() const {
  std::string usage = "usage: bitpilot " + command_, table;
  std::size_t column = 0;
  for (const Option& option : options_) {
    column = std::max(column, option.usage().size() + 4);
    if (option.required) usage += " " + option.usage();
  }
  const auto row = [&](const std::string& name, const std::string& text) {
    table += "  " + name + std::string(column - name.size() - 2, ' ') + wrapped(text, column, 118) + "\n";
  };
  for (const Option& option : options_) {
    if (own_config_ || option.name != "config")
      row(option.usage(), option.help + (option.repeatable() ? " (repeatable)" : ""));
  }
  if (!own_config_) row(options_.front().usage(), options_.front().help);
  row("--help", "this text");
  return "bitpilot " + command_ + ": " + summary_ + "\n" + usage + " [flags]\n\n" + table +
         (remark_.empty() ? "" : "\n" + remark_);
}

}  // namespace bitpilot
