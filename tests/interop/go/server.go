// The server: grpc-go's own test service, and what our client's cases ask beyond it.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// How many calls their clients ended.
var cancelled atomic.Int64

type callKey struct{}

// What is known of a call: whether its last message came compressed.
type callState struct{ compressed atomic.Bool }

// A message of zeros that came compressed was shorter on the wire.
type watcher struct{}

func (watcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, callKey{}, new(callState))
}

func (watcher) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if payload, ok := event.(*stats.InPayload); ok {
		ctx.Value(callKey{}).(*callState).compressed.Store(payload.CompressedLength != payload.Length)
	}
}

func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (watcher) HandleConn(context.Context, stats.ConnStats)                       {}

type service struct{ pb.TestServiceServer }

func checkCompression(ctx context.Context, expected *pb.BoolValue) error {
	if expected != nil && expected.Value != ctx.Value(callKey{}).(*callState).compressed.Load() {
		return status.Error(codes.InvalidArgument, "the message is not compressed as announced")
	}
	return nil
}

func (s service) EmptyCall(ctx context.Context, in *pb.Empty) (*pb.Empty, error) {
	grpc.SetTrailer(ctx, metadata.Pairs("x-cancelled", strconv.FormatInt(cancelled.Load(), 10)))
	return s.TestServiceServer.EmptyCall(ctx, in)
}

func (s service) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	if err := checkCompression(ctx, in.ExpectCompressed); err != nil {
		return nil, err
	}
	if in.ResponseCompressed.GetValue() {
		grpc.SetSendCompressor(ctx, "gzip")
	}
	return s.TestServiceServer.UnaryCall(ctx, in)
}

func (s service) StreamingInputCall(stream pb.TestService_StreamingInputCallServer) error {
	sum := 0
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		if err := checkCompression(stream.Context(), in.ExpectCompressed); err != nil {
			return err
		}
		sum += len(in.GetPayload().GetBody())
	}
}

func countStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	err := handler(srv, stream)
	if err != nil && stream.Context().Err() != nil {
		cancelled.Add(1)
	}
	return err
}

func listen(address string) (net.Listener, error) {
	if name, ok := strings.CutPrefix(address, "unix-abstract:"); ok {
		return net.Listen("unix", "@"+name)
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return net.Listen("unix", path)
	}
	return net.Listen("tcp", address)
}

func serve(address string) {
	listener, err := listen(address)
	if err != nil {
		giveUp("%v", err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(messageMax), grpc.MaxSendMsgSize(messageMax), grpc.StatsHandler(watcher{}),
		grpc.StreamInterceptor(countStream))
	pb.RegisterTestServiceServer(server, service{interop.NewTestServer()})
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, syscall.SIGTERM)
	go func() {
		<-ending
		server.GracefulStop()
	}()
	fmt.Println(listener.Addr())
	if err := server.Serve(listener); err != nil {
		giveUp("%v", err)
	}
}
