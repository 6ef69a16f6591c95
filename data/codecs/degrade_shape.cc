#include <algorithm>
#include <cmath>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "data/codecs/degrade_families.h"
#include "data/codecs/float_picture.h"
#include "data/resize.h"
#include "runtime/core/error.h"

namespace bitpilot::families {

void elastic(cv::Mat& x, const ParameterValues& p, bool, Random& random) {
  const auto size = static_cast<double>(std::min(x.rows, x.cols));
  const double alpha = p[0] * size, sigma = p[1] * size, affine = p[2] * size;
  const auto third = static_cast<float>(std::floor(size / 3));
  const cv::Point2f centre(static_cast<float>(x.cols / 2), static_cast<float>(x.rows / 2));
  const cv::Point2f from[3] = {centre + cv::Point2f(third, third), centre + cv::Point2f(third, -third),
                               centre - cv::Point2f(third, third)};
  cv::Point2f to[3];
  for (int i = 0; i < 3; ++i) {
    const auto dx = static_cast<float>(random.uniform(-affine, affine)),
               dy = static_cast<float>(random.uniform(-affine, affine));
    to[i] = from[i] + cv::Point2f(dx, dy);
  }
  cv::Mat moved;
  cv::warpAffine(x, moved, cv::getAffineTransform(from, to), x.size(), cv::INTER_LINEAR, cv::BORDER_REFLECT_101);
  const auto field = [&] {
    cv::Mat values(x.size(), CV_32FC1);
    for (std::size_t i = 0; i < values.total(); ++i) values.ptr<float>()[i] = static_cast<float>(random.uniform(-1, 1));
    return cv::Mat(float_picture::gaussian_blur(values, sigma, 3.0) * alpha);
  };
  cv::Mat map_x = field(), map_y = field();
  for (int row = 0; row < x.rows; ++row)
    for (int column = 0; column < x.cols; ++column) {
      map_x.at<float>(row, column) += static_cast<float>(column);
      map_y.at<float>(row, column) += static_cast<float>(row);
    }
  cv::remap(moved, x, map_x, map_y, cv::INTER_LINEAR, cv::BORDER_REFLECT);
}

Image jpeg(const Image& src, const ParameterValues& p) {
  const cv::Mat picture(src.height, src.width, CV_8UC(src.channels), const_cast<std::uint8_t*>(src.pixels.data()));
  std::vector<std::uint8_t> bytes;
  if (!cv::imencode(".jpg", picture, bytes, {cv::IMWRITE_JPEG_QUALITY, static_cast<int>(p[0])}))
    throw Error(ExitCode::kMachine, "OpenCV cannot write JPEG", "degradation jpeg", "use an OpenCV built with JPEG");
  const cv::Mat decoded = cv::imdecode(bytes, src.channels == 1 ? cv::IMREAD_GRAYSCALE : cv::IMREAD_COLOR);
  Image dst(src.height, src.width, src.channels);
  std::copy_n(decoded.ptr<std::uint8_t>(), dst.pixels.size(), dst.pixels.begin());
  return dst;
}

Image pixelate(const Image& src, const ParameterValues& p, bool small) {
  const auto coarse = [&](int size) {
    return std::max(1, small ? static_cast<int>(std::lround(size * p[0])) : static_cast<int>(size * p[0]));
  };
  const Image blocks = resize(src.view(), coarse(src.height), coarse(src.width));
  Image dst(src.height, src.width, src.channels);
  const auto channels = static_cast<std::size_t>(src.channels);
  std::uint8_t* out = dst.pixels.data();
  for (int y = 0; y < src.height; ++y) {
    const std::uint8_t* row =
        blocks.view().row(static_cast<int>(static_cast<std::int64_t>(y) * blocks.height / src.height));
    for (int x = 0; x < src.width; ++x, out += channels)
      std::copy_n(row + static_cast<std::size_t>(static_cast<std::int64_t>(x) * blocks.width / src.width) * channels,
                  channels, out);
  }
  return dst;
}

}  // namespace bitpilot::families
