/* gRPC C++, synchronous, as engine and worker of the benchmarks. Both ends are made from descriptors, so that SO_SNDBUF can be
 * 1 MiB; frames of 1 MiB, 16 MiB of lookahead, reads of 256 KiB and more; one-way writes are hinted as buffered. The command
 * line and the line of a result are those of bench/grpc/run. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/channel.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>

#include "envelope.grpc.pb.h"

namespace pb = org::apache::spark::udf::worker;

namespace {

constexpr int kFrame = 1 << 20, kLookahead = 16 << 20, kSendBuffer = 1 << 20, kAtOnce = 64;

using Clock = std::chrono::steady_clock;
using RequestStream = grpc::ClientReaderWriter<pb::UdfRequest, pb::UdfResponse>;

[[noreturn]] void Die(const std::string& what) {
  std::cerr << "peer: " << what << std::endl;
  _exit(1);
}

void Tune(int fd) {
  int size = kSendBuffer;

  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

int Socket(const std::string& path, bool listening) {
  sockaddr_un address = {};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (path.size() >= sizeof(address.sun_path)) Die(path + ": too long");
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  if (listening) unlink(path.c_str());
  if (listening ? bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 || listen(fd, 16) != 0
                : connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    Die(path + ": " + strerror(errno));
  return fd;
}

/* ---- Worker ------------------------------------------------------------------------------------------------------- */

class Worker final : public pb::UdfWorker::Service {
  using Stream = grpc::ServerReaderWriter<pb::UdfResponse, pb::UdfRequest>;

  grpc::Status Execute(grpc::ServerContext* context, Stream* stream) override {
    auto mode = context->client_metadata().find("bench-mode");

    if (mode != context->client_metadata().end() && mode->second == "sink")
      Sink(stream);
    else
      Echo(stream);
    return grpc::Status::OK;
  }

  static void Sink(Stream* stream) {
    pb::UdfRequest request;
    pb::UdfResponse response;
    uint64_t total = 0;

    while (stream->Read(&request)) total += request.data().data().size();
    response.mutable_data()->set_data(&total, sizeof(total));
    stream->Write(response);
  }

  static void Echo(Stream* stream) {
    pb::UdfRequest request;
    pb::UdfResponse response;

    while (stream->Read(&request)) {
      response.mutable_data()->mutable_data()->swap(*request.mutable_data()->mutable_data());
      if (!stream->Write(response)) return;
    }
  }
};

void EndWithStdin() {
  char bytes[256];

  while (read(STDIN_FILENO, bytes, sizeof(bytes)) > 0) continue;
  _exit(0);
}

void Serve(const std::string& path) {
  Worker worker;
  grpc::ServerBuilder builder;
  int listener = Socket(path, true);

  builder.RegisterService(&worker);
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kFrame);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kLookahead);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_WRITE_BUFFER_SIZE, kFrame);
  builder.AddChannelArgument(GRPC_ARG_TCP_READ_CHUNK_SIZE, 256 << 10);
  builder.AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, 4 << 20);
  auto server = builder.BuildAndStart();
  if (!server) Die("no server");
  std::thread(EndWithStdin).detach();
  std::cout << "ready" << std::endl;
  for (;;) {
    int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) Die(strerror(errno));
    Tune(fd);
    grpc::AddInsecureChannelFromFd(server.get(), fd);
  }
}

/* ---- Engine ------------------------------------------------------------------------------------------------------- */

struct Outcome {
  uint64_t bytes = 0, messages = 0, p50 = 0;
};

struct Work {
  pb::UdfWorker::Stub* stub;
  size_t size;
  Clock::time_point until;

  pb::UdfRequest Message() const {
    pb::UdfRequest request;

    request.mutable_data()->set_data(std::string(size, 'x'));
    return request;
  }
};

void End(RequestStream* stream) {
  grpc::Status status = stream->Finish();

  if (!status.ok()) Die("status " + std::to_string(status.error_code()) + ": " + status.error_message());
}

Outcome OneWay(const Work& work) {
  grpc::ClientContext context;
  pb::UdfRequest request = work.Message();
  pb::UdfResponse response;
  Outcome outcome;
  const size_t step = std::max<size_t>(1, (256 << 10) / work.size);
  grpc::WriteOptions options;

  if (work.size < (1 << 20)) options.set_buffer_hint();
  context.AddMetadata("bench-mode", "sink");
  auto stream = work.stub->Execute(&context);
  do {
    for (size_t i = 0; i < step; i++)
      if (!stream->Write(request, options)) Die("write");
  } while (Clock::now() < work.until);
  stream->WritesDone();
  if (!stream->Read(&response) || response.data().data().size() < 8) Die("no answer");
  memcpy(&outcome.bytes, response.data().data().data(), 8);
  if (stream->Read(&response)) Die("a second answer");
  End(stream.get());
  outcome.messages = outcome.bytes / work.size;
  return outcome;
}

/* So many messages may be written; fewer than none: no more. */
class Tokens {
 public:
  explicit Tokens(int count) : count_(count) {}

  bool Take() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return count_ > 0 || ended_; });
    count_--;
    return !ended_;
  }

  void Give(bool end) {
    std::lock_guard<std::mutex> lock(mutex_);
    count_++;
    ended_ = ended_ || end;
    changed_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_;
  bool ended_ = false;
};

Outcome Echo(const Work& work, int window) {
  grpc::ClientContext context;
  pb::UdfRequest request = work.Message();
  pb::UdfResponse response;
  Outcome outcome;
  Tokens tokens(window);

  auto stream = work.stub->Execute(&context);
  std::thread writer([&] {
    while (tokens.Take())
      if (!stream->Write(request)) Die("write");
    stream->WritesDone();
  });
  while (stream->Read(&response)) {
    if (response.data().data().size() != work.size) Die("not what was sent");
    outcome.messages++;
    tokens.Give(Clock::now() >= work.until);
  }
  writer.join();
  End(stream.get());
  outcome.bytes = outcome.messages * work.size;
  return outcome;
}

