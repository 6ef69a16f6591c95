#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bitpilot {

/// The scalars of a run for TensorBoard (`tensorboard --logdir RUN`): a file of records, each
///   length u64 | masked CRC32C of the length | Event | masked CRC32C of the Event        (little endian)
/// The first Event tells the version, every other one the scalars of one step.  A record's size does not depend on its
/// time, so a file can be cut back to what a checkpoint knows of.
class EventFile {
 public:
  /// Nothing is written yet.
  explicit EventFile(std::string path) : path_(std::move(path)) {}
  /// Bytes now; 0 where there is no file.
  std::uint64_t size() const;
  /// Forgets what stands behind `bytes`.
  void cut(std::uint64_t bytes) const;
  /// Adds one Event.  Throws Error(kMachine) when it cannot be written; what was written of it is cut off again.
  void add(std::int64_t step, const std::vector<std::pair<std::string, double>>& scalars) const;

 private:
  std::string path_;
};

/// CRC-32C (Castagnoli) of some bytes, and how records hold it.
std::uint32_t crc32c(const std::string& bytes);
std::uint32_t masked_crc32c(const std::string& bytes);

}  // namespace bitpilot
