#include "runtime/sources/source.h"

#include <algorithm>
#include <filesystem>

#include "runtime/sources/credentials.h"
#include "runtime/sources/picture_source.h"
#include "runtime/sources/stream_source.h"

namespace bitpilot {

namespace {

namespace fs = std::filesystem;

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 4 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

SourceSpec parse_source(const std::string& text) {
  SourceSpec spec{SourceKind::kPictures, text, without_credentials(text)};
  if (const std::size_t colon = text.find("://"); colon != std::string::npos) {
    const std::string scheme = text.substr(0, colon);
    if (scheme == "rtsp" || scheme == "rtsps") {
      spec.kind = SourceKind::kRtsp;
    } else if (scheme == "http" || scheme == "https") {
      spec.kind = SourceKind::kHttp;
    } else {
      throw Error(ExitCode::kUsage, "no source of the kind " + scheme + "://", "--source " + spec.name,
                  "use rtsp://, http:// or https:// addresses, a camera, a folder or a file");
    }
    return spec;
  }
  std::error_code error;
  const fs::file_status status = fs::status(text, error);
  if (fs::is_directory(status)) {
    spec.kind = SourceKind::kPictures;
  } else if (fs::is_regular_file(status)) {
    spec.kind = looks_like_picture(text) ? SourceKind::kPictures : SourceKind::kVideo;
  } else if (fs::is_character_file(status)) {
    spec.kind = SourceKind::kCamera;
  } else if (is_number(text) && !fs::exists(status)) {
    spec.kind = SourceKind::kCamera;
    spec.target = spec.name = "/dev/video" + text;
  } else {
    throw Error(ExitCode::kData, fs::exists(status) ? "no folder, file or camera" : "no such file or folder",
                "--source " + spec.name,
                "name a folder, a picture, a video, a camera's number or device, or an rtsp:// or http:// address");
  }
  return spec;
}

std::unique_ptr<Source> open_source(const SourceSpec& spec, const SourceOptions& options, const Stop& stop) {
  if (spec.kind != SourceKind::kPictures) return std::make_unique<StreamSource>(spec, options, stop);
  std::vector<std::string> paths{spec.target};
  std::error_code error;
  if (fs::is_directory(spec.target, error)) paths = list_pictures(spec.target);
  if (paths.empty()) {
    throw Error(ExitCode::kData, "no picture in this folder", "--source " + spec.name,
                "name a folder with pictures (jpeg, png, webp, tiff, bmp, …)");
  }
  return std::make_unique<PictureSource>(spec, std::move(paths), options, stop);
}

}  // namespace bitpilot
