#include "data/codecs/decode.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <opencv2/imgcodecs.hpp>
#include <vector>

#include "data/codecs/picture_header.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr std::uintmax_t kMostBytes = std::uintmax_t{512} << 20;

Image refused(std::string* reason, const std::string& why) {
  if (reason != nullptr) *reason = why;
  return {};
}

Image from_matrix(const cv::Mat& matrix) {
  Image image(matrix.rows, matrix.cols, matrix.channels());
  const std::size_t line = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
  for (int y = 0; y < matrix.rows; ++y)
    std::copy_n(matrix.ptr<std::uint8_t>(y), line, image.pixels.data() + static_cast<std::size_t>(y) * line);
  return image;
}

}  // namespace

Image decode_picture(std::string_view bytes, std::string* reason) {
  const PictureHeader header = read_picture_header(bytes);
  if (header.format.empty()) return refused(reason, "no PNG, JPEG, BMP, PNM, WebP or TIFF picture");
  if (header.width > kMostPixels || header.height > kMostPixels || header.width * header.height > kMostPixels)
    return refused(reason, std::to_string(header.width) + " x " + std::to_string(header.height) +
                               " pixels are more than 64 megapixels");
  try {
    const cv::Mat packed(1, static_cast<int>(bytes.size()), CV_8UC1, const_cast<char*>(bytes.data()));
    const cv::Mat matrix = cv::imdecode(packed, cv::IMREAD_ANYCOLOR);
    if (matrix.empty() || matrix.depth() != CV_8U || (matrix.channels() != 1 && matrix.channels() != 3) ||
        static_cast<std::int64_t>(matrix.rows) * matrix.cols > kMostPixels)
      return refused(reason, "the picture is damaged");
    return from_matrix(matrix);
  } catch (const cv::Exception&) {
    return refused(reason, "the picture is damaged");
  }
}

Image decode_file(const std::string& path, std::string* reason) {
  std::error_code failure;
  if (!std::filesystem::is_regular_file(path, failure)) return refused(reason, "no such file, or no regular file");
  const std::uintmax_t size = std::filesystem::file_size(path, failure);
  if (failure || size > kMostBytes) return refused(reason, failure ? failure.message() : "larger than 512 MiB");
  std::ifstream stream(path, std::ios::binary);
  std::string bytes(static_cast<std::size_t>(size), '\0');
  if (!stream.read(bytes.data(), static_cast<std::streamsize>(size))) return refused(reason, "the file cannot be read");
  return decode_picture(bytes, reason);
}

Image decode_file(const std::string& path) { return decode_file(path, nullptr); }

std::string encode_png(const Image& image) {
  const cv::Mat matrix(image.height, image.width, CV_8UC(image.channels),
                       const_cast<std::uint8_t*>(image.pixels.data()));
  std::vector<std::uint8_t> bytes;
  if (!cv::imencode(".png", matrix, bytes))
    throw Error(ExitCode::kMachine, "OpenCV cannot write PNG", "encode_png", "use an OpenCV built with PNG");
  return {bytes.begin(), bytes.end()};
}

}  // namespace bitpilot
