// Pictures, videos and data sets through the real bitpilot-media.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <set>

#include "data/codecs/decode.h"
#include "data/degrade.h"
#include "data/idx.h"
#include "data/mixture.h"
#include "runtime/core/error.h"
#include "runtime/core/random.h"
#include "runtime/sources/media_process.h"
#include "runtime/sources/set_source.h"
#include "runtime/sources/source.h"
#include "tests/support/temporary_folder.h"

using bitpilot::Image;
using bitpilot::Source;
using bitpilot::SourceEvent;
using bitpilot::Stop;
using bitpilot::testing::TemporaryFolder;

namespace {

bitpilot::SourceOptions options() {
  bitpilot::SourceOptions chosen;
  chosen.media_program = std::string(BITPILOT_BIN_DIR) + "/bitpilot-media";
  return chosen;
}

Image picture(int width, int height, int channels, int seed) {
  Image image(height, width, channels);
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<std::uint8_t>((i * 7 + i / 31 + static_cast<std::size_t>(seed) * 91) % 256);
  return image;
}

std::vector<SourceEvent> all_of(Source& source) {
  std::vector<SourceEvent> events;
  for (SourceEvent event = source.next(); event.kind != SourceEvent::Kind::kEnd; event = source.next()) {
    events.push_back(std::move(event));
    REQUIRE(events.size() < 1000);
    if (events.back().kind == SourceEvent::Kind::kFailed) break;
  }
  return events;
}

/// An IDX set of `count` gray pictures.
std::string idx_set(const TemporaryFolder& folder, std::uint32_t count) {
  std::string pixels = bitpilot::idx_header({count, 28, 28}), labels = bitpilot::idx_header({count});
  for (std::uint32_t i = 0; i < count; ++i) {
    pixels += bitpilot::idx_pixels(picture(28, 28, 1, static_cast<int>(i)));
    labels += static_cast<char>(i % 3);
  }
  folder.write("idx/images-idx3-ubyte", pixels);
  folder.write("idx/labels-idx1-ubyte", labels);
  return folder.path("idx");
}

const std::string kVideo = "/usr/share/doc/opencv-doc/examples/data/Megamind.avi";

}  // namespace

TEST_CASE("media: every picture of a folder arrives whole and in order, unreadable ones are named") {
  const TemporaryFolder folder;
  const Stop stop;
  std::vector<Image> sent;
  for (int i = 0; i < 12; ++i) {
    sent.push_back(picture(5 + 40 * i, 9 + i, i % 2 == 0 ? 3 : 1, i));
    folder.write("p/" + std::string(1, static_cast<char>('a' + i)) + ".png", bitpilot::encode_png(sent.back()));
  }
  folder.write("p/e-torn.png", bitpilot::encode_png(sent[4]).substr(0, 60));
  folder.write("p/f-text.jpg", "this is no picture");
  folder.write("p/g-empty.png", "");
  const auto source = bitpilot::open_source(bitpilot::parse_source(folder.path("p")), options(), stop);
  std::vector<Image> got;
  std::vector<std::string> skipped;
  for (const SourceEvent& event : all_of(*source)) {
    if (event.kind == SourceEvent::Kind::kFrame) got.push_back(event.frame.image);
    if (event.kind == SourceEvent::Kind::kSkipped) skipped.push_back(event.text);
  }
  CHECK(got == sent);
  REQUIRE(skipped.size() == 3);
  CHECK(skipped[0].find("e-torn.png") != std::string::npos);
  CHECK(skipped[1].find("f-text.jpg") != std::string::npos);
  CHECK(skipped[2].find("g-empty.png") != std::string::npos);
}

TEST_CASE("media: a picture of more than 64 megapixels is skipped, the next one arrives") {
  const TemporaryFolder folder;
  const Stop stop;
  folder.write("p/a.pgm", "P5 60000 60000 255\n" + std::string(1000, 'x'));
  folder.write("p/b.png", bitpilot::encode_png(picture(8, 8, 1, 1)));
  const auto source = bitpilot::open_source(bitpilot::parse_source(folder.path("p")), options(), stop);
  const std::vector<SourceEvent> events = all_of(*source);
  REQUIRE(events.size() == 2);
  CHECK(events[0].kind == SourceEvent::Kind::kSkipped);
  CHECK(events[1].kind == SourceEvent::Kind::kFrame);
}

TEST_CASE("media: a child killed between two pictures is restarted and nothing is lost or doubled") {
  const Stop stop;
  bitpilot::MediaProcess process(stop, options().media_program);
  const TemporaryFolder folder;
  const std::string path = folder.write("a.png", bitpilot::encode_png(picture(8, 8, 3, 1)));
  for (int round = 0; round < 2; ++round) {
    REQUIRE(process.start());
    process.request(bitpilot::media::Kind::kPicture, path, 5);
    const bitpilot::MediaEvent event = process.wait(std::chrono::seconds(20));
    REQUIRE(event.kind == bitpilot::MediaEvent::Kind::kMessage);
    CHECK(event.message.header.index == 5);
    CHECK(event.image == picture(8, 8, 3, 1));
    ::kill(process.pid(), SIGKILL);
    CHECK(process.wait(std::chrono::seconds(20)).kind == bitpilot::MediaEvent::Kind::kDied);
  }
}

TEST_CASE("media: a video is read whole, and goes on behind the last frame when its decoder dies" *
          doctest::skip(!std::filesystem::exists(kVideo))) {
  const Stop stop;
  const auto whole = all_of(*bitpilot::open_source(bitpilot::parse_source(kVideo), options(), stop));
  REQUIRE(whole.size() > 100);
  const bitpilot::Frame& tenth = whole[10].frame;
  CHECK(tenth.index == 10);
  bitpilot::MediaProcess process(stop, options().media_program);
  REQUIRE(process.start());
  process.request(bitpilot::media::Kind::kStream, kVideo, 10, "video");
  const bitpilot::MediaEvent event = process.wait(std::chrono::seconds(20));
  REQUIRE(event.kind == bitpilot::MediaEvent::Kind::kMessage);
  CHECK(event.image == tenth.image);
}

