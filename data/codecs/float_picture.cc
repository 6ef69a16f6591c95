#include "data/codecs/float_picture.h"

#include <cmath>
#include <opencv2/imgproc.hpp>

namespace bitpilot::float_picture {
namespace {

cv::Mat replicated(const cv::Mat& src, int rows, int columns) {
  cv::Mat padded;
  cv::copyMakeBorder(src, padded, rows, rows, columns, columns, cv::BORDER_REPLICATE);
  return padded;
}

void add_scaled(float* dst, const float* src, float weight, int count) {
  for (int i = 0; i < count; ++i) dst[i] += weight * src[i];
}

}  // namespace

cv::Mat from_image(const Image& image) {
  cv::Mat picture(image.height, image.width, CV_32FC(image.channels));
  float* out = picture.ptr<float>();
  for (std::size_t i = 0; i < image.pixels.size(); ++i) out[i] = static_cast<float>(image.pixels[i]) * (1.0F / 255.0F);
  return picture;
}

Image to_image(const cv::Mat& picture) {
  Image image(picture.rows, picture.cols, picture.channels());
  const int line = picture.cols * picture.channels();
  for (int y = 0; y < picture.rows; ++y) {
    const float* row = picture.ptr<float>(y);
    std::uint8_t* out = image.pixels.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(line);
    for (int x = 0; x < line; ++x) {
      const float value = std::min(std::max(row[x], 0.0F), 1.0F) * 255.0F;
      out[x] = static_cast<std::uint8_t>((value + 8388608.0F) - 8388608.0F);  // 2^23: rounds half to even
    }
  }
  return image;
}

cv::Mat gaussian_blur(const cv::Mat& src, double sigma, double truncate) {
  const int radius = static_cast<int>(truncate * sigma + 0.5);
  if (radius == 0) return src;
  std::vector<float> kernel(static_cast<std::size_t>(2 * radius + 1));
  double total = 0;
  for (int i = -radius; i <= radius; ++i) total += std::exp(-0.5 * i * i / (sigma * sigma));
  for (int i = -radius; i <= radius; ++i)
    kernel[static_cast<std::size_t>(i + radius)] = static_cast<float>(std::exp(-0.5 * i * i / (sigma * sigma)) / total);
  const int channels = src.channels(), line = src.cols * channels;
  const cv::Mat wide = replicated(src, 0, radius);
  cv::Mat across = cv::Mat::zeros(src.size(), src.type());
  for (int y = 0; y < src.rows; ++y)
    for (int i = 0; i <= 2 * radius; ++i)
      add_scaled(across.ptr<float>(y), wide.ptr<float>(y) + i * channels, kernel[static_cast<std::size_t>(i)], line);
  cv::Mat dst = cv::Mat::zeros(src.size(), src.type());
  for (int y = 0; y < src.rows; ++y)
    for (int i = -radius; i <= radius; ++i)
      add_scaled(dst.ptr<float>(y), across.ptr<float>(std::clamp(y + i, 0, src.rows - 1)),
                 kernel[static_cast<std::size_t>(i + radius)], line);
  return dst;
}

cv::Mat convolve(const cv::Mat& src, std::vector<Tap> taps) {
  int rows = 0, columns = 0;
  double total = 0;
  for (const Tap& tap : taps) {
    rows = std::max(rows, std::abs(tap.dy));
    columns = std::max(columns, std::abs(tap.dx));
    total += tap.weight;
  }
  const cv::Mat padded = replicated(src, rows, columns);
  cv::Mat dst = cv::Mat::zeros(src.size(), src.type());
  const int channels = src.channels();
  for (const Tap& tap : taps) {
    const auto weight = static_cast<float>(tap.weight / total);
    for (int y = 0; y < src.rows; ++y)
      add_scaled(dst.ptr<float>(y), padded.ptr<float>(y + rows + tap.dy) + (columns + tap.dx) * channels, weight,
                 src.cols * channels);
  }
  return dst;
}

cv::Mat one_sided_motion(const cv::Mat& src, int length, double sigma, double angle) {
  std::vector<Tap> taps;
  for (int i = 0; i < length; ++i)
    taps.push_back({static_cast<int>(std::lround(i * std::cos(angle))),
                    static_cast<int>(std::lround(i * std::sin(angle))),
                    static_cast<float>(std::exp(-0.5 * i * i / (sigma * sigma)))});
  return convolve(src, std::move(taps));
}

cv::Mat zoomed(const cv::Mat& src, double factor) {
  const double centre_x = 0.5 * (src.cols - 1), centre_y = 0.5 * (src.rows - 1);
  const int channels = src.channels();
  cv::Mat dst(src.size(), src.type());
  for (int y = 0; y < src.rows; ++y) {
    const double from_y = centre_y + (y - centre_y) / factor;
    const int y0 = std::min(static_cast<int>(from_y), std::max(src.rows - 2, 0));
    const auto fy = static_cast<float>(from_y - y0);
    const float *top = src.ptr<float>(y0), *bottom = src.ptr<float>(std::min(y0 + 1, src.rows - 1));
    float* out = dst.ptr<float>(y);
    for (int x = 0; x < src.cols; ++x) {
      const double from_x = centre_x + (x - centre_x) / factor;
      const int x0 = std::min(static_cast<int>(from_x), std::max(src.cols - 2, 0));
      const auto fx = static_cast<float>(from_x - x0);
      const int left = x0 * channels, right = std::min(x0 + 1, src.cols - 1) * channels;
      for (int c = 0; c < channels; ++c) {
        const float above = top[left + c] + fx * (top[right + c] - top[left + c]);
        const float below = bottom[left + c] + fx * (bottom[right + c] - bottom[left + c]);
        *out++ = above + fy * (below - above);
      }
    }
  }
  return dst;
}

cv::Mat gray(const cv::Mat& src) {
  if (src.channels() == 1) return src;
  cv::Mat dst(src.size(), CV_32FC1);
  for (int y = 0; y < src.rows; ++y) {
    const float* row = src.ptr<float>(y);
    float* out = dst.ptr<float>(y);
    for (int x = 0; x < src.cols; ++x) out[x] = 0.114F * row[3 * x] + 0.587F * row[3 * x + 1] + 0.299F * row[3 * x + 2];
  }
  return dst;
}

cv::Mat normal_field(int height, int width, double mean, double sd, Random& random) {
  cv::Mat field(height, width, CV_32FC1);
  float* out = field.ptr<float>();
  for (std::size_t i = 0; i < field.total(); ++i) out[i] = static_cast<float>(mean + sd * normal(random));
  return field;
}

double normal(Random& random) {
  constexpr double kTail = 0.02425;
  const double u = random.uniform() + 0x1.0p-54;  // never 0 or 1
  if (u >= kTail && u <= 1 - kTail) {
    const double q = u - 0.5, r = q * q;
    return (((((-3.969683028665376e+01 * r + 2.209460984245205e+02) * r - 2.759285104469687e+02) * r +
              1.383577518672690e+02) *
                 r -
             3.066479806614716e+01) *
                r +
            2.506628277459239e+00) *
           q /
           (((((-5.447609879822406e+01 * r + 1.615858368580409e+02) * r - 1.556989798598866e+02) * r +
              6.680131188771972e+01) *
                 r -
             1.328068155288572e+01) *
                r +
            1);
  }
  const double q = std::sqrt(-2 * std::log(u < 0.5 ? u : 1 - u));
  const double tail =
      (((((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838e+00) * q -
         2.549732539343734e+00) *
            q +
        4.374664141464968e+00) *
           q +
       2.938163982698783e+00) /
      ((((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996e+00) * q + 3.754408661907416e+00) *
           q +
       1);
  return u < 0.5 ? tail : -tail;
}

}  // namespace bitpilot::float_picture