Outcome PingPong(const Work& work) {
  grpc::ClientContext context;
  pb::UdfRequest request = work.Message();
  pb::UdfResponse response;
  Outcome outcome;
  std::vector<uint64_t> trips;
  Clock::time_point before = Clock::now(), now;

  auto stream = work.stub->Execute(&context);
  do {
    if (!stream->Write(request) || !stream->Read(&response)) Die("ping");
    now = Clock::now();
    trips.push_back(std::chrono::nanoseconds(now - before).count());
    before = now;
  } while (now < work.until);
  stream->WritesDone();
  if (stream->Read(&response)) Die("more than was sent");
  End(stream.get());
  std::nth_element(trips.begin(), trips.begin() + trips.size() / 2, trips.end());
  outcome.p50 = trips[trips.size() / 2];
  outcome.messages = trips.size();
  outcome.bytes = outcome.messages * work.size;
  return outcome;
}

/* One after the other, on the callback interface: a thread for each would be slower. */
class Streamer final : public grpc::ClientBidiReactor<pb::UdfRequest, pb::UdfResponse> {
 public:
  explicit Streamer(const Work& work) : work_(work), request_(work.Message()) {}

  void Begin() {
    context_.reset(new grpc::ClientContext);
    work_.stub->async()->Execute(context_.get(), this);
    StartWriteLast(&request_, grpc::WriteOptions());
    StartRead(&response_);
    StartCall();
  }

  uint64_t Await() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return ended_; });
    return count_;
  }

  void OnReadDone(bool ok) override {
    if (ok) StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    if (!status.ok()) Die("status " + std::to_string(status.error_code()) + ": " + status.error_message());
    count_++;
    if (Clock::now() < work_.until) {
      Begin(); /* OnDone is the last that a call says: its reactor is free for the next one */
      return;
    }
    std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
    changed_.notify_one();
  }

 private:
  const Work& work_;
  pb::UdfRequest request_;
  pb::UdfResponse response_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t count_ = 0;
  bool ended_ = false;
};

Outcome Streams(const Work& work) {
  std::vector<std::unique_ptr<Streamer>> streamers;
  Outcome outcome;

  for (int i = 0; i < kAtOnce; i++) {
    streamers.emplace_back(new Streamer(work));
    streamers.back()->Begin();
  }
  for (auto& streamer : streamers) outcome.messages += streamer->Await();
  outcome.bytes = outcome.messages * work.size;
  return outcome;
}

uint64_t CpuNs() {
  timespec time;

  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

uint64_t Rss() {
  std::ifstream file("/proc/self/statm");
  uint64_t size = 0, resident = 0;

  file >> size >> resident;
  return resident * 4096;
}

void Measure(pb::UdfWorker::Stub* stub, const std::string& mode, size_t size, double seconds) {
  const Clock::time_point start = Clock::now();
  const uint64_t cpu = CpuNs();
  const Work work = {stub, size, start + std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9))};
  Outcome outcome;

  if (mode == "oneway")
    outcome = OneWay(work);
  else if (mode == "echo")
    outcome = Echo(work, std::max<int>(1, std::min<size_t>(16, (32 << 20) / size)));
  else if (mode == "pingpong")
    outcome = PingPong(work);
  else if (mode == "streams")
    outcome = Streams(work);
  else
    Die("--mode " + mode + ": not one of oneway, echo, pingpong, streams");
  std::cout << "bytes=" << outcome.bytes << " messages=" << outcome.messages
            << " ns=" << std::chrono::nanoseconds(Clock::now() - start).count() << " cpu=" << CpuNs() - cpu << " rss=" << Rss()
            << " p50=" << outcome.p50 << std::endl;
}

std::shared_ptr<grpc::Channel> Connect(const std::string& path) {
  grpc::ChannelArguments arguments;
  int fd = Socket(path, false);

  Tune(fd);
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kFrame);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kLookahead);
  arguments.SetInt(GRPC_ARG_HTTP2_WRITE_BUFFER_SIZE, kFrame);
  arguments.SetInt(GRPC_ARG_TCP_READ_CHUNK_SIZE, 256 << 10);
  arguments.SetInt(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, 4 << 20);
  return grpc::CreateCustomInsecureChannelFromFd("localhost", fd, arguments);
}

void Drive(const std::string& path, std::map<std::string, std::string> options) {
  auto stub = pb::UdfWorker::NewStub(Connect(path));
  std::string mode;
  size_t size;
  double seconds;

  if (options.count("--mode")) {
    size = options.count("--size") ? std::stoul(options["--size"]) : 64;
    seconds = options.count("--seconds") ? std::stod(options["--seconds"]) : 1;
    Measure(stub.get(), options["--mode"], size, seconds);
    return;
  }
  while (std::cin >> mode >> size >> seconds) Measure(stub.get(), mode, size, seconds);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string side = argc > 2 ? argv[1] : "";
  std::map<std::string, std::string> options;

  for (int i = 3; i + 1 < argc; i += 2) options[argv[i]] = argv[i + 1];
  if (side == "worker") {
    Serve(argv[2]);
  } else if (side == "engine") {
    Drive(argv[2], options);
  } else {
    std::cerr << "usage: peer engine|worker PATH [--mode oneway|echo|pingpong|streams --size N --seconds S]" << std::endl;
    return 2;
  }
  _exit(0);
}
