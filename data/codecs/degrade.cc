#include "data/degrade.h"

#include <string_view>

#include "data/codecs/degrade_families.h"
#include "data/codecs/float_picture.h"
#include "runtime/core/error.h"

namespace bitpilot {
namespace {

using InPlace = void (*)(cv::Mat&, const ParameterValues&, bool, Random&);

struct Entry {
  std::string_view family;
  InPlace run;
};

constexpr Entry kInPlace[] = {{"gaussian_noise", families::gaussian_noise},
                              {"shot_noise", families::shot_noise},
                              {"impulse", families::impulse},
                              {"speckle", families::speckle},
                              {"gaussian_blur", families::gaussian_blur},
                              {"glass", families::glass},
                              {"defocus", families::defocus},
                              {"motion", families::motion},
                              {"zoom", families::zoom},
                              {"fog", families::fog},
                              {"snow", families::snow},
                              {"spatter", families::spatter},
                              {"contrast", families::contrast},
                              {"brightness", families::brightness},
                              {"saturate", families::saturate},
                              {"elastic", families::elastic}};

}  // namespace

Image degrade(const Image& src, const std::string& family, int severity, std::uint64_t seed) {
  const bool small = is_small(src.width, src.height);
  const ParameterValues values = parameter_values(family, severity, small);
  if (src.pixels.empty() || (src.channels != 1 && src.channels != 3))
    throw Error(ExitCode::kData, "a picture with " + std::to_string(src.channels) + " channels or no pixels",
                "degradation " + family, "give gray or colour pictures of at least 1 x 1 pixels");
  if (!applies_to_channels(family, src.channels))
    throw Error(ExitCode::kUsage, "'" + family + "' has no meaning on a gray picture", "degradations",
                "leave it out of the families, or give colour pictures");
  if (family == "jpeg") return families::jpeg(src, values);
  if (family == "pixelate") return families::pixelate(src, values, small);
  for (const Entry& entry : kInPlace)
    if (entry.family == family) {
      Random random(seed, family, static_cast<std::uint64_t>(severity));
      cv::Mat picture = float_picture::from_image(src);
      entry.run(picture, values, small, random);
      return float_picture::to_image(picture);
    }
  throw Error(ExitCode::kBug, "degradation '" + family + "' has parameters but no implementation",
              "data/codecs/degrade.cc", "report this fault");
}

}  // namespace bitpilot
