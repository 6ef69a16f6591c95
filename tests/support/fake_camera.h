#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <thread>
#include <vector>

namespace bitpilot::testing {

/// A camera over http on a port of its own: serves one client after the other as `play` says, then closes the line.
class FakeCamera {
 public:
  /// `number`: 0 for the first client.
  using Play = std::function<void(FakeCamera& camera, int number)>;

  explicit FakeCamera(Play play) : play_(std::move(play)) {
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
  ~FakeCamera() {
    over_ = true;
    thread_.join();
    close(socket_);
  }
  std::string address() const {
    return "http://user:secret@127.0.0.1:" + std::to_string(port_) + "/video?token=secret";
  }
  int clients() const { return clients_; }

  // For plays.
  void put(const std::string& bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t count = send(client_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (count <= 0) return;
      done += static_cast<std::size_t>(count);
    }
  }
  void put_head() { put("HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=--frame\r\n\r\n"); }
  void put_picture(int level, int width = 64, int height = 48) {
    const std::string jpeg = jpeg_of(level, width, height);
    put("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: " + std::to_string(jpeg.size()) + "\r\n\r\n" + jpeg +
        "\r\n");
    pause(5);
  }
  static std::string jpeg_of(int level, int width, int height) {
    std::vector<unsigned char> jpeg;
    cv::imencode(".jpg", cv::Mat(height, width, CV_8UC3, cv::Scalar(level % 200, 100, 50)), jpeg);
    return {jpeg.begin(), jpeg.end()};
  }
  void pause(int ms) const { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }
  /// Keeps the line open until the client leaves.
  void hold() const {
    char byte;
    pollfd item{client_, POLLIN, 0};
    while (!over_) {
      if (poll(&item, 1, 20) > 0 && recv(client_, &byte, 1, 0) <= 0) return;
    }
  }
  bool over() const { return over_; }

 private:
  void serve() {
    while (!over_) {
      pollfd item{socket_, POLLIN, 0};
      if (poll(&item, 1, 20) < 1) continue;
      client_ = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client_ < 0) continue;
      char request[4096];
      [[maybe_unused]] const ssize_t got = recv(client_, request, sizeof request, 0);
      play_(*this, clients_++);
      close(client_);
    }
  }

  Play play_;
  int socket_ = -1, client_ = -1, port_ = 0;
  std::atomic<bool> over_{false};
  std::atomic<int> clients_{0};
  std::thread thread_;
};

}  // namespace bitpilot::testing
