#include "runtime/sources/media_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "runtime/core/error.h"
#include "runtime/sources/program_path.h"

namespace bitpilot {

namespace {

constexpr std::size_t kMemoryBytes = media::kSlots * media::kSlotBytes;
constexpr std::size_t kKeepBytes = 8U << 20;  // pages of larger pictures are given back to the system after the copy
constexpr rlim_t kAddressSpace =
    rlim_t{6} << 30;  // of the child: decoders that ask for more fail instead of taking the machine down
constexpr std::chrono::seconds kStartTimeout{20};

[[noreturn]] void fail(const std::string& what) {
  throw Error(ExitCode::kMachine, what + " (" + std::strerror(errno) + ")", "starting bitpilot-media",
              "close other programs and try again");
}

/// Between fork and exec: async-signal-safe calls only.
[[noreturn]] void become_child(const char* program, int socket, int memory, pid_t parent) {
  // Above the numbers that dup2 is about to write.
  const int high_socket = fcntl(socket, F_DUPFD, 16), high_memory = fcntl(memory, F_DUPFD, 16);
  const int null = open("/dev/null", O_RDWR);
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  dup2(null, STDERR_FILENO);  // libav prints addresses with their credentials
  dup2(high_socket, media::kSocketFd);
  dup2(high_memory, media::kMemoryFd);
  close(high_socket);
  close(high_memory);
  if (null > media::kMemoryFd) close(null);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  signal(SIGINT, SIG_IGN);  // Ctrl-C reaches the whole group: bitpilot decides when this ends
  signal(SIGTERM, SIG_IGN);
  signal(SIGPIPE, SIG_DFL);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const rlimit space{kAddressSpace, kAddressSpace};
  setrlimit(RLIMIT_AS, &space);
#endif
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  execl(program, "bitpilot-media", "serve", static_cast<char*>(nullptr));
  _exit(127);
}

}  // namespace

MediaProcess::MediaProcess(const Stop& stop, std::string program) : stop_(stop), program_(std::move(program)) {}

MediaProcess::~MediaProcess() {
  kill();
  if (memory_ != nullptr) munmap(memory_, kMemoryBytes);
  if (memory_fd_ >= 0) close(memory_fd_);
}

void MediaProcess::make_memory() {
  // A fresh one for each child: a killed child may still be writing into the old one.
  if (memory_ != nullptr) munmap(memory_, kMemoryBytes);
  if (memory_fd_ >= 0) close(memory_fd_);
  memory_ = nullptr;
  memory_fd_ = memfd_create("bitpilot-frames", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (memory_fd_ < 0 || ftruncate(memory_fd_, kMemoryBytes) != 0) fail("no shared memory");
  // Without the seals a child could shrink it, and reading it would end us by SIGBUS.
  if (fcntl(memory_fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) fail("no sealed shared memory");
  void* mapped = mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory_fd_, 0);
  if (mapped == MAP_FAILED) fail("shared memory cannot be mapped");
  memory_ = static_cast<std::uint8_t*>(mapped);
}

void MediaProcess::spawn(int child_socket) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) fail("no new process");
  if (pid == 0) become_child(program_.c_str(), child_socket, memory_fd_, parent);
  pid_ = pid;
}

bool MediaProcess::start() {
  kill();
  if (program_.empty()) program_ = program_path("bitpilot-media");
  const std::string fix = "install it beside bitpilot or name its folder in BITPILOT_EXEC_PATH";
  if (program_.empty()) throw Error(ExitCode::kMachine, "bitpilot-media is missing", "beside bitpilot", fix);
  make_memory();
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) fail("no socket");
  socket_ = pair[0];
  try {
    spawn(pair[1]);
  } catch (...) {
    close(pair[1]);
    throw;
  }
  close(pair[1]);
  const MediaEvent event = wait(kStartTimeout);
  if (event.kind == MediaEvent::Kind::kStopped) return false;
  if (event.kind == MediaEvent::Kind::kMessage && event.message.header.kind == media::Kind::kHello) return true;
  kill();
  throw Error(ExitCode::kMachine,
              "bitpilot-media does not start: " + (event.reason.empty() ? "no answer" : event.reason), program_, fix);
}

void MediaProcess::kill() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

void MediaProcess::request(media::Kind kind, const std::string& text, std::uint64_t index, const std::string& family) {
  media::Header header;
  header.kind = kind;
  header.index = index;
  // A socket that takes no more belongs to a child that does not read: wait() will time out.
  media::send_message(socket_, header, text, family, false);
}

MediaEvent MediaProcess::ended(MediaEvent::Kind kind, const std::string& reason) {
  MediaEvent event;
  event.kind = kind;
  event.reason = reason;
  if (kind == MediaEvent::Kind::kDied && pid_ > 0) {
    // The socket closes a moment before the process can be waited for.
    int status = 0;
    pid_t done = 0;
    for (int i = 0; i < 200 && (done = waitpid(pid_, &status, WNOHANG)) == 0; ++i) usleep(1000);
    if (done == pid_) {
      pid_ = -1;
      if (WIFSIGNALED(status)) event.reason = std::string("killed by signal ") + std::to_string(WTERMSIG(status));
      if (WIFEXITED(status)) event.reason = "ended with exit code " + std::to_string(WEXITSTATUS(status));
    }
  }
  kill();
  return event;
}

bool MediaProcess::take_frame(const media::Header& header, Image& image) {
  if (header.slot < 0 || header.slot >= media::kSlots) return false;
  if (header.channels != 1 && header.channels != 3) return false;
  if (header.width < 1 || header.height < 1 || header.width > media::kMaxPixels || header.height > media::kMaxPixels)
    return false;
  if (std::int64_t{header.width} * header.height > media::kMaxPixels) return false;
  image = Image(header.height, header.width, header.channels);
  std::uint8_t* slot = memory_ + static_cast<std::size_t>(header.slot) * media::kSlotBytes;
  std::memcpy(image.pixels.data(), slot, image.pixels.size());
  if (image.pixels.size() > kKeepBytes) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t skip = (page - static_cast<std::size_t>(header.slot) * media::kSlotBytes % page) % page;
    madvise(slot + skip, (image.pixels.size() - skip) / page * page, MADV_REMOVE);
  }
  media::Header free;
  free.kind = media::Kind::kFree;
  free.slot = header.slot;
  media::send_message(socket_, free, "", "", false);
  return true;
}

MediaEvent MediaProcess::wait(std::chrono::milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (true) {
    if (stop_.requested()) return ended(MediaEvent::Kind::kStopped, "stopped");
    if (socket_ < 0) return ended(MediaEvent::Kind::kDied, "not running");
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    if (left <= 0) return ended(MediaEvent::Kind::kTimeout, "silent for " + std::to_string(timeout.count()) + " ms");
    pollfd items[2] = {{socket_, POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
    poll(items, 2, static_cast<int>(left));
    MediaEvent event;
    switch (media::receive_message(socket_, event.message, false)) {
      case media::Received::kNothing:
        continue;
      case media::Received::kClosed:
        return ended(MediaEvent::Kind::kDied, "closed its end");
      case media::Received::kGarbage:
        return ended(MediaEvent::Kind::kGarbage, "broke the protocol");
      case media::Received::kMessage:
        break;
    }
    const bool frame = event.message.header.kind == media::Kind::kFrame;
    if (frame && !take_frame(event.message.header, event.image))
      return ended(MediaEvent::Kind::kGarbage, "sent an impossible frame");
    event.kind = MediaEvent::Kind::kMessage;
    return event;
  }
}

}  // namespace bitpilot
