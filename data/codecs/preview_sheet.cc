#include "data/codecs/preview_sheet.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>

#include "data/degrade.h"
#include "data/resize.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr int kCell = 112;  // longest side of a picture on the sheet, about
constexpr int kGap = 6, kHead = 28, kNames = 150;

/// The picture as it appears in a cell: a whole factor larger, or shrunk.
Image scaled(const Image& src) {
  const int longest = std::max(src.height, src.width);
  if (longest > kCell)
    return resize(src.view(), std::max(1, src.height * kCell / longest), std::max(1, src.width * kCell / longest));
  const int factor = kCell / longest;
  Image dst(src.height * factor, src.width * factor, src.channels);
  const auto channels = static_cast<std::size_t>(src.channels);
  for (int y = 0; y < dst.height; ++y)
    for (int x = 0; x < dst.width; ++x)
      std::copy_n(src.view().row(y / factor) + static_cast<std::size_t>(x / factor) * channels, channels,
                  dst.pixels.data() + (static_cast<std::size_t>(y) * static_cast<std::size_t>(dst.width) +
                                       static_cast<std::size_t>(x)) *
                                          channels);
  return dst;
}

void write_text(cv::Mat& sheet, const std::string& text, int x, int y) {
  cv::putText(sheet, text, {x, y}, cv::FONT_HERSHEY_SIMPLEX, 0.45, cv::Scalar::all(30), 1, cv::LINE_AA);
}

void paste(cv::Mat& sheet, const Image& picture, int x, int y) {
  const Image cell = scaled(picture);
  for (int row = 0; row < cell.height; ++row)
    std::copy_n(cell.view().row(row), static_cast<std::size_t>(cell.width) * static_cast<std::size_t>(cell.channels),
                sheet.ptr<std::uint8_t>(y + row) + x * sheet.channels());
}

}  // namespace

Image preview_sheet(const Image& src, const std::vector<std::string>& families, const std::vector<int>& severities,
                    std::uint64_t seed) {
  std::vector<std::string> rows;
  for (const std::string& family : families)
    if (family != "clean" && applies_to_channels(family, src.channels)) rows.push_back(family);
  if (rows.empty() || severities.empty())
    throw Error(ExitCode::kUsage, "nothing to show: no family applies to the picture", "preview sheet",
                "name --families and --severities");
  const Image cell = scaled(src);
  const int step_x = cell.width + kGap, step_y = cell.height + kGap;
  Image image(kHead + static_cast<int>(rows.size()) * step_y,
              kNames + (1 + static_cast<int>(severities.size())) * step_x, src.channels);
  cv::Mat sheet(image.height, image.width, CV_8UC(image.channels), image.pixels.data());
  sheet.setTo(cv::Scalar::all(245));
  write_text(sheet, "clean", kNames, kHead - 10);
  for (std::size_t column = 0; column < severities.size(); ++column)
    write_text(sheet, "severity " + std::to_string(severities[column]),
               kNames + (1 + static_cast<int>(column)) * step_x, kHead - 10);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const int y = kHead + static_cast<int>(row) * step_y;
    write_text(sheet, rows[row], kGap, y + cell.height / 2);
    paste(sheet, src, kNames, y);
    for (std::size_t column = 0; column < severities.size(); ++column)
      paste(sheet, degrade(src, rows[row], severities[column], seed), kNames + (1 + static_cast<int>(column)) * step_x,
            y);
  }
  return image;
}

}  // namespace bitpilot
