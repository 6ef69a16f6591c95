#include "experiments/run_clock.h"

#include <exception>
#include <nlohmann/json.hpp>

#include "runtime/core/files.h"
#include "runtime/core/json.h"

namespace bitpilot {

using nlohmann::json;

RunClock::RunClock(std::string file) : file_(std::move(file)) {
  try {
    seconds_ = parse_json(read_file(file_), file_).get<std::map<std::string, double>>();
  } catch (const std::exception&) {
    seconds_.clear();  // a time is no reason to refuse a run
  }
}

void RunClock::begin(const std::string& part) {
  if (!part_.empty()) keep();
  part_ = part;
  since_ = Clock::now();
}

void RunClock::keep() {
  const Clock::time_point now = Clock::now();
  seconds_[part_] += std::chrono::duration<double>(now - since_).count();
  since_ = now;
  write_file_atomically(file_, json(seconds_).dump() + "\n");
}

}  // namespace bitpilot
