#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/image_set.h"
#include "data/mixture.h"

namespace bitpilot {

/// Which degraded copies are made of every picture.
struct DegradePlan {
  std::vector<std::string> families;  ///< a grid: every family ("clean" too) at every severity …
  std::vector<int> severities;
  const Mixture* mixture = nullptr;  ///< … or, where this is given, one draw from it for each copy
  bool held_out = false;             ///< of its held-out families
  int copies = 1;
  std::uint64_t seed = 0;
  std::size_t count = 0;  ///< only the first so many pictures; 0: all
};

/// Number of pictures that the plan makes of a set.
std::size_t planned_pictures(const DegradePlan& plan, const ImageSet& set);

/// Tells how far it is; false stops the work.
using DegradeProgress = std::function<bool(std::size_t done, std::size_t total)>;

/// Writes the degraded set into the folder `out`: manifest.jsonl, labels.txt and the pictures, as images-idx3-ubyte
/// (colour: idx4) and labels-idx1-ubyte, or with `png` as PNG files in class folders
/// (<class>/<picture>_<family>_<severity>_<copy>.png). All of it grows in `out`.partial and gets its name at the end,
/// so `out` is whole or not there; an earlier degraded set is replaced. The same set, plan and seed give the same
/// bytes, whatever `threads`. Returns false if `progress` stopped it; nothing is left then. Throws Error(kUsage) if
/// `out` holds anything else or the set is degraded already, Error(kMachine) if it cannot be written.
bool write_degraded_set(const ImageSet& set, const DegradePlan& plan, const std::string& out, bool png, int threads,
                        const DegradeProgress& progress);

}  // namespace bitpilot
