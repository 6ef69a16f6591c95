// Cuts a small person / no-person data set out of a video of pedestrians, a stand-in for Visual Wake Words:
//
//   make-person-patches --video FILE --out DIR [--corrections FILE] [--sheets DIR] [--stride N]
//
//   who is a person    OpenCV's HOG people detector, where the picture also differs from the background (median over the video)
//   no person          the very same windows at other times, where nothing stands in front of the background: place alone tells nothing,
//                      which a nearest-neighbour judge of the background must confirm (under 60 %, else exit 5): of each pair it sees one
//                      patch, with the person and without in turns, after corrections
//   train / test       the first 68 % and the last 25 % of the video, nothing from between; test: 300 patches, checked by eye: what it
//                      saw of each stands in a small file, lines "NAME person|no_person|drop".  Another OpenCV may find other people: how
//                      many test patches nobody has looked at is told
//   --stride N         looks at every N-th frame only (default 2): fewer patches, sooner
//
// Writes DIR/{train,test}/{person,no_person}/*.png, 96 x 96 pixels: a folder that `bitpilot train --data` reads.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/objdetect.hpp>
#include <opencv2/videoio.hpp>
#include <set>
#include <sstream>

#include "experiments/person/background_check.h"
#include "runtime/core/error.h"
#include "runtime/core/random.h"

namespace bitpilot {
namespace {

namespace fs = std::filesystem;

constexpr int kPatch = 96, kMaskScale = 4, kTestPatches = 300, kApart = 25;
constexpr double kTrainUntil = 0.68, kTestFrom = 0.75;
constexpr double kDetectorScale = 1.3;         // of the picture: the detector wants people of about 96 pixels and more
constexpr double kSureness = 0.5;              // of the detector
constexpr double kPersonShare = 0.14, kEmptyShare = 0.01;  // of a window that differs from the background
constexpr int kDifference = 28;                // grey levels
constexpr double kMostByBackground = 0.60;
constexpr int kCopies[2] = {3, 1};             // jittered windows of one detection: train, test

enum Part { kTrain, kTest, kNeither };

struct Frame {
  int number = 0;
  Part part = kNeither;
  cv::Mat mask;                   // sums (integral) of what differs from the background, at a quarter of the size
  std::vector<cv::Rect> people;   // as the detector sees them
};

struct Patch {
  int frame = 0;  // number
  cv::Rect window;
  bool person = false;
  std::string name() const {
    char text[64];
    std::snprintf(text, sizeof text, "f%04d_x%03d_y%03d_s%03d.png", frame, window.x, window.y, window.width);
    return text;
  }
};

/// Calls `use` with every wanted frame of the video.
template <typename Use>
int read_frames(const std::string& video, int stride, const Use& use) {
  cv::VideoCapture capture(video);
  if (!capture.isOpened()) throw Error(ExitCode::kData, "the video cannot be read", video, "scripts/install_packages brings opencv-doc's samples");
  int number = 0;
  for (cv::Mat picture; capture.grab(); ++number) {
    if (number % stride != 0) continue;
    capture.retrieve(picture);
    use(number, picture);
  }
  if (number < 100) throw Error(ExitCode::kData, "the video has fewer than 100 frames", video, "give a longer one");
  return number;
}

/// Per pixel and channel the middle of 40 frames spread over the video.
cv::Mat median_background(const std::string& video, int* frames) {
  std::vector<cv::Mat> samples;
  *frames = read_frames(video, 20, [&](int, const cv::Mat& picture) { samples.push_back(picture.clone()); });
  cv::Mat background(samples.front().size(), samples.front().type());
  const std::size_t bytes = background.total() * background.elemSize(), middle = samples.size() / 2;
  std::vector<std::uint8_t> values(samples.size());
  for (std::size_t i = 0; i < bytes; ++i) {
    for (std::size_t s = 0; s < samples.size(); ++s) values[s] = samples[s].data[i];
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle), values.end());
    background.data[i] = values[middle];
  }
  return background;
}

double differing_share(const cv::Mat& integral, const cv::Rect& window) {
  const cv::Rect small = cv::Rect(window.x / kMaskScale, window.y / kMaskScale, window.width / kMaskScale, window.height / kMaskScale) &
                         cv::Rect(0, 0, integral.cols - 1, integral.rows - 1);
  if (small.empty()) return 0;
  const int sum = integral.at<int>(small.br()) - integral.at<int>(small.y, small.br().x) - integral.at<int>(small.br().y, small.x) +
                  integral.at<int>(small.tl());
  return static_cast<double>(sum) / small.area();
}

