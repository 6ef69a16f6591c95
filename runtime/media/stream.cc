#include "runtime/media/stream.h"

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
  for (std::uint64_t index = request.header.index;; ++index) {
    const std::int64_t begin = now_ns();
    if (!capture.grab()) break;
    Header header;
    header.captured_ns = now_ns();
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
