#include "runtime/sources/credentials.h"

#include <doctest/doctest.h>

using bitpilot::without_credentials;

TEST_CASE("sources/credentials: users, passwords and queries of addresses are never written") {
  CHECK(without_credentials("rtsp://host/stream") == "rtsp://host/stream");
  CHECK(without_credentials("rtsp://host:554/stream") == "rtsp://host:554/stream");
  CHECK(without_credentials("rtsp://admin:hunter2@host:554/stream") == "rtsp://host:554/stream");
  CHECK(without_credentials("http://admin@host/x") == "http://host/x");
  CHECK(without_credentials("http://host/x?token=hunter2#hunter2") == "http://host/x");
  CHECK(without_credentials("http://host?token=hunter2") == "http://host");
  CHECK(without_credentials("http://host/a@b") == "http://host/a@b");
}

TEST_CASE("sources/credentials: passwords with unencoded signs do not leak either") {
  for (const char* password :
       {"hun@ter2", "hun/ter2", "hun?ter2", "hun#ter2", "12/hunter2", "hun@t/er2", "://hunter2"}) {
    const std::string written = without_credentials("rtsp://admin:" + std::string(password) + "@host/stream");
    INFO(password, " -> ", written);
    CHECK(written == "rtsp://host/stream");
  }
}

TEST_CASE("sources/credentials: paths stay as they are") {
  for (const char* path : {"photos/a@b?.png", "/dev/v4l/by-id/usb-cam:0", "7", ""})
    CHECK(without_credentials(path) == path);
}
