#include "runtime/sources/program_path.h"

#include <unistd.h>

#include <climits>
#include <cstdlib>

namespace bitpilot {

std::string program_path(const std::string& name) {
  std::string folder;
  if (const char* chosen = std::getenv("BITPILOT_EXEC_PATH"); chosen != nullptr && *chosen != '\0') {
    folder = chosen;
  } else {
    char self[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self);
    if (length <= 0 || length == static_cast<ssize_t>(sizeof self)) return "";
    folder.assign(self, static_cast<std::size_t>(length));
    folder.resize(folder.rfind('/'));
  }
  std::string path = folder + "/" + name;
  return access(path.c_str(), X_OK) == 0 ? path : "";
}

}  // namespace bitpilot