std::vector<Frame> watch(const std::string& video, const cv::Mat& background, int frames, int stride) {
  cv::HOGDescriptor detector;
  detector.setSVMDetector(cv::HOGDescriptor::getDefaultPeopleDetector());
  std::vector<Frame> result;
  read_frames(video, stride, [&](int number, const cv::Mat& picture) {
    Frame frame;
    frame.number = number;
    if (number < kTrainUntil * frames) frame.part = kTrain;
    else if (number >= kTestFrom * frames) frame.part = kTest;
    else return;
    cv::Mat difference, channels[3], small, large;
    cv::absdiff(picture, background, difference);
    cv::split(difference, channels);
    cv::Mat differs = cv::max(channels[0], cv::max(channels[1], channels[2])) > kDifference;
    cv::resize(differs, small, {}, 1.0 / kMaskScale, 1.0 / kMaskScale, cv::INTER_AREA);
    cv::integral((small > 127) / 255, frame.mask, CV_32S);
    cv::resize(picture, large, {}, kDetectorScale, kDetectorScale, cv::INTER_LINEAR);
    std::vector<cv::Rect> found;
    std::vector<double> sureness;
    detector.detectMultiScale(large, found, sureness, 0, {8, 8}, {}, 1.1, 2.0, false);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const cv::Rect box(cvRound(found[i].x / kDetectorScale), cvRound(found[i].y / kDetectorScale), cvRound(found[i].width / kDetectorScale),
                         cvRound(found[i].height / kDetectorScale));
      if (sureness[i] >= kSureness && differing_share(frame.mask, box) >= kPersonShare) frame.people.push_back(box);
    }
    result.push_back(std::move(frame));
    if (number % 100 == 0) std::cerr << "frame " << number << " of " << frames << "\n";
  });
  return result;
}

/// A square about a detection, moved and scaled at random but inside the picture; empty where it does not fit.
cv::Rect window_about(const cv::Rect& box, const cv::Size& picture, Random* random) {
  const int side = cvRound(box.height * random->uniform(0.8, 1.15));
  const int x = cvRound(box.x + box.width / 2.0 + side * random->uniform(-0.12, 0.12) - side / 2.0);
  const int y = cvRound(box.y + box.height / 2.0 + side * random->uniform(-0.08, 0.08) - side / 2.0);
  if (side < 48 || side > std::min(picture.width, picture.height)) return {};
  return {std::clamp(x, 0, picture.width - side), std::clamp(y, 0, picture.height - side), side, side};
}

bool empty_at(const Frame& frame, const cv::Rect& window) {
  if (differing_share(frame.mask, window) > kEmptyShare) return false;
  return std::none_of(frame.people.begin(), frame.people.end(), [&](const cv::Rect& box) { return (box & window).area() > 0; });
}

/// Pairs of patches, one with a person and one of the same window without; windows that are never empty are left out.
std::vector<Patch> choose(const std::vector<Frame>& frames, Part part, const cv::Size& picture) {
  std::vector<Patch> patches;
  for (std::size_t f = 0; f < frames.size(); ++f) {
    const Frame& frame = frames[f];
    if (frame.part != part) continue;
    Random random(0, "person patches", static_cast<std::uint64_t>(frame.number));
    for (const cv::Rect& box : frame.people)
      for (int copy = 0; copy < kCopies[part]; ++copy) {
        const cv::Rect window = window_about(box, picture, &random);
        if (window.empty()) continue;
        const std::size_t start = random.below(frames.size());
        for (std::size_t i = 0; i < frames.size(); ++i) {
          const Frame& other = frames[(start + i) % frames.size()];
          if (other.part != part || std::abs(other.number - frame.number) < kApart || !empty_at(other, window)) continue;
          patches.push_back({frame.number, window, true});
          patches.push_back({other.number, window, false});
          break;
        }
      }
  }
  return patches;
}

using Corrections = std::map<std::string, std::string>;  // of a patch's name: person, no_person or drop

std::string label_of(const Patch& patch, const Corrections& corrections) {
  const auto correction = corrections.find(patch.name());
  return correction != corrections.end() ? correction->second : patch.person ? "person" : "no_person";
}

