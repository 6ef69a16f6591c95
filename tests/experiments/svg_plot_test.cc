#include "experiments/svg_plot.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "runtime/core/error.h"

using namespace bitpilot;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

Plot two_points() {
  Plot plot;
  plot.title = "cost & gain";
  plot.series.push_back({"a<b", PlotSeries::Kind::kLine, {{10, 1}, {100, 3}}, {{0.5, 1.5}, {2.5, 3.5}}, {}});
  return plot;
}

}  // namespace

TEST_CASE("every finite point is a mark, every interval a whisker, and texts are escaped") {
  Plot plot = two_points();
  plot.series[0].points.push_back({50, std::nan("")});
  const std::string text = svg(plot);
  CHECK(count(text, "class=\"dot\"") == 2);
  CHECK(count(text, "class=\"whisker\"") == 2);
  CHECK(text.find("cost &amp; gain") != std::string::npos);
  CHECK(text.find("a&lt;b") != std::string::npos);
  CHECK(text.find("prefers-color-scheme:dark") != std::string::npos);
}

TEST_CASE("a higher value stands higher, on both axes' scales") {
  for (const bool log_x : {false, true}) {
    Plot plot = two_points();
    plot.log_x = log_x;
    const std::string text = svg(plot);
    double x[2], y[2];
    std::size_t at = 0;
    for (int i = 0; i < 2; ++i) {
      at = text.find("<circle", at);
      REQUIRE(std::sscanf(text.c_str() + at, "<circle class=\"dot\" cx=\"%lf\" cy=\"%lf\"", &x[i], &y[i]) == 2);
      ++at;
    }
    CHECK(x[0] < x[1]);
    CHECK(y[0] > y[1]);
  }
}

TEST_CASE("bars stand side by side on their zero line") {
  Plot plot;
  plot.categories = {"one", "two"};
  plot.series.push_back({"up", PlotSeries::Kind::kBars, {{0, 2}, {1, 4}}, {}, {}});
  plot.series.push_back({"down", PlotSeries::Kind::kBars, {{0, -2}, {1, -1}}, {}, {}});
  const std::string text = svg(plot);
  CHECK(count(text, "class=\"bar\"") == 6);  // four bars, two legend entries
  CHECK(count(text, ">one<") == 1);
}

TEST_CASE("rings are open circles, in the legend too, and stand where points would") {
  Plot plot = two_points();
  plot.series.push_back({"back", PlotSeries::Kind::kRings, {{10, 1}}, {}, {}});
  const std::string text = svg(plot);
  CHECK(count(text, "<circle class=\"line\"") == 2);
  CHECK(count(text, "class=\"bar\"") == 1);  // the other series' legend entry
  double x[2], y[2];
  REQUIRE(std::sscanf(text.c_str() + text.find("<circle class=\"dot\""), "<circle class=\"dot\" cx=\"%lf\" cy=\"%lf\"", &x[0], &y[0]) == 2);
  REQUIRE(std::sscanf(text.c_str() + text.find("<circle class=\"line\""), "<circle class=\"line\" cx=\"%lf\" cy=\"%lf\"", &x[1], &y[1]) == 2);
  CHECK(x[0] == x[1]);
  CHECK(y[0] == y[1]);
}

TEST_CASE("colours begin anew behind the eighth series, but a marked one has its own; a plot without one carries no style for it") {
  Plot plot;
  for (int s = 0; s < 9; ++s) plot.series.push_back({"line " + std::to_string(s), PlotSeries::Kind::kLine, {{0, s}, {1, s}}, {}, {}});
  CHECK(count(svg(plot), "<g class=\"s0\">") == 2);
  CHECK(count(svg(plot), "marked") == 0);
  plot.series.back().marked = true;
  const std::string text = svg(plot);
  CHECK(count(text, "<g class=\"s0\">") == 1);
  CHECK(count(text, "<g class=\"marked\">") == 1);
  CHECK(count(text, ".marked{color:") == 2);  // in a light and a dark theme
}

TEST_CASE("panels stand one below the other, each with its own axes, and one panel is the plain picture") {
  Plot wide = two_points(), other = two_points();
  wide.width = 900;
  other.title = "below";
  const std::string text = svg(std::vector<Plot>{wide, other});
  CHECK(text.find("viewBox=\"0 0 900 880\"") != std::string::npos);
  CHECK(count(text, "<svg ") == 1);
  CHECK(count(text, "class=\"dot\"") == 4);
  CHECK(count(text, "class=\"title\"") == 2);
  const std::size_t second = text.find("<g transform=\"translate(0 440)\">");
  REQUIRE(second != std::string::npos);
  CHECK(text.find(">below<") > second);
  CHECK(text.find(">cost &amp; gain<") < second);
  CHECK(svg(std::vector<Plot>{other}) == svg(other));
  CHECK_THROWS_AS(svg(std::vector<Plot>{}), Error);
}

TEST_CASE("a plot without a finite point, or with x = 0 on a logarithmic axis, is refused") {
  CHECK_THROWS_AS(svg(Plot{}), Error);
  Plot plot = two_points();
  plot.series[0].points[0].first = 0;
  plot.log_x = true;
  CHECK_THROWS_AS(svg(plot), Error);
}
