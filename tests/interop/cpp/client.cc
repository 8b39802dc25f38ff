/* The interoperability cases with gRPC C++ as client. */
#include "peer.h"

#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <thread>

using namespace grpc::testing;
using grpc::ClientContext;
using grpc::Status;
using grpc::StatusCode;

namespace {

const std::vector<int> SIZES = {0, 1, 5 << 20, 64 << 20};
const std::vector<int> REQUEST_SIZES = {27182, 8, 1828, 45904};
const std::vector<int> RESPONSE_SIZES = {31415, 9, 2653, 58979};
constexpr auto BOUND = std::chrono::seconds(20);

std::shared_ptr<grpc::Channel> channel;
std::unique_ptr<TestService::Stub> stub;

/* ---- What is expected ------------------------------------------------------------------------------------------------- */

void holds(bool condition, const std::string &what)
{
    if (!condition)
        throw std::runtime_error(what);
}

void status_is(const Status &status, StatusCode code)
{
    std::ostringstream text;

    text << "status " << status.error_code() << " (" << status.error_message() << "), expected " << code;
    holds(status.error_code() == code, text.str());
}

void is_zeros(const Payload &payload, int size)
{
    std::ostringstream text;

    text << payload.body().size() << " bytes came, expected " << size << " zeros";
    holds(payload.body() == std::string(size, '\0'), text.str());
}

/* Every call ends within the bound. */
struct Context : ClientContext {
    explicit Context(std::chrono::milliseconds bound = BOUND) { set_deadline(std::chrono::system_clock::now() + bound); }
};

/* ---- Calls ------------------------------------------------------------------------------------------------------------ */

SimpleRequest simple(int response, int sent)
{
    SimpleRequest request;

    request.set_response_size(response);
    zeros(request.mutable_payload(), sent);
    return request;
}

StreamingOutputCallRequest output(const std::vector<int> &sizes, int sent = 0)
{
    StreamingOutputCallRequest request;

    for (int size : sizes)
        request.add_response_parameters()->set_size(size);
    zeros(request.mutable_payload(), sent);
    return request;
}

Status unary(ClientContext &context, const SimpleRequest &request)
{
    SimpleResponse response;
    Status status = stub->UnaryCall(&context, request, &response);

    if (status.ok())
        is_zeros(response.payload(), request.response_size());
    return status;
}

/* FullDuplexCall, one turn at a time. */
struct Duplex {
    Context context;
    std::unique_ptr<grpc::ClientReaderWriter<StreamingOutputCallRequest, StreamingOutputCallResponse>> stream;
    StreamingOutputCallResponse response;

    explicit Duplex(std::chrono::milliseconds bound = BOUND, const std::map<std::string, std::string> &metadata = {}) : context(bound)
    {
        for (auto &entry : metadata)
            context.AddMetadata(entry.first, entry.second);
        stream = stub->FullDuplexCall(&context);
    }

    bool ask(const StreamingOutputCallRequest &request) { return stream->Write(request); }

    void answered(int size)
    {
        if (!stream->Read(&response))
            status_is(stream->Finish(), StatusCode::OK), holds(false, "the call ended where a response was expected");
        is_zeros(response.payload(), size);
    }

    void turn(int size, int sent = 0)
    {
        ask(output({size}, sent));
        answered(size);
    }

    void fails(StatusCode code)
    {
        holds(!stream->Read(&response), "a response came where an end was expected");
        status_is(stream->Finish(), code);
    }

