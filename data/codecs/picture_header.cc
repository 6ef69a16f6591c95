#include "data/codecs/picture_header.h"

#include <algorithm>
#include <cctype>

namespace bitpilot {
namespace {

/// Bounds-checked reading: past the end `good` turns false and everything reads as 0.
struct Bytes {
  std::string_view data;
  bool good = true;
  std::uint32_t at(std::size_t i) {
    if (i < data.size()) return static_cast<unsigned char>(data[i]);
    good = false;
    return 0;
  }
  std::uint32_t big16(std::size_t i) { return at(i) << 8 | at(i + 1); }
  std::uint32_t big32(std::size_t i) { return big16(i) << 16 | big16(i + 2); }
  std::uint32_t little16(std::size_t i) { return at(i) | at(i + 1) << 8; }
  std::uint32_t little24(std::size_t i) { return little16(i) | at(i + 2) << 16; }
  std::uint32_t little32(std::size_t i) { return little16(i) | little16(i + 2) << 16; }
};

PictureHeader png(Bytes bytes) {
  const PictureHeader header{"png", bytes.big32(16), bytes.big32(20)};
  return bytes.good && bytes.data.substr(12, 4) == "IHDR" ? header : PictureHeader{};
}

/// Walks the segments up to the first start of frame.
PictureHeader jpeg(Bytes bytes) {
  std::size_t i = 2;
  while (bytes.good && i < bytes.data.size()) {
    if (bytes.at(i) != 0xff) return {};
    while (bytes.good && bytes.at(i) == 0xff) ++i;  // padding
    const std::uint32_t marker = bytes.at(i++);
    if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) continue;  // no length
    if (marker == 0xd9 || marker == 0xda) return {};                     // pixels before a frame header
    const bool frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (frame) {
      const PictureHeader header{"jpeg", bytes.big16(i + 5), bytes.big16(i + 3)};
      return bytes.good ? header : PictureHeader{};
    }
    const std::uint32_t length = bytes.big16(i);
    if (length < 2) return {};
    i += length;
  }
  return {};
}

PictureHeader bmp(Bytes bytes) {
  const bool old = bytes.little32(14) == 12;
  const auto width = static_cast<std::int32_t>(old ? bytes.little16(18) : bytes.little32(18));
  const auto height = static_cast<std::int32_t>(old ? bytes.little16(20) : bytes.little32(22));
  const PictureHeader header{"bmp", width,
                             height < 0 ? -static_cast<std::int64_t>(height) : height};  // negative: top row first
  return bytes.good ? header : PictureHeader{};
}

/// P1 … P6: width and height as text, '#' begins a comment.
PictureHeader pnm(std::string_view data) {
  std::int64_t sizes[2] = {0, 0};
  std::size_t i = 2;
  for (std::int64_t& size : sizes) {
    while (i < data.size() && (std::isspace(static_cast<unsigned char>(data[i])) != 0 || data[i] == '#')) {
      if (data[i] == '#') i = std::min(data.find('\n', i), data.size() - 1);
      ++i;
    }
    const std::size_t begin = i;
    for (; i < data.size() && data[i] >= '0' && data[i] <= '9' && i - begin < 10; ++i)
      size = 10 * size + (data[i] - '0');
    if (i == begin) return {};
  }
  return {"pnm", sizes[0], sizes[1]};
}

PictureHeader webp(Bytes bytes) {
  const std::string_view chunk = bytes.data.substr(12, 4);
  PictureHeader header{"webp", 0, 0};
  if (chunk == "VP8X") {
    header.width = bytes.little24(24) + 1;
    header.height = bytes.little24(27) + 1;
  } else if (chunk == "VP8L") {
    const std::uint32_t packed = bytes.little32(21);
    header.width = (packed & 0x3fffU) + 1;
    header.height = (packed >> 14 & 0x3fffU) + 1;
  } else if (chunk == "VP8 ") {
    header.width = bytes.little16(26) & 0x3fffU;
    header.height = bytes.little16(28) & 0x3fffU;
  } else {
    return {};
  }
  return bytes.good ? header : PictureHeader{};
}

/// Tags 256 (width) and 257 (height) of the first directory.
PictureHeader tiff(Bytes bytes) {
  const bool little = bytes.at(0) == 'I';
  const auto word = [&](std::size_t i) { return little ? bytes.little16(i) : bytes.big16(i); };
  const auto dword = [&](std::size_t i) { return little ? bytes.little32(i) : bytes.big32(i); };
  PictureHeader header{"tiff", 0, 0};
  const std::size_t directory = dword(4);
  const std::uint32_t count = word(directory);
  for (std::uint32_t entry = 0; entry < count && bytes.good; ++entry) {
    const std::size_t at = directory + 2 + std::size_t{12} * entry;
    const std::uint32_t tag = word(at), value = word(at + 2) == 3 ? word(at + 8) : dword(at + 8);
    if (tag == 256) header.width = value;
    if (tag == 257) header.height = value;
  }
  return bytes.good ? header : PictureHeader{};
}

PictureHeader read_by_magic(std::string_view bytes) {
  const auto begins = [&](std::string_view magic) { return bytes.starts_with(magic); };
  if (begins("\x89PNG\r\n\x1a\n")) return png({bytes});
  if (begins("\xff\xd8\xff")) return jpeg({bytes});
  if (begins("BM")) return bmp({bytes});
  if (bytes.size() > 2 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6') return pnm(bytes);
  if (bytes.size() > 16 && begins("RIFF") && bytes.substr(8, 4) == "WEBP") return webp({bytes});
  if (begins(std::string_view("II*\0", 4)) || begins(std::string_view("MM\0*", 4))) return tiff({bytes});
  return {};
}

}  // namespace

PictureHeader read_picture_header(std::string_view bytes) {
  const PictureHeader header = read_by_magic(bytes);
  return header.width > 0 && header.height > 0 ? header : PictureHeader{};
}

}  // namespace bitpilot
