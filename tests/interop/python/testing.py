"""What client and server of grpc.testing.TestService in Python share."""
import grpc

SIZES = (0, 1, 5 << 20, 64 << 20)
UNBOUNDED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))

INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"

CODES = {code.value[0]: code for code in grpc.StatusCode}


def address_of(uri):
    """What grpcio calls an address that we write as a URI."""
    scheme, rest = uri.split(":", 1)
    if scheme == "grpc+tcp":
        return rest
    return "unix-abstract:" + rest[1:] if rest.startswith("@") else "unix:" + rest
