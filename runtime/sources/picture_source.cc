#include "runtime/sources/picture_source.h"

#include <algorithm>

namespace bitpilot {

Frame frame_from(MediaEvent&& event, const std::string& source) {
  const media::Header& header = event.message.header;
  Frame frame;
  frame.image = std::move(event.image);
  frame.source = source;
  frame.index = header.index;
  const auto now = std::chrono::steady_clock::now();
  const std::chrono::steady_clock::time_point told{std::chrono::nanoseconds(header.captured_ns)};
  frame.captured = std::clamp(told, now - std::chrono::hours(1), now);
  frame.decode_ms = std::clamp(static_cast<double>(header.decode_ns) * 1e-6, 0.0, 3.6e6);
  frame.label = header.label;
  frame.family = std::move(event.message.family);
  frame.severity = header.severity;
  return frame;
}

PictureSource::PictureSource(const SourceSpec& spec, std::vector<std::string> paths, const SourceOptions& options,
                             const Stop& stop)
    : name_(spec.name), paths_(std::move(paths)), options_(options), process_(stop, options.media_program) {}

SourceEvent PictureSource::skip(const std::string& why) {
  SourceEvent event;
  event.kind = SourceEvent::Kind::kSkipped;
  event.text = paths_[answered_] + ": " + why;
  ++answered_;
  crashed_here_ = false;
  return event;
}

void PictureSource::ask() {
  for (; asked_ < paths_.size() && asked_ < answered_ + media::kSlots; ++asked_) {
    process_.request(media::Kind::kPicture, paths_[asked_], asked_);
  }
}

SourceEvent PictureSource::answered(MediaEvent&& event) {
  if (event.message.header.kind == media::Kind::kSkipped) return skip(event.message.family);
  SourceEvent frame;
  frame.kind = SourceEvent::Kind::kFrame;
  frame.frame = frame_from(std::move(event), paths_[answered_]);
  ++answered_;
  crashed_here_ = false;
  return frame;
}

SourceEvent PictureSource::next() {
  while (answered_ < paths_.size()) {
    if (!process_.running()) {
      if (!process_.start()) return {};
      asked_ = answered_;
    }
    ask();
    MediaEvent event = process_.wait(options_.item_timeout);
    if (event.kind == MediaEvent::Kind::kStopped) return {};
    if (event.kind == MediaEvent::Kind::kMessage) {
      const media::Header& header = event.message.header;
      const bool answer = header.kind == media::Kind::kFrame || header.kind == media::Kind::kSkipped;
      if (answer && header.index == answered_) return answered(std::move(event));
      process_.kill();
      return skip("the decoder gave a wrong answer");
    }
    // A decoder may have been killed for reasons of the machine: the picture gets a second chance, but not after a
    // hang.
    if (event.kind == MediaEvent::Kind::kDied && !crashed_here_) {
      crashed_here_ = true;
      continue;
    }
    return skip("the decoder " + event.reason);
  }
  return {};
}

}  // namespace bitpilot
