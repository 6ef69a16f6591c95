#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bitpilot {

/// One line, cloud or row of bars of a plot.
struct PlotSeries {
  enum class Kind { kLine, kPoints, kRings, kSteps, kBars };
  std::string name;  ///< in the legend; empty: not named there
  Kind kind = Kind::kLine;
  std::vector<std::pair<double, double>> points;     ///< x, y; bars: x is the category's number
  std::vector<std::pair<double, double>> intervals;  ///< low, high of y, one a point or none at all
  std::vector<std::string> labels;                   ///< beside the points, one a point or none at all
  bool marked = false;  ///< in the colour of the text, which no other series has: the colours begin anew behind the eighth series
};

/// A picture of figures as one SVG text without scripts, fonts or links; its colours follow the reader's light or dark theme.
struct Plot {
  std::string title, x_label, y_label;
  bool log_x = false;                   ///< all x above 0
  std::vector<std::string> categories;  ///< names under the axis instead of numbers: category k stands at x = k
  std::vector<PlotSeries> series;
  int width = 720, height = 440;        ///< pixels
};

/// Points that are not finite are left out.  Throws Error(kBug) if there is no finite point, or a logarithmic axis meets an x of 0 or less.
std::string svg(const Plot& plot);
/// Several plots of one picture, one below the other.  The first one's title is the picture's.
std::string svg(const std::vector<Plot>& panels);

}  // namespace bitpilot
