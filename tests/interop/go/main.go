// Our peer in Go: grpc.testing.TestService with grpc-go, both sides, over Unix sockets too.
//
//	interop server ADDRESS                        prints a line once it listens; ends at SIGTERM, when the last call has
//	interop client ADDRESS CASE [PID of server]   exit code 0: the case passed
//
// ADDRESS is unix:/path, unix-abstract:name or host:port.
package main

import (
	"fmt"
	"os"
	"strconv"
)

const messageMax = 128 << 20

func giveUp(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}

func main() {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "server":
		serve(os.Args[2])
	case len(os.Args) >= 4 && os.Args[1] == "client":
		pid := 0
		if len(os.Args) > 4 {
			pid, _ = strconv.Atoi(os.Args[4])
		}
		runCase(os.Args[2], os.Args[3], pid)
	default:
		giveUp("interop server ADDRESS | interop client ADDRESS CASE [PID]")
	}
}
