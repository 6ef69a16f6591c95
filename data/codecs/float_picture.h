#pragma once

#include <opencv2/core.hpp>
#include <vector>

#include "runtime/core/image.h"
#include "runtime/core/random.h"

/// Pictures as CV_32F matrices in [0, 1] with 1 or 3 (blue, green, red) channels, and the filters that the degradations
/// share.  The filters are plain loops in a fixed order of float32 operations: OpenCV's own use fused multiply-adds
/// where the processor has them, so their last bits differ from machine to machine.
namespace bitpilot::float_picture {

cv::Mat from_image(const Image& image);
/// Clips to [0, 1] and rounds half to even to 8 bits.
Image to_image(const cv::Mat& picture);

/// Gaussian blur, kernel radius int(truncate * sigma + 0.5), edge replicated; returns `src` itself where the radius is
/// 0.
cv::Mat gaussian_blur(const cv::Mat& src, double sigma, double truncate = 4.0);

struct Tap {
  int dx = 0, dy = 0;
  float weight = 0;
};
/// dst(x, y) = sum of weight * src(x + dx, y + dy) / sum of weights, edge replicated.
cv::Mat convolve(const cv::Mat& src, std::vector<Tap> taps);
/// ImageMagick's motion blur: one-sided Gaussian weights at i = 0 .. length - 1 along `angle` (radians).
cv::Mat one_sided_motion(const cv::Mat& src, int length, double sigma, double angle);
/// Enlarged about the centre by `factor`, same size, bilinear.
cv::Mat zoomed(const cv::Mat& src, double factor);

/// Luma (one channel) of a picture.
cv::Mat gray(const cv::Mat& src);
/// One-channel field of normal noise.
cv::Mat normal_field(int height, int width, double mean, double sd, Random& random);
/// Standard normal from one uniform number (Acklam's rational approximation of the inverse distribution, error below
/// 2e-9).
double normal(Random& random);

}  // namespace bitpilot::float_picture
