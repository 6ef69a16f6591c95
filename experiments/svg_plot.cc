#include "experiments/svg_plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "runtime/core/error.h"

namespace bitpilot {
namespace {

constexpr double kLeft = 64, kRight = 16, kTop = 40, kBottom = 56, kLegendRow = 18, kLetter = 6.2;
constexpr int kColours = 8;  // of the style sheet below, told apart by colour-blind readers too (Okabe & Ito)

constexpr const char* kStyle = R"(<style>
 text{font:12px sans-serif;fill:#1f2328}.title{font-size:15px;font-weight:600}.tick{font-size:11px;fill:#59636e}
 .grid{stroke:#d1d9e0;stroke-width:1}.axis{stroke:#59636e;stroke-width:1}.back{fill:#ffffff}
 .s0{color:#0072b2}.s1{color:#d55e00}.s2{color:#009e73}.s3{color:#cc79a7}.s4{color:#b58900}.s5{color:#3a9bd9}.s6{color:#6a51a3}.s7{color:#6e7781}
 .line{fill:none;stroke:currentColor;stroke-width:2}.dot,.bar{fill:currentColor}.whisker{stroke:currentColor;stroke-width:1}
 @media (prefers-color-scheme:dark){text{fill:#f0f6fc}.tick{fill:#9198a1}.grid{stroke:#3d444d}.axis{stroke:#9198a1}.back{fill:#0d1117}
 .s0{color:#56b4e9}.s1{color:#ff9d4d}.s2{color:#3fcf9f}.s3{color:#e7a3cc}.s4{color:#f0d24c}.s5{color:#9ad1f5}.s6{color:#b7a2e8}.s7{color:#9198a1}}
</style>
)";
// Only where a plot has such a series: pictures without one stay as they are, byte for byte.
constexpr const char* kMarkedStyle =
    "<style>.marked{color:#1f2328}@media (prefers-color-scheme:dark){.marked{color:#f0f6fc}}</style>\n";

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '&') result += "&amp;";
    else if (c == '<') result += "&lt;";
    else if (c == '>') result += "&gt;";
    else if (c == '"') result += "&quot;";
    else result += c;
  }
  return result;
}

std::string number(double value, const char* format = "%.1f") {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

/// One axis: data to pixels, and where its ticks stand.
struct Axis {
  double low = 0, high = 1, from = 0, to = 1;  // data range, pixel range
  bool logarithmic = false;
  std::vector<double> ticks;

  double at(double value) const {
    const double share = logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
    return from + share * (to - from);
  }
};

// 1, 2 or 5 times a power of ten, about `count` of them over the range.
double tick_step(double range, int count) {
  const double raw = range / count, power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= raw) return factor * power;
  return 10 * power;
}

Axis linear_axis(double low, double high) {
  Axis axis;
  if (high <= low) low -= 0.5, high += 0.5;
  const double step = tick_step(high - low, 6);
  axis.low = std::floor(low / step) * step;
  axis.high = std::ceil(high / step) * step;
  for (double tick = axis.low; tick <= axis.high + step / 2; tick += step) axis.ticks.push_back(std::abs(tick) < step / 1e6 ? 0 : tick);
  return axis;
}

Axis log_axis(double low, double high) {
  if (low <= 0) throw Error(ExitCode::kBug, "a logarithmic axis meets a value that is not above 0", "plot", "report this");
  Axis axis;
  axis.logarithmic = true;
  axis.low = low / 1.1;
  axis.high = high * 1.1;
  for (double power = std::pow(10, std::floor(std::log10(axis.low))); power <= axis.high; power *= 10)
    for (const double factor : {1.0, 2.0, 5.0})
      if (factor * power >= axis.low && factor * power <= axis.high) axis.ticks.push_back(factor * power);
  return axis;
}

/// The text of a picture in the making: markup is written as it is, coordinates with one decimal.
struct Page {
  std::ostringstream out;

  Page& operator<<(const char* markup) { return out << markup, *this; }
  Page& operator<<(const std::string& markup) { return out << markup, *this; }
  Page& operator<<(double coordinate) { return out << number(coordinate), *this; }

  void line(const char* style, double x1, double y1, double x2, double y2) {
    *this << "<line class=\"" << style << "\" x1=\"" << x1 << "\" y1=\"" << y1 << "\" x2=\"" << x2 << "\" y2=\"" << y2 << "\"/>\n";
  }
  void text(const std::string& words, double x, double y, const char* attributes) {
    *this << "<text x=\"" << x << "\" y=\"" << y << "\" " << attributes << ">" << escaped(words) << "</text>\n";
  }
  void box(double x, double y, double width, double height) {
    *this << "<rect class=\"bar\" x=\"" << x << "\" y=\"" << y << "\" width=\"" << width << "\" height=\"" << height << "\"/>\n";
  }
  void circle(const char* style, double x, double y, double radius) {
    *this << "<circle class=\"" << style << "\" cx=\"" << x << "\" cy=\"" << y << "\" r=\"" << radius << "\"/>\n";
  }
  void begin_series(const PlotSeries& series, std::size_t which) {
    if (series.marked) out << "<g class=\"marked\">\n";
    else out << "<g class=\"s" << which % kColours << "\">\n";
  }
};

void draw(Page& page, const PlotSeries& series, const Axis& x, const Axis& y, double bar_from, double bar_width) {
  const bool bars = series.kind == PlotSeries::Kind::kBars, steps = series.kind == PlotSeries::Kind::kSteps;
  const bool rings = series.kind == PlotSeries::Kind::kRings;
  if (series.kind == PlotSeries::Kind::kLine || steps) {
    page << "<path class=\"line\" d=\"";
    double before = 0;
    bool started = false;
    for (const auto& [px, py] : series.points) {
      if (!std::isfinite(px) || !std::isfinite(py)) continue;
      if (steps && started) page << "L" << x.at(px) << " " << before;
      before = y.at(py);
      page << (started ? "L" : "M") << x.at(px) << " " << before;
      started = true;
    }
    page << "\"/>\n";
  }
  for (std::size_t i = 0; i < series.points.size(); ++i) {
    const auto [px, py] = series.points[i];
    if (!std::isfinite(px) || !std::isfinite(py)) continue;
    const double cx = bars ? x.at(px) + bar_from + bar_width / 2 : x.at(px), cy = y.at(py);
    const double zero = y.at(std::clamp(0.0, y.low, y.high));
    if (bars) page.box(cx - bar_width / 2, std::min(cy, zero), bar_width, std::abs(cy - zero));
    else if (!steps) page.circle(rings ? "line" : "dot", cx, cy, rings ? 6 : series.kind == PlotSeries::Kind::kPoints ? 4 : 2.5);
    if (i < series.intervals.size()) page.line("whisker", cx, y.at(series.intervals[i].first), cx, y.at(series.intervals[i].second));
    const bool at_the_edge = cx > x.to - kLetter * 8;
    if (i < series.labels.size()) page.text(series.labels[i], cx + (at_the_edge ? -6 : 6), cy - 6, at_the_edge ? "class=\"tick\" text-anchor=\"end\"" : "class=\"tick\"");
  }
}

void draw(Page& page, const Plot& plot) {
  double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
  std::size_t bars = 0, named = 0;
  for (const PlotSeries& series : plot.series) {
    bars += series.kind == PlotSeries::Kind::kBars;
    named += !series.name.empty();
    for (std::size_t i = 0; i < series.points.size(); ++i) {
      const auto [px, py] = series.points[i];
      if (!std::isfinite(px) || !std::isfinite(py)) continue;
      x_low = std::min(x_low, px), x_high = std::max(x_high, px);
      y_low = std::min(y_low, py), y_high = std::max(y_high, py);
      if (i < series.intervals.size()) y_low = std::min(y_low, series.intervals[i].first), y_high = std::max(y_high, series.intervals[i].second);
    }
  }
  if (!std::isfinite(x_low)) throw Error(ExitCode::kBug, "a plot has no finite point", plot.title, "report this");
  if (bars) y_low = std::min(y_low, 0.0), y_high = std::max(y_high, 0.0);
  Axis x = plot.log_x ? log_axis(x_low, x_high) : linear_axis(x_low, x_high), y = linear_axis(y_low, y_high);
  if (!plot.categories.empty()) x.low = -0.5, x.high = static_cast<double>(plot.categories.size()) - 0.5, x.ticks.clear();
  const double legend = kLegendRow * static_cast<double>((named + 2) / 3);
  x.from = kLeft, x.to = plot.width - kRight;
  const double slot = (x.to - x.from) / (plot.categories.empty() ? 20.0 : static_cast<double>(plot.categories.size()));
  std::size_t longest = 0;
  for (const std::string& name : plot.categories) longest = std::max(longest, name.size());
  const bool tilted = static_cast<double>(longest) * kLetter > slot;  // names that would run into each other
  const double below = kBottom + (tilted ? static_cast<double>(longest) * kLetter / 2 : 0);
  y.from = plot.height - below - legend, y.to = kTop;

  page.text(plot.title, kLeft, 22, "class=\"title\"");
  for (const double tick : y.ticks) {
    page.line("grid", x.from, y.at(tick), x.to, y.at(tick));
    page.text(number(tick, "%.6g"), x.from - 6, y.at(tick) + 4, "class=\"tick\" text-anchor=\"end\"");
  }
  for (const double tick : x.ticks) {
    page.line("grid", x.at(tick), y.from, x.at(tick), y.to);
    page.text(number(tick, "%.6g"), x.at(tick), y.from + 16, "class=\"tick\" text-anchor=\"middle\"");
  }
  for (std::size_t k = 0; k < plot.categories.size(); ++k) {
    page << "<g transform=\"translate(" << x.at(static_cast<double>(k)) << " " << y.from + 16 << ")" << (tilted ? " rotate(-30)" : "") << "\">";
    page.text(plot.categories[k], 0, 0, tilted ? "class=\"tick\" text-anchor=\"end\"" : "class=\"tick\" text-anchor=\"middle\"");
    page << "</g>\n";
  }
  page.line("axis", x.from, y.from, x.to, y.from);
  page.text(plot.x_label, (x.from + x.to) / 2, y.from + below - 20, "text-anchor=\"middle\"");
  page << "<g transform=\"translate(14 " << (y.from + y.to) / 2 << ") rotate(-90)\">\n";
  page.text(plot.y_label, 0, 0, "text-anchor=\"middle\"");
  page << "</g>\n";

  const double bar_width = bars ? slot * 0.8 / static_cast<double>(bars) : 0;
  std::size_t bar = 0, entry = 0;
  for (std::size_t s = 0; s < plot.series.size(); ++s) {
    const PlotSeries& series = plot.series[s];
    page.begin_series(series, s);
    draw(page, series, x, y, bar_width * (static_cast<double>(bar) - static_cast<double>(bars) / 2), bar_width);
    bar += series.kind == PlotSeries::Kind::kBars;
    if (!series.name.empty()) {
      const double at = kLeft + (x.to - kLeft) / 3 * static_cast<double>(entry % 3);
      const double row = plot.height - legend + kLegendRow * static_cast<double>(entry / 3) + 6;
      if (series.kind == PlotSeries::Kind::kRings) page.circle("line", at + 5, row - 4, 5);
      else page.box(at, row - 9, 10, 10);
      page.text(series.name, at + 16, row, "");
      ++entry;
    }
    page << "</g>\n";
  }
}

}  // namespace

std::string svg(const Plot& plot) { return svg(std::vector<Plot>{plot}); }

std::string svg(const std::vector<Plot>& panels) {
  if (panels.empty()) throw Error(ExitCode::kBug, "a picture has no plot", "svg", "report this");
  int width = 0, height = 0;
  bool marked = false;
  for (const Plot& plot : panels) {
    width = std::max(width, plot.width), height += plot.height;
    for (const PlotSeries& series : plot.series) marked = marked || series.marked;
  }
  Page page;
  page.out << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << width << " " << height << "\" role=\"img\" aria-label=\""
           << escaped(panels.front().title) << "\">\n" << kStyle << (marked ? kMarkedStyle : "") << "<rect class=\"back\" width=\"100%\" height=\"100%\"/>\n";
  int top = 0;
  for (const Plot& plot : panels) {
    if (top > 0) page.out << "<g transform=\"translate(0 " << top << ")\">\n";
    draw(page, plot);
    if (top > 0) page << "</g>\n";
    top += plot.height;
  }
  page << "</svg>\n";
  return page.out.str();
}

}  // namespace bitpilot
