#include "runtime/sources/set_source.h"

#include "runtime/core/json.h"
#include "runtime/sources/picture_source.h"

namespace bitpilot {

namespace {

constexpr std::chrono::minutes kOpenTimeout{5};  // a large folder on a slow disk is listed and hashed

[[noreturn]] void rethrow(const std::string& text) {
  const nlohmann::json json = parse_json(text, "bitpilot-media");
  const JsonReader said(json, "bitpilot-media");
  throw Error(static_cast<ExitCode>(said.at("code").integer(1, 5)), said.at("what").text(), said.at("where").text(),
              said.at("fix").text());
}

SetInfo read_info(const std::string& text) {
  const nlohmann::json json = parse_json(text, "bitpilot-media");
  const JsonReader said(json, "bitpilot-media");
  SetInfo info;
  info.name = said.at("name").text();
  info.hash = said.at("hash").text();
  info.mixture = said.at("mixture").text();
  info.count = static_cast<std::uint64_t>(said.at("count").integer(0, std::int64_t{1} << 40));
  for (std::size_t i = 0; i < said.at("labels").size(); ++i) info.labels.push_back(said.at("labels").at(i).text());
  return info;
}

}  // namespace

SetSource::SetSource(const SetRequest& request, const SourceOptions& options, const Stop& stop)
    : request_(request), options_(options), process_(stop, options.media_program) {}

bool SetSource::open() {
  if (!process_.start()) return false;
  const nlohmann::json wish{
      {"data", request_.data}, {"mixture", request_.mixture}, {"seed", request_.seed}, {"limit", request_.limit}};
  process_.request(media::Kind::kSet, wish.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), answered_);
  const MediaEvent event = process_.wait(kOpenTimeout);
  if (event.kind == MediaEvent::Kind::kStopped) return false;
  if (event.kind == MediaEvent::Kind::kMessage && event.message.header.kind == media::Kind::kFailed)
    rethrow(event.message.text);
  if (event.kind != MediaEvent::Kind::kMessage || event.message.header.kind != media::Kind::kInfo) {
    throw Error(ExitCode::kMachine, "the data cannot be opened: the decoder " + event.reason, request_.data,
                "check the data set's files");
  }
  info_ = read_info(event.message.text);
  return true;
}

const SetInfo& SetSource::info() {
  if (!opened_) opened_ = open();
  return info_;
}

SourceEvent SetSource::skip(const std::string& why) {
  SourceEvent event;
  event.kind = SourceEvent::Kind::kSkipped;
  event.text = why;
  ++answered_;
  crashed_here_ = false;
  return event;
}

SourceEvent SetSource::next() {
  info();
  while (opened_ && answered_ < info_.count) {
    if (!process_.running() && !open()) return {};
    MediaEvent event = process_.wait(options_.item_timeout);
    if (event.kind == MediaEvent::Kind::kStopped) return {};
    if (event.kind == MediaEvent::Kind::kMessage) {
      const media::Kind kind = event.message.header.kind;
      if (kind == media::Kind::kSkipped) return skip(event.message.text + ": " + event.message.family);
      if (kind == media::Kind::kFrame) {
        const std::string where = event.message.text;
        SourceEvent out;
        out.kind = SourceEvent::Kind::kFrame;
        out.frame = frame_from(std::move(event), where);
        ++answered_;
        crashed_here_ = false;
        return out;
      }
      process_.kill();
      return skip("picture " + std::to_string(answered_) + ": the decoder gave a wrong answer");
    }
    if (event.kind == MediaEvent::Kind::kDied && !crashed_here_) {
      crashed_here_ = true;
      continue;
    }
    return skip("picture " + std::to_string(answered_) + ": the decoder " + event.reason);
  }
  return {};
}

}  // namespace bitpilot