/// One patch of each pair, with the person and without in turns.
std::vector<Place> places(const cv::Mat& background, const std::vector<Patch>& pairs, const Corrections& corrections) {
  std::vector<Place> result;
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
    const Patch& patch = pairs[i + i / 2 % 2];
    const std::string label = label_of(patch, corrections);
    if (label == "drop") continue;
    cv::Mat grey, small;
    cv::cvtColor(background(patch.window), grey, cv::COLOR_BGR2GRAY);
    cv::resize(grey, small, {16, 16}, 0, 0, cv::INTER_AREA);
    result.push_back({{small.data, small.data + small.total()}, label == "person"});
  }
  return result;
}

/// What the eye has not seen may bear a wrong label, and so may what a stale line was meant for.
void tell_unseen(const Corrections& corrections, const std::vector<Patch>& patches, const std::string& path) {
  std::set<std::string> names;
  for (const Patch& patch : patches) names.insert(patch.name());
  const auto unseen = std::count_if(names.begin(), names.end(), [&](const std::string& name) { return !corrections.count(name); });
  const auto is_stale = [&](const auto& line) { return !names.count(line.first); };
  const auto stale = std::count_if(corrections.begin(), corrections.end(), is_stale);
  if (unseen == 0 && stale == 0) return;
  std::cerr << "warning: " << unseen << " of " << names.size() << " test patches are not in " << path << ", nobody has looked at them; " << stale
            << " of its lines name no test patch" << (stale > 0 ? ", the first is " + std::find_if(corrections.begin(), corrections.end(), is_stale)->first : "")
            << " (the list belongs to one video, stride and OpenCV: see --sheets)\n";
}

Corrections read_corrections(const std::string& path) {
  Corrections corrections;
  if (path.empty()) return corrections;
  std::ifstream file(path);
  if (!file) throw Error(ExitCode::kData, "the corrections cannot be read", path, "check the path");
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string name, what;
    words >> name >> what;
    if (what != "person" && what != "no_person" && what != "drop")
      throw Error(ExitCode::kData, "\"" + line + "\" is no correction", path, "write NAME person, NAME no_person or NAME drop");
    corrections[name] = what;
  }
  return corrections;
}

/// Test patches to the wanted number, whole pairs spread evenly.
std::vector<Patch> thinned(const std::vector<Patch>& patches) {
  const std::size_t pairs = patches.size() / 2, wanted = std::min<std::size_t>(pairs, kTestPatches / 2);
  std::vector<Patch> result;
  for (std::size_t i = 0; i < wanted; ++i)
    for (const std::size_t half : {0U, 1U}) result.push_back(patches[2 * (i * pairs / wanted) + half]);
  return result;
}

/// Cuts the patches of one part; the sheets show them in name order, 75 a page, with their numbers in names.txt beside.
void cut(const std::string& video, const std::vector<Patch>& patches, const std::string& folder, const Corrections& corrections,
         const std::string& sheets) {
  std::map<int, std::vector<Patch>> by_frame;
  for (const Patch& patch : patches) by_frame[patch.frame].push_back(patch);
  std::map<std::string, std::map<std::string, cv::Mat>> pictures;
  for (const char* label : {"person", "no_person"}) fs::create_directories(folder + "/" + label);
  read_frames(video, 1, [&](int number, const cv::Mat& picture) {
    for (const Patch& patch : by_frame[number]) {
      const std::string label = label_of(patch, corrections);
      if (label == "drop") continue;
      cv::Mat small;
      cv::resize(picture(patch.window), small, {kPatch, kPatch}, 0, 0, patch.window.width > kPatch ? cv::INTER_AREA : cv::INTER_LINEAR);
      if (!cv::imwrite(folder + "/" + label + "/" + patch.name(), small))
        throw Error(ExitCode::kMachine, "a patch cannot be written", folder, "free space on the disk");
      if (!sheets.empty()) pictures[label][patch.name()] = small;
    }
  });
  if (sheets.empty()) return;
  fs::create_directories(sheets);
  constexpr int kColumns = 15, kRows = 5;
  std::ofstream names(sheets + "/names.txt");
  for (const auto& [label, all] : pictures) {
    int at = 0;
    cv::Mat sheet;
    for (const auto& [name, small] : all) {
      if (at % (kColumns * kRows) == 0) sheet = cv::Mat::zeros(kRows * kPatch, kColumns * kPatch, CV_8UC3);
      const cv::Point corner(at % kColumns * kPatch, at / kColumns % kRows * kPatch);
      small.copyTo(sheet(cv::Rect(corner, cv::Size(kPatch, kPatch))));
      cv::putText(sheet, std::to_string(at), corner + cv::Point(3, 14), cv::FONT_HERSHEY_SIMPLEX, 0.45, {0, 255, 255}, 1);
      names << label << " " << at << " " << name << "\n";
      ++at;
      if (at % (kColumns * kRows) == 0 || at == static_cast<int>(all.size()))
        cv::imwrite(sheets + "/" + label + std::to_string((at - 1) / (kColumns * kRows)) + ".png", sheet);
    }
  }
}

