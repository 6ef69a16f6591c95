#include "runtime/media/set.h"

#include <algorithm>
#include <memory>
#include <string>

#include "data/codecs/decode.h"
#include "data/degrade.h"
#include "data/image_set.h"
#include "data/mixture.h"
#include "runtime/core/json.h"
#include "runtime/core/random.h"

namespace bitpilot::media {

namespace {

struct Wish {
  std::string data, mixture;
  std::uint64_t seed = 0, limit = 0;
};

Wish read_wish(const std::string& text) {
  const nlohmann::json json = parse_json(text, "bitpilot");
  const JsonReader said(json, "bitpilot");
  constexpr std::int64_t kHighest = std::int64_t{1} << 62;
  return {said.at("data").text(), said.at("mixture").text(),
          static_cast<std::uint64_t>(said.at("seed").integer(0, kHighest)),
          static_cast<std::uint64_t>(said.at("limit").integer(0, kHighest))};
}

/// The degradation of one picture: keyed by seed and picture, whatever else is read.
Draw draw(const Wish& wish, const ImageSet& set, std::size_t index) {
  const Mixture& mixture = standard_mixture();
  if (wish.mixture == "clean") return {};
  if (wish.mixture == "none") return {set.family(index).empty() ? "clean" : set.family(index), set.severity(index), 0};
  bool held = wish.mixture == "held-out";
  if (wish.mixture == "test") held = Random(wish.seed, "evaluation.held", set.key(index)).uniform() < 0.5;
  return mixture.draw(wish.seed, kEvaluationPurpose, set.key(index), held);
}

void check_wish(const Wish& wish, const ImageSet& set) {
  if (set.size() == 0)
    throw Error(ExitCode::kData, "the data set is empty", wish.data, "name a folder with labelled pictures");
  if (wish.mixture == "none") return;
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (set.family(i).empty() || set.family(i) == "clean") continue;
    throw Error(ExitCode::kUsage, "these pictures are degraded already", wish.data, "leave --mixture out");
  }
}

void send_picture(Channel& channel, const Wish& wish, const ImageSet& set, std::size_t index, std::uint64_t position) {
  const std::int64_t begin = now_ns();
  try {
    const Draw drawn = draw(wish, set, index);
    Image image = set.image(index);
    const bool as_it_is = wish.mixture == "none" || drawn.severity == 0;
    if (!as_it_is) image = degrade(image, drawn.family, drawn.severity, drawn.seed);
    Header header;
    header.index = position;
    header.label = set.label(index);
    header.severity = drawn.severity;
    header.captured_ns = now_ns();
    header.decode_ns = header.captured_ns - begin;
    if (channel.send_frame(image.view(), header, set.source(index), drawn.family)) return;
    channel.send(Kind::kSkipped, set.source(index), "no picture of at most 64 megapixels", position);
  } catch (const Error& error) {
    if (error.code != ExitCode::kData) throw;
    const std::string said = error.what();
    channel.send(Kind::kSkipped, set.source(index), said.substr(0, said.find('\n')), position);
  }
}

}  // namespace

void serve_set(Channel& channel, const Message& request) {
  const Wish wish = read_wish(request.text);
  const std::shared_ptr<const ImageSet> set = open_evaluation_set(wish.data, decode_file);
  check_wish(wish, *set);
  const std::uint64_t size = set->size(), count = wish.limit == 0 ? size : std::min(wish.limit, size);
  const bool drawn = wish.mixture != "none" && wish.mixture != "clean";
  const nlohmann::json info{{"name", set->name()},
                            {"hash", set->hash()},
                            {"mixture", drawn ? standard_mixture().hash : "none"},
                            {"count", count},
                            {"labels", set->labels()}};
  channel.send(Kind::kInfo, info.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  for (std::uint64_t position = request.header.index; position < count; ++position) {
    send_picture(channel, wish, *set, position * size / count,
                 position);  // evenly spread: sets may lie sorted by class
  }
  channel.send(Kind::kEnd);
}

}  // namespace bitpilot::media
