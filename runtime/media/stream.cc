#include "runtime/media/stream.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <opencv2/videoio.hpp>
#include <string>
#include <vector>

namespace bitpilot::media {

namespace {

constexpr int kOpenTimeoutMs = 10'000, kReadTimeoutMs = 5'000;

/// libav's options by kind of source: "key;value|key;value".  A playlist (hls, dash, concat, sdp) is no format of any
/// of them: it could name local files or other hosts.
std::string libav_options(const std::string& kind) {
  const std::string containers =
      "mov,mp4,m4a,3gp,matroska,webm,avi,mpeg,mpegts,mpegvideo,mjpeg,mpjpeg,flv,ogg,asf,h264,hevc,ivf,m4v,obu,av1,gif,"
      "apng,dv,nut,mxf,rm,wtv";
  if (kind == "rtsp")
    return "rtsp_transport;tcp|protocol_whitelist;rtsp,rtsps,rtp,rtcp,udp,tcp,tls|format_whitelist;rtsp,mpegts";
  if (kind == "http")
    return "protocol_whitelist;http,https,tcp,tls|format_whitelist;mpjpeg,mjpeg,mpegts,flv,matroska,mov";
  return "protocol_whitelist;file|format_whitelist;" + containers;
}

bool open_capture(cv::VideoCapture& capture, const std::string& kind, const std::string& target) {
  if (kind == "camera") return capture.open(target, cv::CAP_V4L2);
  setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", libav_options(kind).c_str(), 1);
  const std::vector<int> timeouts{cv::CAP_PROP_OPEN_TIMEOUT_MSEC, kOpenTimeoutMs, cv::CAP_PROP_READ_TIMEOUT_MSEC,
                                  kReadTimeoutMs};
  return kind == "video" ? capture.open(target, cv::CAP_FFMPEG) : capture.open(target, cv::CAP_FFMPEG, timeouts);
}

/// False for H.264, whose decoder waits for a key frame by itself, and for MJPEG, which has nothing else.  Others may
/// show gray or smeared pictures when a stream is entered between two key frames.
bool shows_before_key_frame(const cv::VideoCapture& capture) {
  const auto code = static_cast<unsigned>(static_cast<int>(capture.get(cv::CAP_PROP_FOURCC)));
  if (code == 0x1B) return false;  // H.264's stream type in a transport stream
  std::string name;
  for (int shift = 0; shift < 32; shift += 8)
    name += static_cast<char>(std::tolower(static_cast<int>(code >> shift & 0xFFU)));
  return name != "h264" && name != "avc1" && name != "mjpe" && name != "mjpg";
}

/// Tells which frames of a stream that has just been opened are to be held back.
class KeyFrameWait {
 public:
  explicit KeyFrameWait(const cv::VideoCapture& capture)
      : capture_(capture), waiting_(shows_before_key_frame(capture)) {}
  bool holds_back() {
    if (!waiting_) return false;
    if (left_ == 0 && capture_.get(cv::CAP_PROP_LRF_HAS_KEY_FRAME) > 0)
      left_ = kDelay + std::max(1L, sysconf(_SC_NPROCESSORS_ONLN));
    // The packet last read holds a key frame; its picture comes out behind those that the decoder's threads still hold.
    if (left_ > 0 && --left_ == 0) waiting_ = false;
    if (++held_ > kPatience) waiting_ = false;
    return waiting_;
  }

 private:
  static constexpr long kDelay = 2;      // pictures that a decoder keeps to put them in order
  static constexpr int kPatience = 300;  // frames: a stream without key frames is better than none
  const cv::VideoCapture& capture_;
  bool waiting_;
  long left_ = 0;
  int held_ = 0;
};

ImageView view_of(const cv::Mat& picture) {
  return {picture.data, picture.rows, picture.cols, picture.channels(), picture.step[0]};
}

}  // namespace

bool prepare_environment() {
  const bool anew = std::getenv("OPENCV_IO_MAX_IMAGE_PIXELS") == nullptr;
  setenv("OPENCV_IO_MAX_IMAGE_PIXELS", std::to_string(kMaxPixels).c_str(), 1);
  setenv("OPENCV_LOG_LEVEL", "SILENT", 1);
  setenv("OPENCV_FFMPEG_LOGLEVEL", "-8", 1);
  setenv("OPENCV_VIDEOIO_PLUGINS", "", 0);
  return anew;
}

void serve_stream(Channel& channel, const Message& request) {
  const std::string& kind = request.family;
  const auto fail = [&](const std::string& what) {
    channel.send(Kind::kFailed, nlohmann::json{{"what", what}}.dump());
  };
  cv::VideoCapture capture;
  if (!open_capture(capture, kind, request.text))
    return fail(kind == "video" ? "no video that can be decoded" : "cannot be opened");
  for (std::uint64_t i = 0; i < request.header.index; ++i) {
    if (!capture.grab()) return channel.send(Kind::kEnd);
  }
  cv::Mat picture;
  KeyFrameWait wait(capture);
  const bool address = kind == "rtsp" || kind == "http";
  for (std::uint64_t index = request.header.index;; ++index) {
    const std::int64_t begin = now_ns();
    if (!capture.grab()) break;
    Header header;
    header.captured_ns = now_ns();
    if (address && wait.holds_back()) {
      channel.send(Kind::kSkipped);
      continue;
    }
    if (!capture.retrieve(picture) || picture.empty()) break;
    header.index = index;
    // A live stream's grab() waits for the camera: that is no decoding time.
    header.decode_ns = now_ns() - (kind == "video" ? begin : header.captured_ns);
    if (picture.depth() != CV_8U || !channel.send_frame(view_of(picture), header, ""))
      return fail("its pictures are larger than 64 megapixels or of an unknown kind");
  }
  channel.send(Kind::kEnd);
}

}  // namespace bitpilot::media
