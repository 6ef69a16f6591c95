#include "experiments/person/background_check.h"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr std::size_t kNeighbours = 5;

std::int64_t distance(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const int difference = static_cast<int>(a[i]) - static_cast<int>(b[i]);
    sum += static_cast<std::int64_t>(difference) * difference;
  }
  return sum;
}

}  // namespace

double told_by_background(const std::vector<Place>& known, const std::vector<Place>& asked) {
  if (known.size() < kNeighbours || asked.empty())
    throw Error(ExitCode::kData, "too few patches to check that their background tells nothing",
                std::to_string(known.size()) + " for training, " + std::to_string(asked.size()) + " for the test", "correct fewer of them to \"drop\"");
  std::size_t right = 0;
  for (const Place& place : asked) {
    std::vector<std::pair<std::int64_t, std::size_t>> nearest;
    for (std::size_t i = 0; i < known.size(); ++i) nearest.emplace_back(distance(place.background, known[i].background), i);
    std::partial_sort(nearest.begin(), nearest.begin() + static_cast<std::ptrdiff_t>(kNeighbours), nearest.end());
    std::size_t people = 0;
    for (std::size_t n = 0; n < kNeighbours; ++n) people += known[nearest[n].second].person ? 1 : 0;
    right += (2 * people > kNeighbours) == place.person ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(asked.size());
}

}  // namespace bitpilot
