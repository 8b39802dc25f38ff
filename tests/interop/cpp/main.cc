/* The peer on gRPC C++:
 *   peer client URI CASE...     a line for each case
 *   peer server URI...          prints each address, then serves until SIGTERM */
#include "peer.h"

#include <cstdio>

/* Both are libgrpc's own, for its tests, and in no public header. */
enum { MESSAGE_WAS_COMPRESSED = 0x40000000 };
uint32_t grpc_call_test_only_get_message_flags(grpc_call *call);

bool was_compressed(grpc_call *call)
{
    return (grpc_call_test_only_get_message_flags(call) & MESSAGE_WAS_COMPRESSED) != 0;
}

std::string address_of(const std::string &uri)
{
    size_t colon = uri.find(':');
    std::string rest = uri.substr(colon + 1);

    if (uri.compare(0, colon, "grpc+tcp") == 0)
        return rest;
    return rest[0] == '@' ? "unix-abstract:" + rest.substr(1) : "unix:" + rest;
}

int main(int argc, char **argv)
{
    std::vector<std::string> words(argv + 1, argv + argc);

    if (words.size() > 2 && words[0] == "client")
        return client_main(words[1], {words.begin() + 2, words.end()});
    if (words.size() > 1 && words[0] == "server")
        return server_main({words.begin() + 1, words.end()});
    std::fputs("peer client URI CASE... | peer server URI...\n", stderr);
    return 2;
}
