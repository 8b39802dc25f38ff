// Our small peer in Go: grpc.testing.TestService on Unix sockets, both sides.
package main

func main() {}
