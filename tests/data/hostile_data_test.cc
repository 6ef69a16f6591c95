// Damaged data sets: every reader refuses them as bad data, or reads what they now say.
#include <doctest/doctest.h>
#include <zlib.h>

#include <functional>

#include "data/codecs/decode.h"
#include "data/idx.h"
#include "data/image_set.h"
#include "data/manifest.h"
#include "runtime/core/error.h"
#include "tests/data/pictures.h"
#include "tests/support/damage.h"
#include "tests/support/temporary_folder.h"

namespace bitpilot {
namespace {

using testing::Damage;
using testing::made_up_picture;
using testing::TemporaryFolder;

constexpr int kPictures = 6;

std::string gzip(const std::string& bytes) {
  const TemporaryFolder folder;
  const gzFile file = gzopen(folder.path("a.gz").c_str(), "wb");
  REQUIRE(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) == static_cast<int>(bytes.size()));
  REQUIRE(gzclose(file) == Z_OK);
  return folder.read("a.gz");
}

std::string idx_pictures(int channels) {
  std::vector<std::uint32_t> dimensions{kPictures, 9, 7};
  if (channels == 3) dimensions.push_back(3);
  std::string bytes = idx_header(dimensions);
  for (int i = 0; i < kPictures; ++i) bytes += idx_pixels(made_up_picture(9, 7, channels, static_cast<std::uint64_t>(i)));
  return bytes;
}

std::string idx_labels() {
  std::string bytes = idx_header({kPictures});
  for (int i = 0; i < kPictures; ++i) bytes.push_back(static_cast<char>(i % 3));
  return bytes;
}

/// Reads everything that a set says of itself.
void read_all(const ImageSet& set) {
  CHECK(set.size() > 0);
  for (std::size_t i = 0; i < set.size(); ++i) {
    const Image image = set.image(i);
    CHECK_FALSE(image.pixels.empty());
    CHECK(set.label(i) >= 0);
    CHECK(set.label(i) < static_cast<int>(set.labels().size()));
    CHECK(set.severity(i) >= 0);
    CHECK(set.severity(i) <= 5);
    CHECK((set.source(i) + set.family(i)).size() < 100000);
  }
}

/// Damages one file of a folder many times.  `json`: half of the damage keeps the form of JSON lines.
void damage_and_open(const TemporaryFolder& folder, const std::string& name, bool json = false) {
  const std::string sound = folder.read(name);
  const auto open = [&] { read_all(*open_evaluation_set(folder.path(), decode_file)); };
  INFO(name);
  REQUIRE_NOTHROW(open());
  const std::uint64_t count = testing::damaged_files(300);
  std::uint64_t refused = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    CAPTURE(i);
    const std::string text = Damage(i).text(sound, json);
    folder.write(name, text);
    try {
      open();
    } catch (const Error& error) {
      ++refused;
      CHECK(error.code == ExitCode::kData);
    }
  }
  folder.write(name, sound);
  CHECK(refused > 0);
}

}  // namespace

TEST_CASE("data/hostile_data: IDX files, gray, colour and packed") {
  for (const int channels : {1, 3}) {
    const TemporaryFolder folder;
    folder.write("images-idx3-ubyte", idx_pictures(channels));
    folder.write("labels-idx1-ubyte", idx_labels());
    damage_and_open(folder, "images-idx3-ubyte");
    damage_and_open(folder, "labels-idx1-ubyte");
  }
  const TemporaryFolder folder;
  folder.write("images-idx3-ubyte.gz", gzip(idx_pictures(1)));
  folder.write("labels-idx1-ubyte", idx_labels());
  damage_and_open(folder, "images-idx3-ubyte.gz");
}

TEST_CASE("data/hostile_data: the manifest and the class names of a degraded set") {
  const TemporaryFolder folder;
  const std::string images = idx_pictures(1);
  folder.write("images-idx3-ubyte", images);
  folder.write("labels-idx1-ubyte", idx_labels());
  folder.write("labels.txt", "zero\none\ntwo\n");
  std::string manifest;
  for (int i = 0; i < kPictures; ++i) {
    const char* const names[] = {"zero", "one", "two"};
    const Image picture = made_up_picture(9, 7, 1, static_cast<std::uint64_t>(i));
    manifest += manifest_line({"", "train#" + std::to_string(i), i % 2 == 0 ? "clean" : "jpeg", i % 2, i % 2 == 0 ? "{}" : "{\"quality\":40}",
                               7, names[i % 3], pixels_checksum(picture)});
  }
  folder.write("manifest.jsonl", manifest);
  damage_and_open(folder, "manifest.jsonl", /*json=*/true);
  damage_and_open(folder, "labels.txt");
}

TEST_CASE("data/hostile_data: the manifest of a degraded set of files") {
  const TemporaryFolder folder;
  std::string manifest;
  for (int i = 0; i < kPictures; ++i) {
    const std::string file = "pictures/" + std::to_string(i) + ".pgm";
    const Image picture = made_up_picture(9, 7, 1, static_cast<std::uint64_t>(i));
    folder.write(file, "P5\n7 9\n255\n" + idx_pixels(picture));
    manifest += manifest_line({file, "train#" + std::to_string(i), "clean", 0, "{}", 7, std::to_string(i % 3), pixels_checksum(picture)});
  }
  folder.write("labels.txt", "0\n1\n2\n");
  folder.write("manifest.jsonl", manifest);
  damage_and_open(folder, "manifest.jsonl", /*json=*/true);
}

}  // namespace bitpilot
