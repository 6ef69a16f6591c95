#include "data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "runtime/core/error.h"
#include "runtime/core/files.h"

namespace bitpilot {
namespace {

constexpr std::size_t kLargestFile = std::size_t{4} << 30;

std::string gunzip(const std::string& packed, const std::string& path) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK)  // 16: gzip wrapping
    throw Error(ExitCode::kMachine, "zlib does not start", path, "check the installed zlib");
  std::string bytes, block(std::size_t{1} << 20, '\0');
  std::size_t taken = 0;
  int state = Z_OK;
  do {
    if (stream.avail_in == 0) {
      const std::size_t count = std::min(packed.size() - taken, std::size_t{1} << 30);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + taken));
      stream.avail_in = static_cast<uInt>(count);
      taken += count;
    }
    stream.next_out = reinterpret_cast<Bytef*>(block.data());
    stream.avail_out = static_cast<uInt>(block.size());
    state = inflate(&stream, Z_NO_FLUSH);
    bytes.append(block.data(), block.size() - stream.avail_out);
  } while (state == Z_OK && bytes.size() <= kLargestFile);
  inflateEnd(&stream);
  if (state != Z_STREAM_END)
    throw Error(ExitCode::kData, "the gzip file is truncated or damaged",
                path + ", after " + std::to_string(bytes.size()) + " unpacked bytes", "fetch the file again");
  return bytes;
}

/// A checked IDX file: dimensions and where its bytes begin.
struct Idx {
  std::string bytes;
  std::vector<std::uint32_t> dimensions;
  std::size_t begin = 0;
};

Idx read_idx(const std::string& path, std::size_t least_rank, std::size_t most_rank, const char* wanted) {
  Idx idx{read_maybe_gzip(path), {}, 0};
  const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(idx.bytes[i])); };
  if (idx.bytes.size() < 4 || byte(0) != 0 || byte(1) != 0 || byte(2) != 8 || byte(3) < least_rank ||
      byte(3) > most_rank)
    throw Error(ExitCode::kData, std::string("not an IDX file of ") + wanted, path + ", byte 0",
                "give an IDX file of unsigned bytes (labels begin with 00 00 08 01, pictures with 00 00 08 03)");
  const std::size_t rank = byte(3);
  idx.begin = 4 + 4 * rank;
  std::uint64_t count = 1;
  for (std::size_t d = 0; d < rank && idx.bytes.size() >= idx.begin; ++d) {
    const std::size_t at = 4 + 4 * d;
    idx.dimensions.push_back(byte(at) << 24 | byte(at + 1) << 16 | byte(at + 2) << 8 | byte(at + 3));
    if (__builtin_mul_overflow(count, static_cast<std::uint64_t>(idx.dimensions.back()), &count))
      count = ~std::uint64_t{0};
  }
  if (idx.dimensions.size() != rank || idx.bytes.size() - idx.begin != count)
    throw Error(
        ExitCode::kData,
        "the IDX file holds " + std::to_string(idx.bytes.size()) + " bytes, its header promises " +
            (idx.dimensions.size() == rank ? std::to_string(count) + " after " + std::to_string(idx.begin) : "more"),
        path, "the file is truncated or damaged: fetch it again");
  return idx;
}

}  // namespace

std::string read_maybe_gzip(const std::string& path) {
  std::string bytes = read_file(path);
  const bool packed =
      bytes.size() > 2 && static_cast<unsigned char>(bytes[0]) == 0x1f && static_cast<unsigned char>(bytes[1]) == 0x8b;
  return packed ? gunzip(bytes, path) : bytes;
}

std::vector<Image> read_idx_images(const std::string& path) {
  const Idx idx = read_idx(path, 3, 4, "pictures");
  const bool colour = idx.dimensions.size() == 4;
  const std::uint32_t count = idx.dimensions[0], height = idx.dimensions[1], width = idx.dimensions[2];
  if (count == 0 || height == 0 || width == 0 || height > 65536 || width > 65536 || (colour && idx.dimensions[3] != 3))
    throw Error(ExitCode::kData,
                "the IDX file holds " + std::to_string(count) + " pictures of " + std::to_string(height) + " x " +
                    std::to_string(width),
                path, "pictures need sides of 1 to 65536 pixels and 1 or 3 channels");
  std::vector<Image> images(count);
  const char* from = idx.bytes.data() + idx.begin;
  for (Image& image : images) {
    image = Image(static_cast<int>(height), static_cast<int>(width), colour ? 3 : 1);
    std::memcpy(image.pixels.data(), from, image.pixels.size());
    from += image.pixels.size();
    if (colour)
      for (std::size_t p = 0; p < image.pixels.size(); p += 3) std::swap(image.pixels[p], image.pixels[p + 2]);
  }
  return images;
}

std::vector<int> read_idx_labels(const std::string& path) {
  const Idx idx = read_idx(path, 1, 1, "labels");
  std::vector<int> labels(idx.dimensions[0]);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<unsigned char>(idx.bytes[idx.begin + i]);
  return labels;
}

std::string idx_header(const std::vector<std::uint32_t>& dimensions) {
  std::string header{'\0', '\0', '\x08', static_cast<char>(dimensions.size())};
  for (const std::uint32_t d : dimensions)
    for (int shift = 24; shift >= 0; shift -= 8) header.push_back(static_cast<char>(d >> shift & 0xffU));
  return header;
}

std::string idx_pixels(const Image& image) {
  std::string bytes(reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size());
  if (image.channels == 3)
    for (std::size_t p = 0; p < bytes.size(); p += 3) std::swap(bytes[p], bytes[p + 2]);
  return bytes;
}

}  // namespace bitpilot
