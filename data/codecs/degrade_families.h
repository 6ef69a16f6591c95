#pragma once

#include <opencv2/core.hpp>

#include "data/degradation_table.h"
#include "runtime/core/image.h"
#include "runtime/core/random.h"

/// One function per degradation family.  `x`: CV_32F in [0, 1], degraded in place, clipped by the caller; `p`:
/// parameters in the table's order; `small`: the small-picture column (its rules differ for some families).
namespace bitpilot::families {

void gaussian_noise(cv::Mat& x, const ParameterValues& p, bool small, Random& random);
void shot_noise(cv::Mat& x, const ParameterValues& p, bool small, Random& random);
void impulse(cv::Mat& x, const ParameterValues& p, bool small, Random& random);
void speckle(cv::Mat& x, const ParameterValues& p, bool small, Random& random);

void gaussian_blur(cv::Mat& x, const ParameterValues& p, bool small, Random& random);
void glass(cv::Mat& x, const ParameterValues& p, bool small, Random& random);
void defocus(cv::Mat& x, const ParameterValues& p, bool small, Random& random);
void motion(cv::Mat& x, const ParameterValues& p, bool small, Random& random);
void zoom(cv::Mat& x, const ParameterValues& p, bool small, Random& random);

void fog(cv::Mat& x, const ParameterValues& p, bool small, Random& random);
void snow(cv::Mat& x, const ParameterValues& p, bool small, Random& random);
void spatter(cv::Mat& x, const ParameterValues& p, bool small, Random& random);

void contrast(cv::Mat& x, const ParameterValues& p, bool small, Random& random);
void brightness(cv::Mat& x, const ParameterValues& p, bool small, Random& random);
void saturate(cv::Mat& x, const ParameterValues& p, bool small, Random& random);

void elastic(cv::Mat& x, const ParameterValues& p, bool small, Random& random);

/// Families defined on 8-bit pictures.
Image jpeg(const Image& src, const ParameterValues& p);
Image pixelate(const Image& src, const ParameterValues& p, bool small);

}  // namespace bitpilot::families
