// A stream that is entered between two key frames: what its decoder shows before the first one is never judged.
#include <doctest/doctest.h>

#include <opencv2/videoio.hpp>
#include <string>

#include "runtime/core/error.h"
#include "runtime/core/files.h"
#include "runtime/sources/source.h"
#include "tests/support/fake_camera.h"
#include "tests/support/temporary_folder.h"

using bitpilot::SourceEvent;
using bitpilot::testing::FakeCamera;

namespace {

constexpr int kWidth = 96, kHeight = 64, kPacket = 188;

/// Left a pattern that stands still, right a level that rises: pictures between key frames carry the right half only.
cv::Mat picture(int number) {
  cv::Mat made(kHeight, kWidth, CV_8UC3, cv::Scalar::all(40 + number % 50 * 3));
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth / 2; ++x) made.at<cv::Vec3b>(y, x) = cv::Vec3b::all((x / 8 + y / 8) % 2 ? 230 : 20);
  return made;
}

/// An MPEG transport stream of one codec, "" where this machine has no encoder for it.
std::string encoded(const bitpilot::testing::TemporaryFolder& folder, const std::string& codec) {
  const std::string path = folder.path() + "/" + codec + ".ts";
  cv::VideoWriter writer(path, cv::CAP_FFMPEG, cv::VideoWriter::fourcc(codec[0], codec[1], codec[2], codec[3]), 25,
                         cv::Size(kWidth, kHeight));
  if (!writer.isOpened()) return "";
  for (int i = 0; i < 400; ++i) writer.write(picture(i));  // longer than libav looks at before it begins
  writer.release();
  return bitpilot::read_file(path);
}

int pid_of(const std::string& stream, std::size_t at) {
  return (static_cast<std::uint8_t>(stream[at + 1]) & 0x1F) << 8 | static_cast<std::uint8_t>(stream[at + 2]);
}

/// The stream without its first pictures: the tables, then everything from the third picture of the video on.
std::string entered_late(const std::string& stream) {
  std::string late;
  int video = -1, pictures = 0;
  for (std::size_t at = 0; at + kPacket <= stream.size(); at += kPacket) {
    const bool begins = (stream[at + 1] & 0x40) != 0;
    const int pid = pid_of(stream, at);
    if (video < 0 && pid >= 0x100 && pid < 0x1000) video = pid;
    pictures += begins && pid == video;
    if (pid != video || pictures >= 3) late += stream.substr(at, kPacket);
  }
  return late;
}

double distance(const bitpilot::Image& got) {
  double sum = 0;
  const cv::Mat expected = picture(0);
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth / 2; ++x)
      sum += std::abs(got.view().row(y)[x * 3 + 1] - static_cast<int>(expected.at<cv::Vec3b>(y, x)[1]));
  return sum / (kHeight * kWidth / 2);
}

}  // namespace

TEST_CASE("media: a stream entered between two key frames is judged from the next one on") {
  const bitpilot::testing::TemporaryFolder folder;
  const std::string stream = encoded(folder, "mp4v");
  if (stream.empty()) {
    MESSAGE("this machine has no MPEG-4 encoder");
    return;
  }
  const std::string late = entered_late(stream);
  REQUIRE(late.size() < stream.size());
  FakeCamera camera([&](FakeCamera& self, int) {
    self.put("HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + late);
    self.hold();
  });
  bitpilot::SourceOptions options;
  options.media_program = std::string(BITPILOT_BIN_DIR) + "/bitpilot-media";
  const bitpilot::Stop stop;
  const auto source = bitpilot::open_source(bitpilot::parse_source(camera.address()), options, stop);
  std::uint64_t held_back = 0;
  for (int frames = 0; frames < 20;) {
    const SourceEvent event = source->next();
    held_back += event.before_key_frame;
    INFO("frame ", frames, ": ", event.text);
    REQUIRE(event.text.empty());
    if (event.kind != SourceEvent::Kind::kFrame) continue;
    CHECK(event.frame.dropped_before == (frames == 0 ? held_back : 0));
    CHECK(distance(event.frame.image) < 12);  // 105 before the key frame
    ++frames;
  }
  CHECK(held_back > 0);
}
