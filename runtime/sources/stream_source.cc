#include "runtime/sources/stream_source.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/sources/picture_source.h"

namespace bitpilot {

namespace {

const char* kind_name(SourceKind kind) {
  switch (kind) {
    case SourceKind::kCamera:
      return "camera";
    case SourceKind::kRtsp:
      return "rtsp";
    case SourceKind::kHttp:
      return "http";
    default:
      return "video";
  }
}

SourceEvent make_event(SourceEvent::Kind kind, const std::string& text, ExitCode code = ExitCode::kOk) {
  SourceEvent event;
  event.kind = kind;
  event.text = text;
  event.code = code;
  return event;
}

/// "what" of a kFailed message, for people; it comes from the child, so it is cut to size.
std::string reason_of(const media::Message& message) {
  const nlohmann::json said = nlohmann::json::parse(message.text, nullptr, false);
  if (!said.is_object() || !said.contains("what") || !said["what"].is_string()) return "cannot be opened";
  return said["what"].get<std::string>().substr(0, 200);
}

}  // namespace

std::chrono::milliseconds reconnect_pause(std::int64_t failures, Random& random) {
  const double base =
      std::min(5000.0, 500.0 * static_cast<double>(std::int64_t{1} << std::clamp<std::int64_t>(failures - 1, 0, 10)));
  return std::chrono::milliseconds(static_cast<std::int64_t>(base * random.uniform(1.0, 1.2)));
}

StreamSource::StreamSource(const SourceSpec& spec, const SourceOptions& options, const Stop& stop)
    : spec_(spec),
      options_(options),
      stop_(stop),
      process_(stop, options.media_program),
      random_(static_cast<std::uint64_t>(getpid()), spec.name),
      watch_(options.frozen_after) {}

bool StreamSource::open() {
  if (failures_ > 0 && stop_.wait_for(reconnect_pause(failures_, random_))) return false;
  if (!process_.running() && !process_.start()) return false;
  process_.request(media::Kind::kStream, spec_.target, live() ? 0 : frames_, kind_name(spec_.kind));
  open_ = fresh_ = true;
  watch_.reset();
  return true;
}

SourceEvent StreamSource::lost(const std::string& why) {
  open_ = false;
  ++failures_;
  if (options_.reconnect_attempts >= 0 && failures_ > options_.reconnect_attempts) {
    ended_ = true;
    return make_event(SourceEvent::Kind::kFailed,
                      why + "; given up after " + std::to_string(options_.reconnect_attempts) + " attempts",
                      ExitCode::kMachine);
  }
  // One notice for each loss, then one in about a minute: an address that is down for a day must not fill the log.
  const bool tell = failures_ == 1 || failures_ % 12 == 0;
  announced_ = true;
  return make_event(SourceEvent::Kind::kNotice, tell ? "lost: " + why + "; trying again" : "");
}

SourceEvent StreamSource::broken_file(const std::string& why) {
  open_ = false;
  if (broke_at_ != frames_) {
    broke_at_ = frames_;
    return make_event(SourceEvent::Kind::kNotice,
                      why + " behind frame " + std::to_string(frames_) + "; reading on from there");
  }
  ended_ = true;
  return make_event(SourceEvent::Kind::kSkipped,
                    spec_.name + ": " + why + " again behind frame " + std::to_string(frames_));
}

SourceEvent StreamSource::held_back(const std::string& text, bool frozen) {
  SourceEvent out = make_event(SourceEvent::Kind::kNotice, text);
  (frozen ? out.frozen : out.before_key_frame) = 1;
  ++held_back_;
  return out;
}

SourceEvent StreamSource::frame(MediaEvent&& event) {
  fresh_ = false;
  failures_ = 0;
  SourceEvent out;
  out.kind = SourceEvent::Kind::kFrame;
  out.frame = frame_from(std::move(event), spec_.name);
  out.frame.index = frames_++;
  const auto state = live() ? watch_.see(out.frame.image, out.frame.captured) : FrozenWatch::State::kMoves;
  if (state == FrozenWatch::State::kFreezes)
    return held_back("frozen: the same picture for " + std::to_string(options_.frozen_after.count()) + " ms", true);
  if (state == FrozenWatch::State::kFrozen) return held_back("", true);
  out.frame.dropped_before = std::exchange(held_back_, 0);
  if (state == FrozenWatch::State::kMovesAgain) out.text = "moves again";
  if (announced_) out.text = "is back";
  announced_ = false;
  return out;
}

SourceEvent StreamSource::next() {
  while (!ended_) {
    if (!open_ && !open()) break;
    MediaEvent event = process_.wait(fresh_   ? options_.open_timeout
                                     : live() ? options_.read_timeout
                                              : options_.item_timeout);
    if (event.kind == MediaEvent::Kind::kStopped) break;
    if (event.kind != MediaEvent::Kind::kMessage) {
      return live() ? lost("the decoder " + event.reason) : broken_file("the decoder " + event.reason);
    }
    switch (event.message.header.kind) {
      case media::Kind::kFrame:
        return frame(std::move(event));
      case media::Kind::kSkipped:
        if (!live()) break;
        fresh_ = false;
        return held_back("", false);
      case media::Kind::kEnd:
        if (live()) return lost("the stream ended");
        ended_ = true;
        return {};
      case media::Kind::kFailed:
        if (live()) return lost(reason_of(event.message));
        ended_ = true;
        return make_event(SourceEvent::Kind::kFailed, reason_of(event.message), ExitCode::kData);
      default:
        break;
    }
    process_.kill();
    return live() ? lost("the decoder gave a wrong answer") : broken_file("the decoder gave a wrong answer");
  }
  return {};
}

}  // namespace bitpilot