constexpr char kHelp[] = R"(make-person-patches --video FILE --out DIR [--corrections FILE] [--sheets DIR] [--stride N]

Cuts a person / no-person data set of 96 x 96 patches out of a video of pedestrians, for `bitpilot train --data DIR`.

  --video FILE         video with a still background
  --out DIR            gets train/ and test/, each with person/ and no_person/
  --corrections FILE   what the eye says of test patches, a line each: NAME person|no_person|drop; warns of patches without a line
  --sheets DIR         overviews of the test patches, to correct them by
  --stride N           look at every N-th frame, 1 to 999 (2); more: fewer patches, sooner
  --help               this text
)";

int run(const std::vector<std::string>& args) {
  if (std::find(args.begin(), args.end(), "--help") != args.end()) {
    std::cout << kHelp << std::flush;
    return static_cast<int>(std::cout ? ExitCode::kOk : ExitCode::kMachine);
  }
  const std::string usage = "give --video FILE --out DIR [--corrections FILE] [--sheets DIR] [--stride N]";
  std::map<std::string, std::string> options{{"--video", ""}, {"--out", ""}, {"--corrections", ""}, {"--sheets", ""}, {"--stride", "2"}};
  for (std::size_t i = 0; i < args.size(); i += 2) {
    if (!options.count(args[i]) || i + 1 >= args.size())
      throw Error(ExitCode::kUsage, "\"" + args[i] + "\" is no option with a value", "make-person-patches", usage);
    options[args[i]] = args[i + 1];
  }
  if (options["--video"].empty() || options["--out"].empty())
    throw Error(ExitCode::kUsage, "--video and --out are needed", "make-person-patches", usage);
  const std::string& every = options["--stride"];
  const int stride = every.size() <= 3 && every.find_first_not_of("0123456789") == std::string::npos ? std::atoi(every.c_str()) : 0;
  if (stride < 1) throw Error(ExitCode::kUsage, "\"" + every + "\" is no number of frames", "make-person-patches --stride", "give 1 to 999");
  const Corrections corrections = read_corrections(options["--corrections"]);
  cv::setNumThreads(1);  // the detector's threads hand in people in any order, and every window is drawn in that order
  int frames = 0;
  const cv::Mat background = median_background(options["--video"], &frames);
  const std::vector<Frame> watched = watch(options["--video"], background, frames, stride);
  const std::vector<Patch> train = choose(watched, kTrain, background.size()), test = thinned(choose(watched, kTest, background.size()));
  if (train.size() < 200 || test.size() < 100)
    throw Error(ExitCode::kData, "too few people are seen in the video", options["--video"], "give a busier one, or a smaller --stride");
  if (!options["--corrections"].empty()) tell_unseen(corrections, test, options["--corrections"]);
  cut(options["--video"], train, options["--out"] + "/train", {}, "");
  cut(options["--video"], test, options["--out"] + "/test", corrections, options["--sheets"]);
  const std::vector<Place> asked = places(background, test, corrections);
  const double told = told_by_background(places(background, train, {}), asked);
  const auto kept = std::count_if(test.begin(), test.end(), [&](const Patch& patch) { return label_of(patch, corrections) != "drop"; });
  std::printf("%zu training and %zu test patches; by the background alone %.1f %% of %zu unpaired test patches are told\n", train.size(),
              static_cast<std::size_t>(kept), 100 * told, asked.size());
  return told < kMostByBackground ? 0 : static_cast<int>(ExitCode::kCheck);
}

}  // namespace
}  // namespace bitpilot

int main(int count, char** values) {
  try {
    return bitpilot::run({values + 1, values + count});
  } catch (const bitpilot::Error& error) {
    std::cerr << "make-person-patches: " << error.what() << "\n";
    return static_cast<int>(error.code);
  }
}
