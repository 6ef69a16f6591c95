// A camera over http (MJPEG), played by a small server of our own.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <thread>

#include "runtime/core/error.h"
#include "runtime/sources/source.h"

using bitpilot::SourceEvent;
using bitpilot::Stop;

namespace {

/// Serves one client after the other; each gets `frames` pictures, then the connection ends.
class Camera {
 public:
  explicit Camera(int frames, const std::string& body = "") : frames_(frames), body_(body) {
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    REQUIRE(bind(socket_, reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(listen(socket_, 4) == 0);
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Camera() {
    over_ = true;
    thread_.join();
    close(socket_);
  }
  std::string address() const {
    return "http://user:secret@127.0.0.1:" + std::to_string(port_) + "/video?token=secret";
  }
  int clients() const { return clients_; }

 private:
  void serve() {
    while (!over_) {
      pollfd item{socket_, POLLIN, 0};
      if (poll(&item, 1, 20) < 1) continue;
      const int client = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) continue;
      ++clients_;
      char request[4096];
      [[maybe_unused]] const ssize_t got = recv(client, request, sizeof request, 0);
      body_.empty() ? stream(client) : put(client, body_);
      close(client);
    }
  }
  static void put(int client, const std::string& bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t count = send(client, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (count <= 0) return;
      done += static_cast<std::size_t>(count);
    }
  }
  void stream(int client) {
    put(client, "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=--frame\r\n\r\n");
    for (int i = 0; i < frames_ && !over_; ++i) {
      std::vector<unsigned char> jpeg;
      cv::imencode(".jpg", cv::Mat(48, 64, CV_8UC3, cv::Scalar(i % 200, 100, 50)), jpeg);
      put(client, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: " + std::to_string(jpeg.size()) + "\r\n\r\n");
      put(client, std::string(jpeg.begin(), jpeg.end()) + "\r\n");
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  int socket_ = -1, frames_, port_ = 0;
  std::string body_;
  std::atomic<bool> over_{false};
  std::atomic<int> clients_{0};
  std::thread thread_;
};

bitpilot::SourceOptions options(std::int64_t attempts) {
  bitpilot::SourceOptions chosen;
  chosen.media_program = std::string(BITPILOT_BIN_DIR) + "/bitpilot-media";
  chosen.reconnect_attempts = attempts;
  return chosen;
}

}  // namespace

TEST_CASE("media: a live stream that ends is lost, comes back and says so") {
  Camera camera(40);
  const Stop stop;
  const auto source = bitpilot::open_source(bitpilot::parse_source(camera.address()), options(-1), stop);
  int frames = 0, lost = 0, back = 0;
  while (frames < 60) {
    const SourceEvent event = source->next();
    REQUIRE(event.kind != SourceEvent::Kind::kEnd);
    REQUIRE(event.kind != SourceEvent::Kind::kFailed);
    CHECK(event.text.find("secret") == std::string::npos);
    if (event.kind == SourceEvent::Kind::kNotice) {
      ++lost;
      REQUIRE(lost < 100);
      continue;
    }
    back += event.text == "is back";
    CHECK(event.frame.image.width == 64);
    CHECK(event.frame.image.height == 48);
    CHECK(event.frame.source.find("secret") == std::string::npos);
    CHECK(event.frame.index == static_cast<std::uint64_t>(frames++));
  }
  CHECK(lost >= 1);
  CHECK(back >= 1);
  CHECK(camera.clients() >= 2);
}

TEST_CASE("media: a camera that serves a playlist opens nothing else") {
  Camera other(40);
  const std::string target = other.address();
  Camera camera(0,
                "HTTP/1.0 200 OK\r\nContent-Type: "
                "application/vnd.apple.mpegurl\r\n\r\n#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n" +
                    target + "\n#EXT-X-ENDLIST\n");
  const Stop stop;
  const auto source = bitpilot::open_source(bitpilot::parse_source(camera.address()), options(1), stop);
  SourceEvent event = source->next();
  while (event.kind == SourceEvent::Kind::kNotice) event = source->next();
  CHECK(event.kind == SourceEvent::Kind::kFailed);
  CHECK(event.code == bitpilot::ExitCode::kMachine);
  CHECK(camera.clients() >= 1);
  CHECK(other.clients() == 0);
}
