#include "data/codecs/decode.h"

#include <doctest/doctest.h>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "data/codecs/picture_header.h"
#include "tests/data/pictures.h"
#include "tests/support/temporary_folder.h"

namespace bitpilot {
namespace {

using testing::made_up_picture;

std::string encoded(const Image& image, const std::string& ending) {
  const cv::Mat matrix(image.height, image.width, CV_8UC(image.channels),
                       const_cast<std::uint8_t*>(image.pixels.data()));
  std::vector<std::uint8_t> bytes;
  REQUIRE(cv::imencode(ending, matrix, bytes));
  return {bytes.begin(), bytes.end()};
}

TEST_CASE("data/codecs/decode: pictures of every format come back with their size and channels") {
  for (const char* ending : {".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm"}) {
    INFO(ending);
    const Image src = made_up_picture(33, 52, 3, 1);
    const std::string bytes = encoded(src, ending);
    const PictureHeader header = read_picture_header(bytes);
    CHECK(header.width == 52);
    CHECK(header.height == 33);
    const Image dst = decode_picture(bytes);
    CHECK(dst.height == 33);
    CHECK(dst.width == 52);
    CHECK(dst.channels == 3);
    if (std::string(ending) != ".jpg" && std::string(ending) != ".webp") CHECK(dst == src);
  }
  const Image gray = made_up_picture(33, 52, 1, 1);
  CHECK(decode_picture(encoded(gray, ".png")) == gray);
  CHECK(decode_picture(encode_png(gray)) == gray);
}

TEST_CASE("data/codecs/decode: transparency is dropped and 16 bits become 8") {
  cv::Mat rgba(4, 5, CV_8UC4, cv::Scalar(10, 20, 30, 0)), deep(4, 5, CV_16UC1, cv::Scalar(0x8000));
  std::vector<std::uint8_t> bytes;
  cv::imencode(".png", rgba, bytes);
  const Image colour = decode_picture({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  REQUIRE(colour.channels == 3);
  CHECK((colour.pixels[0] == 10 && colour.pixels[1] == 20 && colour.pixels[2] == 30));
  cv::imencode(".png", deep, bytes);
  const Image gray = decode_picture({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  REQUIRE(gray.channels == 1);
  CHECK(gray.pixels[0] == 0x80);
}

TEST_CASE("data/codecs/decode: a picture of more than 64 megapixels is refused by its header, without decoding") {
  // A few bytes that promise gigabytes: nothing but the header is there to be read.
  std::string png = encode_png(made_up_picture(8, 8, 1, 1));
  const auto put = [&](std::size_t at, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) png[at++] = static_cast<char>(value >> shift & 0xffU);
  };
  put(16, 30000);
  put(20, 30000);
  std::string reason;
  CHECK(decode_picture(png, &reason).pixels.empty());
  CHECK(reason == "30000 x 30000 pixels are more than 64 megapixels");
  put(16, 0xffffffffU);
  put(20, 0xffffffffU);
  CHECK(decode_picture(png, &reason).pixels.empty());
  CHECK(reason.find("more than 64 megapixels") != std::string::npos);
  CHECK(decode_picture("P5 60000 60000 255 ", &reason).pixels.empty());
  CHECK(reason.find("60000 x 60000") != std::string::npos);
}

TEST_CASE("data/codecs/decode: what is no picture, or is damaged, gives a reason and no picture") {
  std::string reason;
  for (const std::string& bytes : {std::string(), std::string("hello"), std::string("\x89PNG\r\n\x1a\n"),
                                   std::string("BM"), std::string("P5"), std::string("\xff\xd8\xff\xe0\x00\x00", 6),
                                   std::string("II*\0\xff\xff\xff\x7f", 8), std::string("RIFF1234WEBPVP8 ")}) {
    reason.clear();
    CHECK(decode_picture(bytes, &reason).pixels.empty());
    CHECK(reason == "no PNG, JPEG, BMP, PNM, WebP or TIFF picture");
  }
  const std::string png = encode_png(made_up_picture(64, 64, 3, 1));
  CHECK(decode_picture(png.substr(0, 60), &reason).pixels.empty());
  CHECK(reason == "the picture is damaged");
}

TEST_CASE("data/codecs/decode: headers cut anywhere and with any byte changed never crash or read past the end") {
  for (const char* ending : {".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm"}) {
    const std::string whole = encoded(made_up_picture(9, 7, 3, 1), ending);
    for (std::size_t length = 0; length < whole.size(); ++length) {
      const std::string cut = whole.substr(0, length);  // its own allocation: a sanitizer sees a read past the end
      const PictureHeader header = read_picture_header(cut);
      CHECK((header.format.empty() || (header.width > 0 && header.height > 0)));
    }
    Random random(3, ending);
    for (int i = 0; i < 3000; ++i) {
      std::string changed = whole;
      for (int k = 0; k < 4; ++k)
        changed[random.below(std::min<std::size_t>(changed.size(), 64))] = static_cast<char>(random.below(256));
      const PictureHeader header = read_picture_header(changed);
      CHECK((header.format.empty() || (header.width > 0 && header.height > 0)));
    }
  }
}

TEST_CASE("data/codecs/decode: a missing file, a folder and a pipe give no picture") {
  const testing::TemporaryFolder folder;
  std::string reason;
  CHECK(decode_file(folder.path("none.png"), &reason).pixels.empty());
  CHECK(reason == "no such file, or no regular file");
  CHECK(decode_file(folder.path(), &reason).pixels.empty());
  CHECK(decode_file("/dev/zero", &reason).pixels.empty());
  const Image image = made_up_picture(10, 12, 3, 1);
  CHECK(decode_file(folder.write("a.png", encode_png(image))) == image);
}

}  // namespace
}  // namespace bitpilot