    void end()
    {
        stream->WritesDone();
        fails(StatusCode::OK);
    }
};

void client_streams(const std::vector<int> &sizes)
{
    Context context;
    StreamingInputCallResponse response;
    auto stream = stub->StreamingInputCall(&context, &response);
    int total = 0;

    for (int size : sizes) {
        StreamingInputCallRequest request;

        zeros(request.mutable_payload(), size);
        holds(stream->Write(request), "a request could not be sent");
        total += size;
    }
    stream->WritesDone();
    status_is(stream->Finish(), StatusCode::OK);
    holds(response.aggregated_payload_size() == total, "the sum of the sizes differs");
}

void server_streams(const std::vector<int> &sizes)
{
    Context context;
    StreamingOutputCallResponse response;
    auto stream = stub->StreamingOutputCall(&context, output(sizes));

    for (int size : sizes) {
        holds(stream->Read(&response), "the call ended where a response was expected");
        is_zeros(response.payload(), size);
    }
    holds(!stream->Read(&response), "a response came after the last");
    status_is(stream->Finish(), StatusCode::OK);
}

/* ---- The official cases ----------------------------------------------------------------------------------------------- */

void empty_unary()
{
    Context context;
    Empty response;

    status_is(stub->EmptyCall(&context, Empty(), &response), StatusCode::OK);
    holds(response.ByteSizeLong() == 0, "the response is not empty");
}

void large_unary()
{
    Context context;

    status_is(unary(context, simple(314159, 271828)), StatusCode::OK);
}

void client_streaming() { client_streams(REQUEST_SIZES); }
void server_streaming() { server_streams(RESPONSE_SIZES); }

void ping_pong()
{
    Duplex duplex;

    for (size_t i = 0; i < REQUEST_SIZES.size(); i++)
        duplex.turn(RESPONSE_SIZES[i], REQUEST_SIZES[i]);
    duplex.end();
}

void empty_stream() { Duplex().end(); }

void expect_compressed(bool compress, bool announced, StatusCode code)
{
    SimpleRequest request = simple(314159, 271828);
    Context context;

    if (compress)
        context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    set(request.mutable_expect_compressed(), announced);
    status_is(unary(context, request), code);
}

void client_compressed_unary()
{
    expect_compressed(false, true, StatusCode::INVALID_ARGUMENT);
    expect_compressed(true, true, StatusCode::OK);
    expect_compressed(false, false, StatusCode::OK);
}

StreamingInputCallRequest announcing(bool compressed, int size)
{
    StreamingInputCallRequest request;

    set(request.mutable_expect_compressed(), compressed);
    zeros(request.mutable_payload(), size);
    return request;
}

void client_compressed_streaming()
{
    StreamingInputCallResponse response;
    Context probing, context;
    auto probe = stub->StreamingInputCall(&probing, &response);

    probe->Write(announcing(true, 27182));
    probe->WritesDone();
    status_is(probe->Finish(), StatusCode::INVALID_ARGUMENT);

    context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    auto stream = stub->StreamingInputCall(&context, &response);
    holds(stream->Write(announcing(true, 27182)), "the first request could not be sent");
    holds(stream->Write(announcing(false, 45904), grpc::WriteOptions().set_no_compression()), "the second request could not be sent");
    stream->WritesDone();
    status_is(stream->Finish(), StatusCode::OK);
    holds(response.aggregated_payload_size() == 73086, "the sum of the sizes differs");
}

void came_compressed(ClientContext &context, bool compressed)
{
    holds(was_compressed(context.c_call()) == compressed,
          compressed ? "a response came without the compression that was asked for" : "a response came compressed");
}

void server_compressed_unary()
{
    for (bool compressed : {true, false}) {
        SimpleRequest request = simple(314159, 271828);
        Context context;

        set(request.mutable_response_compressed(), compressed);
        status_is(unary(context, request), StatusCode::OK);
        came_compressed(context, compressed);
    }
}

void server_compressed_streaming()
{
    const std::vector<std::pair<int, bool>> wanted = {{31415, true}, {92653, false}};
    StreamingOutputCallResponse response;
    StreamingOutputCallRequest request;
    Context context;

    for (auto &one : wanted) {
        ResponseParameters *parameters = request.add_response_parameters();

        parameters->set_size(one.first);
        set(parameters->mutable_compressed(), one.second);
    }
    auto stream = stub->StreamingOutputCall(&context, request);
    for (auto &one : wanted) {
        holds(stream->Read(&response), "the call ended where a response was expected");
        is_zeros(response.payload(), one.first);
        came_compressed(context, one.second);
    }
    holds(!stream->Read(&response), "a response came after the last");
    status_is(stream->Finish(), StatusCode::OK);
}

void timeout_on_sleeping_server()
{
    Duplex duplex(std::chrono::milliseconds(1));

    duplex.ask(output({}, 27182));
    duplex.fails(StatusCode::DEADLINE_EXCEEDED);
}

void cancel_after_begin()
{
    Context context;
    StreamingInputCallResponse response;
    auto stream = stub->StreamingInputCall(&context, &response);

    context.TryCancel();
    status_is(stream->Finish(), StatusCode::CANCELLED);
}

void cancel_after_first_response()
{
    Duplex duplex;

    duplex.turn(31415, 27182);
    duplex.context.TryCancel();
    duplex.fails(StatusCode::CANCELLED);
}

template <typename Request> Request asking_for(StatusCode code, const std::string &text)
{
    Request request;

    request.mutable_response_status()->set_code(code);
    request.mutable_response_status()->set_message(text);
    return request;
}

void status_comes(StatusCode code, const std::string &text)
{
    Context context;
    Duplex duplex;
    Status status = unary(context, asking_for<SimpleRequest>(code, text));

    status_is(status, code);
    holds(status.error_message() == text, "the message of the unary call's status is: " + status.error_message());
    duplex.ask(asking_for<StreamingOutputCallRequest>(code, text));
    duplex.stream->WritesDone();
    holds(!duplex.stream->Read(&duplex.response), "a response came instead of the status");
    status = duplex.stream->Finish();
    status_is(status, code);
    holds(status.error_message() == text, "the message of the stream's status is: " + status.error_message());
}

void status_code_and_message() { status_comes(StatusCode::UNKNOWN, "test status message"); }

void special_status_message()
{
    status_comes(StatusCode::UNKNOWN, "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n");
}

void has(const std::multimap<grpc::string_ref, grpc::string_ref> &metadata, const std::string &name, const std::string &value)
{
    auto found = metadata.find(name);

    holds(found != metadata.end() && found->second == value, name + " did not come back");
}

void custom_metadata()
{
    const std::map<std::string, std::string> metadata = {{INITIAL, "test_initial_metadata_value"}, {TRAILING, "\xab\xab\xab"}};
    auto came_back = [&](ClientContext &context) {
        has(context.GetServerInitialMetadata(), INITIAL, metadata.at(INITIAL));
        has(context.GetServerTrailingMetadata(), TRAILING, metadata.at(TRAILING));
    };
    Context context;
    Duplex duplex(BOUND, metadata);

    for (auto &entry : metadata)
        context.AddMetadata(entry.first, entry.second);
    status_is(unary(context, simple(314159, 271828)), StatusCode::OK);
    came_back(context);
    duplex.turn(314159, 271828);
    duplex.end();
    came_back(duplex.context);
}

void unimplemented_method()
{
    Context context;
    Empty response;

    status_is(stub->UnimplementedCall(&context, Empty(), &response), StatusCode::UNIMPLEMENTED);
}

void unimplemented_service()
{
    Context context;
    Empty response;

    status_is(UnimplementedService::NewStub(channel)->UnimplementedCall(&context, Empty(), &response), StatusCode::UNIMPLEMENTED);
}

/* ---- Beyond them ------------------------------------------------------------------------------------------------------ */

void sizes_unary()
{
    for (int size : SIZES) {
        Context context;

        status_is(unary(context, simple(size, size)), StatusCode::OK);
    }
}

void sizes_client_streaming() { client_streams(SIZES); }
void sizes_server_streaming() { server_streams(SIZES); }

void sizes_bidi()
{
    Duplex duplex;

    for (int size : SIZES)
        duplex.turn(size, size);
    duplex.end();
}

void streams_1000()
{
    std::vector<std::unique_ptr<Duplex>> streams;

    for (int i = 0; i < 1000; i++)
        streams.push_back(std::make_unique<Duplex>());
    for (int i = 0; i < 1000; i++)
        streams[i]->ask(output({i}, i));
    for (int i = 0; i < 1000; i++)
        streams[i]->answered(i);
    for (auto &duplex : streams)
        duplex->end();
}

/* How many calls the server has seen end by their client. */
long cancelled_calls()
{
    Context context;
    Empty response;

    status_is(stub->EmptyCall(&context, Empty(), &response), StatusCode::OK);
    auto found = context.GetServerTrailingMetadata().find("x-cancelled");
    holds(found != context.GetServerTrailingMetadata().end(), "the server does not say how many calls were cancelled");
    return std::stol(std::string(found->second.data(), found->second.size()));
}

void server_saw_one_more(long before)
{
    auto end = std::chrono::steady_clock::now() + BOUND;

    while (cancelled_calls() <= before) {
        holds(std::chrono::steady_clock::now() < end, "the server did not see that the call had ended");
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

void deadline()
{
    long before = cancelled_calls();
    Duplex duplex(std::chrono::milliseconds(300));

    duplex.turn(1);
    duplex.fails(StatusCode::DEADLINE_EXCEEDED);
    server_saw_one_more(before);
}

/* While the server waits for a request, and while it waits for room to send (that it noticed shows where it ends in order). */
void cancel_by_client()
{
    long before = cancelled_calls();
    StreamingOutputCallResponse response;
    Context context;
    Duplex duplex;

    duplex.turn(10);
    duplex.context.TryCancel();
    duplex.fails(StatusCode::CANCELLED);
    server_saw_one_more(before);
    auto stream = stub->StreamingOutputCall(&context, output(std::vector<int>(60, 1 << 20)));
    holds(stream->Read(&response), "the call ended before it was cancelled");
    context.TryCancel();
    while (stream->Read(&response)) {
    }
    status_is(stream->Finish(), StatusCode::CANCELLED);
}

void cancel_by_server()
{
    Duplex duplex;

    duplex.turn(5);
    duplex.ask(asking_for<StreamingOutputCallRequest>(StatusCode::CANCELLED, "reset"));
    duplex.fails(StatusCode::CANCELLED);
}

/* The stream that was there goes on when the server has been asked to end; new ones are refused. */
void graceful_shutdown()
{
    const char *pid = std::getenv("INTEROP_SERVER_PID");
    Status status;
    Duplex duplex;

    duplex.turn(1);
    holds(pid != nullptr && kill(std::stoi(pid), SIGTERM) == 0, "INTEROP_SERVER_PID names no server");
    do {
        Context context;
        Empty response;

        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        status = stub->EmptyCall(&context, Empty(), &response);
    } while (status.ok());
    status_is(status, StatusCode::UNAVAILABLE);
    duplex.turn(100000, 100000);
    duplex.end();
}

#define CASE(name) {#name, name}
const std::map<std::string, std::function<void()>> known = {
    CASE(empty_unary), CASE(large_unary), CASE(client_streaming), CASE(server_streaming), CASE(ping_pong), CASE(empty_stream),
    CASE(client_compressed_unary), CASE(client_compressed_streaming), CASE(server_compressed_unary), CASE(server_compressed_streaming),
    CASE(timeout_on_sleeping_server), CASE(cancel_after_begin), CASE(cancel_after_first_response), CASE(status_code_and_message),
    CASE(special_status_message), CASE(custom_metadata), CASE(unimplemented_method), CASE(unimplemented_service), CASE(sizes_unary),
    CASE(sizes_client_streaming), CASE(sizes_server_streaming), CASE(sizes_bidi), CASE(streams_1000), CASE(deadline),
    CASE(cancel_by_client), CASE(cancel_by_server), CASE(graceful_shutdown),
};

} // namespace

int client_main(const std::string &uri, const std::vector<std::string> &cases)
{
    grpc::ChannelArguments arguments;
    int failed = 0;

    arguments.SetMaxReceiveMessageSize(-1);
    channel = grpc::CreateCustomChannel(address_of(uri), grpc::InsecureChannelCredentials(), arguments);
    stub = TestService::NewStub(channel);
    for (const std::string &name : cases) {
        auto found = known.find(name);

        try {
            holds(found != known.end(), "there is no such case");
            found->second();
            std::printf("pass  %s\n", name.c_str());
        } catch (const std::exception &failure) {
            failed++;
            std::printf("FAIL  %s: %s\n", name.c_str(), failure.what());
        }
        std::fflush(stdout);
    }
    return failed > 0;
}
