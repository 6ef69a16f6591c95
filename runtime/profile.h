#pragma once

#include <string>
#include <vector>

#include "runtime/core/cost.h"
#include "runtime/deciding_times.h"
#include "runtime/engine/weight_store.h"
#include "runtime/machine.h"

namespace bitpilot {

/// What one machine needs for each layer of one network at each setting, and the kernel that needs it: the price list
/// of a policy that shall save milliseconds.
struct Profile {
  Machine machine;
  std::string network;  ///< SHA-256 of its canonical text
  CostTable cost;       ///< unit "ms"; bits that the space does not offer cost what the next wider offered ones do
  KernelChoice choice;
  DecidingTimes deciding;
};

/// One measured setting of one layer.
struct ProfileEntry {
  int layer = 0;
  int weight = 8, activation = 8, blocks = 1;
  double ms = 0;         ///< reading a whole input
  double spread_ms = 0;  ///< median distance of its samples from their median
  double fixed_ms = 0;   ///< of ms: what does not shrink with the input, CostTable::fixed_part
  int place = 0;         ///< of the fastest kernel in Model::packings
  std::string kernel;    ///< its name
};

/// JSON text of bitpilot.profile/3.  (Older versions knew no fixed part, no kernels by width, one time for all of deciding, and did not say
/// which lists their places are of; they are refused.)
std::string profile_text(const Machine& machine, const Network& network, const BitSpace& space,
                         const std::vector<ProfileEntry>& entries, const DecidingTimes& deciding);
/// Reads profile_text.  Throws Error(kData) if it is of another network, space or machine (processor, instruction set, threads, or a build
/// whose kernels list other ways), or damaged.
Profile parse_profile(const std::string& text, const std::string& where, const Network& network, const BitSpace& space,
                      const Machine& machine);

}  // namespace bitpilot
