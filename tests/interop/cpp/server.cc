/* grpc.testing.TestService with gRPC C++: serves until SIGTERM; calls under way may end. Beyond the service: the trailers of EmptyCall tell as
 * x-cancelled how many calls the clients ended. */
#include "peer.h"

#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

using namespace grpc::testing;
using grpc::ServerContext;
using grpc::Status;
using grpc::StatusCode;

namespace {

std::atomic<int> cancelled{0};

/* For the scope of a handler: counts the call if its client ended it. */
struct Watch {
    ServerContext *context;

    ~Watch() { cancelled += context->IsCancelled(); }
};

void echo_metadata(ServerContext *context)
{
    auto &received = context->client_metadata();
    auto initial = received.find(INITIAL), trailing = received.find(TRAILING);

    if (initial != received.end())
        context->AddInitialMetadata(INITIAL, std::string(initial->second.data(), initial->second.size()));
    if (trailing != received.end())
        context->AddTrailingMetadata(TRAILING, std::string(trailing->second.data(), trailing->second.size()));
}

template <typename Request> Status asked_status(const Request &request)
{
    const EchoStatus &status = request.response_status();

    return Status(static_cast<StatusCode>(status.code()), status.message());
}

template <typename Request> bool as_announced(ServerContext *context, const Request &request)
{
    return !request.has_expect_compressed() || request.expect_compressed().value() == was_compressed(context->c_call());
}

const Status NOT_AS_ANNOUNCED(StatusCode::INVALID_ARGUMENT, "the message is not compressed as announced");

template <typename Stream> bool respond(Stream *stream, const StreamingOutputCallRequest &request)
{
    for (const ResponseParameters &parameters : request.response_parameters()) {
        StreamingOutputCallResponse response;
        grpc::WriteOptions options;

        std::this_thread::sleep_for(std::chrono::microseconds(parameters.interval_us()));
        if (!parameters.compressed().value())
            options.set_no_compression();
        zeros(response.mutable_payload(), parameters.size());
        if (!stream->Write(response, options))
            return false;
    }
    return true;
}

class Service : public TestService::Service {
    Status EmptyCall(ServerContext *context, const Empty *, Empty *) override
    {
        context->AddTrailingMetadata("x-cancelled", std::to_string(cancelled));
        return Status::OK;
    }

    Status UnaryCall(ServerContext *context, const SimpleRequest *request, SimpleResponse *response) override
    {
        echo_metadata(context);
        if (!as_announced(context, *request))
            return NOT_AS_ANNOUNCED;
        if (request->response_compressed().value())
            context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
        zeros(response->mutable_payload(), request->response_size());
        return asked_status(*request);
    }

    Status StreamingOutputCall(ServerContext *context, const StreamingOutputCallRequest *request,
                               grpc::ServerWriter<StreamingOutputCallResponse> *stream) override
    {
        Watch watch{context};

        for (const ResponseParameters &parameters : request->response_parameters())
            if (parameters.compressed().value())
                context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
        respond(stream, *request);
        return asked_status(*request);
    }

    Status StreamingInputCall(ServerContext *context, grpc::ServerReader<StreamingInputCallRequest> *stream,
                              StreamingInputCallResponse *response) override
    {
        StreamingInputCallRequest request;
        Watch watch{context};
        int total = 0;

        while (stream->Read(&request)) {
            if (!as_announced(context, request))
                return NOT_AS_ANNOUNCED;
            total += static_cast<int>(request.payload().body().size());
        }
        response->set_aggregated_payload_size(total);
        return Status::OK;
    }

    Status FullDuplexCall(ServerContext *context,
                          grpc::ServerReaderWriter<StreamingOutputCallResponse, StreamingOutputCallRequest> *stream) override
    {
        StreamingOutputCallRequest request;
        Watch watch{context};

        echo_metadata(context);
        while (stream->Read(&request))
            if (request.response_status().code() != 0 || !respond(stream, request))
                return asked_status(request);
        return Status::OK;
    }

    Status HalfDuplexCall(ServerContext *, grpc::ServerReaderWriter<StreamingOutputCallResponse, StreamingOutputCallRequest> *stream) override
    {
        std::vector<StreamingOutputCallRequest> requests;
        StreamingOutputCallRequest request;

        while (stream->Read(&request))
            requests.push_back(request);
        for (auto &one : requests)
            respond(stream, one);
        return Status::OK;
    }
};

} // namespace

int server_main(const std::vector<std::string> &uris)
{
    std::vector<int> ports(uris.size());
    grpc::ServerBuilder builder;
    Service service;
    sigset_t term;
    int number;

    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, nullptr); /* in the threads of the server, too */
    for (size_t i = 0; i < uris.size(); i++)
        builder.AddListeningPort(address_of(uris[i]), grpc::InsecureServerCredentials(), &ports[i]);
    builder.SetMaxReceiveMessageSize(-1);
    builder.RegisterService(&service);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (server == nullptr)
        return 1;
    for (size_t i = 0; i < uris.size(); i++) {
        bool tcp = uris[i].rfind("grpc+tcp:", 0) == 0;

        std::printf("%s\n", tcp ? (uris[i].substr(0, uris[i].rfind(':') + 1) + std::to_string(ports[i])).c_str() : uris[i].c_str());
    }
    std::fflush(stdout);
    sigwait(&term, &number);
    server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(10));
    server->Wait();
    return 0;
}
