#include "runtime/commands/program.h"

#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "runtime/core/error.h"

namespace bitpilot {

namespace {

int report(const Error& error) {
  std::fflush(stdout);
  std::string text = error.what();
  // Names of files come from strangers: none of them may steer the terminal.
  for (char& c : text)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f) c = '?';
  std::fprintf(stderr, "error: %s\n", text.c_str());
  return static_cast<int>(error.code);
}

}  // namespace

int run_program(const char* name, const std::function<int()>& work) {
  try {
    const int code = work();
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      throw Error(ExitCode::kMachine, "cannot write the results", "standard output",
                  "free some space or name another place");
    return code;
  } catch (const Error& error) {
    return report(error);
  } catch (const std::bad_alloc&) {
    return report(Error(ExitCode::kMachine, "out of memory", name, "close other programs or use fewer --threads"));
  } catch (const std::exception& error) {
    return report(Error(ExitCode::kBug, error.what(), name, "this is a bug of bitpilot: please report it"));
  }
}

}  // namespace bitpilot