TEST_CASE("media: a file may open nothing else: playlists and lists of files are refused") {
  const TemporaryFolder folder;
  const Stop stop;
  if (std::filesystem::exists(kVideo)) std::filesystem::copy_file(kVideo, folder.path("inside.avi"));
  folder.write("list.m3u8",
               "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n" + folder.path("inside.avi") + "\n#EXT-X-ENDLIST\n");
  folder.write("list.ffconcat", "ffconcat version 1.0\nfile inside.avi\n");
  folder.write("junk.mp4", "this is no video at all");
  for (const char* name : {"list.m3u8", "list.ffconcat", "junk.mp4"}) {
    INFO(name);
    const auto events = all_of(*bitpilot::open_source(bitpilot::parse_source(folder.path(name)), options(), stop));
    REQUIRE(events.size() == 1);
    CHECK(events[0].kind == SourceEvent::Kind::kFailed);
  }
}

TEST_CASE("media: a data set comes with labels, whole or evenly thinned out") {
  const TemporaryFolder folder;
  const Stop stop;
  bitpilot::SetRequest request{idx_set(folder, 30), "none", 1, 0};
  bitpilot::SetSource all(request, options(), stop);
  CHECK(all.info().count == 30);
  std::vector<SourceEvent> events = all_of(all);
  REQUIRE(events.size() == 30);
  for (int i = 0; i < 30; ++i) {
    CHECK(events[static_cast<std::size_t>(i)].frame.image == picture(28, 28, 1, i));
    CHECK(events[static_cast<std::size_t>(i)].frame.label == i % 3);
  }
  request.limit = 10;
  bitpilot::SetSource some(request, options(), stop);
  events = all_of(some);
  REQUIRE(events.size() == 10);
  for (int i = 0; i < 10; ++i) CHECK(events[static_cast<std::size_t>(i)].frame.image == picture(28, 28, 1, 3 * i));
}

TEST_CASE("media: a data set is degraded as the mixture draws, keyed by seed and picture alone") {
  const TemporaryFolder folder;
  const Stop stop;
  const std::string data = idx_set(folder, 24);
  const auto drawn = [&](const std::string& mixture, std::uint64_t seed) {
    bitpilot::SetSource source({data, mixture, seed, 0}, options(), stop);
    return all_of(source);
  };
  const bitpilot::Mixture& mixture = bitpilot::standard_mixture();
  for (const std::string name : {"seen", "held-out", "test", "clean"}) {
    const std::vector<SourceEvent> events = drawn(name, 3);
    REQUIRE(events.size() == 24);
    std::set<std::string> families;
    for (std::size_t i = 0; i < events.size(); ++i) {
      const bitpilot::Frame& frame = events[i].frame;
      families.insert(frame.family);
      const Image original = picture(28, 28, 1, static_cast<int>(i));
      if (name == "seen" || name == "held-out") {
        const bitpilot::Draw draw = mixture.draw(3, "evaluation", i, name == "held-out");
        CHECK(frame.family == draw.family);
        CHECK(frame.severity == draw.severity);
        CHECK(frame.image ==
              (draw.severity == 0 ? original : bitpilot::degrade(original, draw.family, draw.severity, draw.seed)));
      }
      if (name == "clean") CHECK(frame.image == original);
    }
    CHECK((families.size() == 1) == (name == "clean"));
  }
  CHECK(drawn("seen", 3)[5].frame.image == drawn("seen", 3)[5].frame.image);
  bool differs = false;
  const auto other = drawn("seen", 4), first = drawn("seen", 3);
  for (std::size_t i = 0; i < first.size(); ++i) differs = differs || !(first[i].frame.image == other[i].frame.image);
  CHECK(differs);
}

TEST_CASE("media: data that is not there is bad data, with the message of the reader") {
  const Stop stop;
  bitpilot::SetSource missing({"/nowhere", "none", 1, 0}, options(), stop);
  try {
    missing.info();
    FAIL("no error");
  } catch (const bitpilot::Error& error) {
    CHECK(error.code == bitpilot::ExitCode::kData);
    CHECK(std::string(error.what()).find("/nowhere") != std::string::npos);
    CHECK(std::string(error.what()).find("fix:") != std::string::npos);
  }
}

TEST_CASE("media: damaged pictures never end the program or the source") {
  const TemporaryFolder folder;
  const Stop stop;
  const std::string whole = bitpilot::encode_png(picture(33, 21, 3, 4));
  constexpr int kDamaged = 60;
  for (int i = 0; i < kDamaged; ++i) {
    bitpilot::Random random(11, "damage", static_cast<std::uint64_t>(i));
    std::string bytes = whole.substr(0, i % 3 == 0 ? random.below(whole.size()) : whole.size());
    for (int flips = 0; flips < 1 + i % 5 && !bytes.empty(); ++flips)
      bytes[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
    folder.write("p/" + std::to_string(100 + i) + ".png", bytes);
  }
  folder.write("p/999.png", whole);
  const auto source = bitpilot::open_source(bitpilot::parse_source(folder.path("p")), options(), stop);
  const std::vector<SourceEvent> events = all_of(*source);
  REQUIRE(events.size() == kDamaged + 1);
  CHECK(events.back().kind == SourceEvent::Kind::kFrame);
  CHECK(events.back().frame.image == picture(33, 21, 3, 4));
}
