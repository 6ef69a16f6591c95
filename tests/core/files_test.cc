#include "runtime/core/files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "runtime/core/error.h"

using namespace bitpilot;
namespace fs = std::filesystem;

namespace {

/// A folder that goes away with the test.
struct Scratch {
  fs::path path;
  Scratch() {
    std::string name = (fs::temp_directory_path() / "bitpilot_files_XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Scratch() { fs::remove_all(path); }
  std::string operator/(const char* name) const { return (path / name).string(); }
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator()));
  }
};

template <typename Action>
ExitCode code_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code;
  }
  return ExitCode::kOk;
}

}  // namespace

TEST_CASE("core/files: SHA-256 gives the published digests at every padding length") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  // Digest of the digests of 0..130 bytes: crosses both padding borders twice.
  std::string all;
  for (std::size_t n = 0; n <= 130; ++n) all += sha256(std::string(n, 'x'));
  CHECK(sha256(all) == "87aca1c44bc7ba8897768170211f0a02063de70801131ff86c7edb9ce32c6a50");
}

TEST_CASE("core/files: what is written is read, and nothing else stays behind") {
  const Scratch scratch;
  const std::string bytes("a\0b\xff\n", 5);
  write_file_atomically(scratch / "f", bytes);
  CHECK(read_file(scratch / "f") == bytes);
  write_file_atomically(scratch / "f", "");
  CHECK(read_file(scratch / "f").empty());
  CHECK(scratch.entries() == 1);
}

TEST_CASE("core/files: missing files are bad data, unwritable places the machine's fault") {
  const Scratch scratch;
  CHECK(code_of([&] { read_file(scratch / "none"); }) == ExitCode::kData);
  CHECK(code_of([&] { read_file(scratch.path.string()); }) == ExitCode::kData);
  CHECK(code_of([&] { read_file(scratch / "none/below"); }) == ExitCode::kData);
  CHECK(code_of([&] { write_file_atomically(scratch / "none/f", "x"); }) == ExitCode::kMachine);
  CHECK(code_of([&] { write_file_atomically(scratch.path.string(), "x"); }) == ExitCode::kMachine);
  CHECK(scratch.entries() == 0);
}

TEST_CASE("core/files: a full disk leaves the earlier file whole and no debris") {
  const Scratch scratch;
  write_file_atomically(scratch / "f", "earlier");
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 1000;  // a write beyond it fails with EFBIG, half way through the file
  setrlimit(RLIMIT_FSIZE, &small);
  const ExitCode code = code_of([&] { write_file_atomically(scratch / "f", std::string(5000, 'x')); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, ignored);
  CHECK(code == ExitCode::kMachine);
  CHECK(read_file(scratch / "f") == "earlier");
  CHECK(scratch.entries() == 1);
}

TEST_CASE("core/files: a device or pipe is written to, never replaced") {
  const Scratch scratch;  // links, so that a broken writer can only replace these
  fs::create_symlink("/dev/full", scratch / "full");
  CHECK(code_of([&] { write_file_atomically(scratch / "full", "x"); }) == ExitCode::kMachine);
  CHECK(fs::is_symlink(scratch / "full"));
  const std::string pipe = scratch / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  REQUIRE(reader >= 0);
  write_file_atomically(pipe, "hello");
  char text[8] = {};
  CHECK(::read(reader, text, sizeof text) == 5);
  CHECK(std::string(text) == "hello");
  CHECK(fs::is_fifo(pipe));
  ::close(reader);
}

TEST_CASE("core/files: an endless stream is not read for ever") {
  CHECK(code_of([] { read_file("/dev/zero"); }) == ExitCode::kData);
}

TEST_CASE("core/files: the nearest name is at most three edits away") {
  const std::vector<std::string> known{"resnet8", "resnet20", "ds_cnn"};
  CHECK(nearest_name("resnet9", known) == "resnet8");
  CHECK(nearest_name("dscnn", known) == "ds_cnn");
  CHECK(nearest_name("resnet2", known) == "resnet8");  // ties: the first
  CHECK(nearest_name("vgg", known).empty());
  CHECK(nearest_name("", known).empty());
  CHECK(nearest_name("abc", {"xyz"}).empty());
}
