#include "policy/dominated_anchors.h"

#include <algorithm>
#include <numeric>

#include "policy/second_look.h"

namespace bitpilot {
namespace {

bool can_stand_for(const AnchorAccount& account, std::size_t a, std::size_t b, float margin) {
  if (account.loss[a] >= account.loss[b] || account.first_cost[a] > margin * account.first_cost[b] ||
      account.second_cost[a] > margin * account.second_cost[b])
    return false;
  const std::size_t anchors = account.loss.size();
  const auto offered = [&](std::size_t first, std::size_t second) { return account.pairs[first * anchors + second] != 0; };
  for (std::size_t other = 0; other < anchors; ++other)
    if ((offered(other, b) && !offered(other, a)) || (offered(b, other) && !offered(a, other))) return false;
  return true;
}

}  // namespace

std::vector<int> dominating_anchors(const AnchorAccount& account, const std::string& cost_unit, std::size_t safe) {
  const float margin = cost_margin(cost_unit);
  std::vector<std::size_t> order(account.loss.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return account.loss[a] < account.loss[b]; });
  // Best first, so that what dominates is known to stay.
  std::vector<int> by(order.size(), -1);
  std::vector<std::size_t> kept;
  for (const std::size_t b : order) {
    const auto found = std::find_if(kept.begin(), kept.end(), [&](std::size_t a) { return can_stand_for(account, a, b, margin); });
    if (found != kept.end() && b != safe)
      by[b] = static_cast<int>(*found);
    else
      kept.push_back(b);
  }
  return by;
}

}  // namespace bitpilot
