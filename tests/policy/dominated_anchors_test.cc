#include "policy/dominated_anchors.h"

#include <doctest/doctest.h>

using namespace bitpilot;

namespace {

constexpr std::size_t kHalf2 = 0, kHalf8 = 1, kU2 = 2, kU3 = 3, kU4 = 4, kU8 = 5, kAnchors = 6;
constexpr int kNone = -1;

/// Narrow anchors lose more than all uniform ones, and fewer bits lose more.  Offered as second_looks() does: what is dearer and has more
/// bits or filters, that is those of higher index, and half8.
AnchorAccount account_of(const std::vector<float>& first_cost, float margin) {
  AnchorAccount account{first_cost, first_cost, std::vector<std::uint8_t>(kAnchors * kAnchors, 0), {0.60, 0.50, 0.35, 0.32, 0.30, 0.29}};
  for (float& second : account.second_cost) second -= 0.1F;  // without the stem
  for (std::size_t a = 0; a < kAnchors; ++a)
    for (std::size_t b = 0; b < kAnchors; ++b) account.pairs[a * kAnchors + b] = (b > a || b == kHalf8) && first_cost[b] > margin * first_cost[a];
  return account;
}
AnchorAccount in_time(const std::vector<float>& first_cost) { return account_of(first_cost, 1.05F); }

std::vector<int> dominating(const AnchorAccount& account, std::size_t safe = kU8) { return dominating_anchors(account, "ms", safe); }

}  // namespace

TEST_CASE("policy/dominated_anchors: an anchor that takes the time of a better one is dominated, a quicker one is not") {
  // u3 within the noise of u4, u2 quicker than all of them.
  const std::vector<int> by = dominating(in_time({0.2F, 0.3F, 0.5F, 0.72F, 0.7F, 0.9F}));
  CHECK(by == std::vector<int>{kNone, kNone, kNone, kU4, kNone, kNone});
  // Quicker by more than noise: it stays.
  CHECK(dominating(in_time({0.2F, 0.3F, 0.5F, 0.6F, 0.7F, 0.9F})) == std::vector<int>(kAnchors, kNone));
  // As quick, but it loses less: the other one goes.
  AnchorAccount better = in_time({0.2F, 0.3F, 0.5F, 0.7F, 0.7F, 0.9F});
  better.loss[kU3] = 0.29;
  CHECK(dominating(better)[kU3] == kNone);
  CHECK(dominating(better)[kU4] == static_cast<int>(kU3));
}

TEST_CASE("policy/dominated_anchors: where bits save no time the best of each width is left, and the safe anchor") {
  const AnchorAccount flat = in_time({0.36F, 0.36F, 1.0F, 0.99F, 1.01F, 1.0F});
  CHECK(dominating(flat) == std::vector<int>{kHalf8, kNone, kU8, kU8, kU8, kNone});
  CHECK(dominating(flat, kU3) == std::vector<int>{kHalf8, kNone, kU8, kNone, kU8, kNone});
}

TEST_CASE("policy/dominated_anchors: a second look that a better anchor cannot stand for stays") {
  // u8 takes longer than u4 and is worse on average: after a look at u4 it is still another opinion.
  AnchorAccount account = in_time({0.2F, 0.3F, 0.5F, 0.6F, 0.7F, 0.9F});
  account.loss[kU8] = 0.31;
  CHECK(dominating(account, kU4) == std::vector<int>(kAnchors, kNone));
  account.pairs[kU4 * kAnchors + kU8] = 0;  // not offered: nothing is left that u8 alone can do
  CHECK(dominating(account, kU4)[kU8] == static_cast<int>(kU4));
  // Nor may it cost more as a second look.
  account.second_cost[kU4] = 0.9F;
  CHECK(dominating(account, kU4)[kU8] == kNone);
}

TEST_CASE("policy/dominated_anchors: in counted operations no noise is granted") {
  AnchorAccount account = account_of({0.05F, 0.25F, 0.06F, 0.14F, 0.25F, 1.0F}, 1);
  const std::vector<int> by = dominating_anchors(account, "bops", kU8);
  CHECK(by == std::vector<int>{kNone, kU4, kNone, kNone, kNone, kNone});  // half8 costs just what u4 does
  account.first_cost[kHalf8] = 0.249F;
  CHECK(dominating_anchors(account, "bops", kU8) == std::vector<int>(kAnchors, kNone));
}
