#include "runtime/media/serve.h"

#include <nlohmann/json.hpp>
#include <opencv2/core/utility.hpp>
#include <string>

#include "data/codecs/decode.h"
#include "runtime/core/error.h"
#include "runtime/media/channel.h"
#include "runtime/media/set.h"
#include "runtime/media/stream.h"

namespace bitpilot::media {

namespace {

void serve_picture(Channel& channel, const Message& request) {
  Header header;
  header.index = request.header.index;
  const std::int64_t begin = now_ns();
  std::string reason;
  const Image picture = decode_file(request.text, &reason);
  header.captured_ns = begin;
  header.decode_ns = now_ns() - begin;
  if (!picture.pixels.empty() && channel.send_frame(picture.view(), header, request.text)) return;
  channel.send(Kind::kSkipped, request.text, reason.empty() ? "larger than 64 megapixels" : reason,
               request.header.index);
}

void send_error(Channel& channel, const Error& error) {
  // what() is "what\n  where: …\n  fix:   …".
  const std::string said = error.what(), where_mark = "\n  where: ", fix_mark = "\n  fix:   ";
  const std::size_t where = said.find(where_mark), fix = said.rfind(fix_mark);
  const nlohmann::json json{{"code", static_cast<int>(error.code)},
                            {"what", said.substr(0, where)},
                            {"where", said.substr(where + where_mark.size(), fix - where - where_mark.size())},
                            {"fix", said.substr(fix + fix_mark.size())}};
  channel.send(Kind::kFailed, json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

void serve() {
  cv::setNumThreads(1);
  Channel channel;
  channel.send(Kind::kHello);
  while (true) {
    const Message request = channel.request();
    try {
      switch (request.header.kind) {
        case Kind::kPicture:
          serve_picture(channel, request);
          break;
        case Kind::kStream:
          serve_stream(channel, request);
          break;
        case Kind::kSet:
          serve_set(channel, request);
          break;
        default:
          throw Error(ExitCode::kBug, "unknown request", "bitpilot-media", "install both programs from one build");
      }
    } catch (const Error& error) {
      send_error(channel, error);
    } catch (const std::exception& error) {
      send_error(channel, Error(ExitCode::kData, error.what(), "bitpilot-media", "check the input"));
    }
  }
}

}  // namespace bitpilot::media
