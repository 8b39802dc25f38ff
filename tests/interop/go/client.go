// The client: grpc-go's own test cases, and those beyond them that our client has too (tests/interop/grpc/client_more.c).
package main

import (
	"context"
	"io"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

const streams = 1000

var sizes = []int{0, 1, 5 << 20, 64 << 20}

type peer struct {
	pb.TestServiceClient
	conn *grpc.ClientConn
	ctx  context.Context
	pid  int
	callState
}

// Every call of the client has the same state: the cases that look at it make one at a time.
type clientWatcher struct {
	watcher
	state *callState
}

func (w clientWatcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, callKey{}, w.state)
}

func must(err error) {
	if err != nil {
		giveUp("%v", err)
	}
}

func expectCode(err error, code codes.Code) {
	if status.Code(err) != code {
		giveUp("the call ended with %v, expected %v", err, code)
	}
}

func expectEnd(err error) {
	if err != io.EOF {
		giveUp("the call ended with %v", err)
	}
}

func body(size int) *pb.Payload { return &pb.Payload{Body: make([]byte, size)} }

func expectBody(payload *pb.Payload, size int) {
	if len(payload.GetBody()) != size {
		giveUp("a payload of %d bytes came, %d were expected", len(payload.GetBody()), size)
	}
	for _, b := range payload.GetBody() {
		if b != 0 {
			giveUp("a payload of %d bytes has others than zero", size)
		}
	}
}

func outputs(sizes ...int) []*pb.ResponseParameters {
	var list []*pb.ResponseParameters
	for _, size := range sizes {
		list = append(list, &pb.ResponseParameters{Size: int32(size)})
	}
	return list
}

func exchange(stream pb.TestService_FullDuplexCallClient, in, out int) {
	must(stream.Send(&pb.StreamingOutputCallRequest{Payload: body(in), ResponseParameters: outputs(out)}))
	answer, err := stream.Recv()
	must(err)
	expectBody(answer.GetPayload(), out)
}

func (p *peer) duplex(ctx context.Context) pb.TestService_FullDuplexCallClient {
	stream, err := p.FullDuplexCall(ctx)
	must(err)
	return stream
}

// ---- Messages of all sizes, in each kind of call ----

func (p *peer) sizesUnary() {
	for _, size := range sizes {
		answer, err := p.UnaryCall(p.ctx, &pb.SimpleRequest{Payload: body(size), ResponseSize: int32(size)})
		must(err)
		expectBody(answer.GetPayload(), size)
	}
}

func (p *peer) sizesClientStreaming() {
	stream, err := p.StreamingInputCall(p.ctx)
	must(err)
	sum := 0
	for _, size := range sizes {
		must(stream.Send(&pb.StreamingInputCallRequest{Payload: body(size)}))
		sum += size
	}
	answer, err := stream.CloseAndRecv()
	must(err)
	if int(answer.AggregatedPayloadSize) != sum {
		giveUp("the server counted %d bytes, %d were sent", answer.AggregatedPayloadSize, sum)
	}
}

func (p *peer) sizesServerStreaming() {
	stream, err := p.StreamingOutputCall(p.ctx, &pb.StreamingOutputCallRequest{ResponseParameters: outputs(sizes...)})
	must(err)
	for _, size := range sizes {
		answer, err := stream.Recv()
		must(err)
		expectBody(answer.GetPayload(), size)
	}
	_, err = stream.Recv()
	expectEnd(err)
}

func (p *peer) sizesBidi() {
	stream := p.duplex(p.ctx)
	for _, size := range sizes {
		exchange(stream, size, size)
	}
	must(stream.CloseSend())
	_, err := stream.Recv()
	expectEnd(err)
}

// All open at once on one connection; each has a message on its way before the first response is read.
func (p *peer) streams1000() {
	var all []pb.TestService_FullDuplexCallClient
	for i := range streams {
		stream := p.duplex(p.ctx)
		must(stream.Send(&pb.StreamingOutputCallRequest{Payload: body(i), ResponseParameters: outputs(streams - i)}))
		all = append(all, stream)
	}
	for i, stream := range all {
		answer, err := stream.Recv()
		must(err)
		expectBody(answer.GetPayload(), streams-i)
	}
	for _, stream := range all {
		must(stream.CloseSend())
		_, err := stream.Recv()
		expectEnd(err)
	}
}

// ---- Compression: grpc-go compresses a call, or not; single messages it cannot choose ----

func (p *peer) clientCompressedUnary() {
	request := &pb.SimpleRequest{Payload: body(271828), ResponseSize: 314159, ExpectCompressed: &pb.BoolValue{Value: true}}
	_, err := p.UnaryCall(p.ctx, request)
	expectCode(err, codes.InvalidArgument)
	answer, err := p.UnaryCall(p.ctx, request, grpc.UseCompressor("gzip"))
	must(err)
	expectBody(answer.GetPayload(), 314159)
	request.ExpectCompressed.Value = false
	_, err = p.UnaryCall(p.ctx, request)
	must(err)
}

func (p *peer) clientCompressedStreaming() {
	for _, compress := range []bool{false, true} {
		var options []grpc.CallOption
		if compress {
			options = append(options, grpc.UseCompressor("gzip"))
		}
		stream, err := p.StreamingInputCall(p.ctx, options...)
		must(err)
		for _, size := range []int{27182, 45904} {
			request := &pb.StreamingInputCallRequest{Payload: body(size), ExpectCompressed: &pb.BoolValue{Value: true}}
			if err := stream.Send(request); err != nil {
				break
			}
		}
		answer, err := stream.CloseAndRecv()
		if !compress {
			expectCode(err, codes.InvalidArgument)
			continue
		}
		must(err)
		if answer.AggregatedPayloadSize != 73086 {
			giveUp("the server counted %d bytes", answer.AggregatedPayloadSize)
		}
	}
}

func (p *peer) serverCompressedUnary() {
	for _, compressed := range []bool{true, false} {
		answer, err := p.UnaryCall(p.ctx, &pb.SimpleRequest{Payload: body(271828), ResponseSize: 314159,
			ResponseCompressed: &pb.BoolValue{Value: compressed}})
		must(err)
		expectBody(answer.GetPayload(), 314159)
		p.expectCompressed(compressed)
	}
}

// The last message, and whether it came compressed.
func (p *peer) expectCompressed(compressed bool) {
	if p.compressed.Load() != compressed {
		giveUp("a response came compressed: %v, asked for: %v", !compressed, compressed)
	}
}

func (p *peer) serverCompressedStreaming() {
	parameters := outputs(31415, 92653)
	parameters[0].Compressed = &pb.BoolValue{Value: true}
	parameters[1].Compressed = &pb.BoolValue{Value: false}
	stream, err := p.StreamingOutputCall(p.ctx, &pb.StreamingOutputCallRequest{ResponseParameters: parameters})
	must(err)
	for i, size := range []int{31415, 92653} {
		answer, err := stream.Recv()
		must(err)
		expectBody(answer.GetPayload(), size)
		p.expectCompressed(i == 0)
	}
	_, err = stream.Recv()
	expectEnd(err)
}

// ---- Ends, as both sides see them ----

func (p *peer) cancelledCalls() int {
	var trailer metadata.MD
	_, err := p.EmptyCall(p.ctx, &pb.Empty{}, grpc.Trailer(&trailer))
	must(err)
	if len(trailer["x-cancelled"]) != 1 {
		giveUp("the server does not say how many calls were cancelled")
	}
	count, err := strconv.Atoi(trailer["x-cancelled"][0])
	must(err)
	return count
}

func (p *peer) serverSawOneMore(before int) {
	for end := time.Now().Add(10 * time.Second); p.cancelledCalls() <= before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			giveUp("the server did not see within 10 s that the call had ended")
		}
	}
}

func (p *peer) deadline() {
	before := p.cancelledCalls()
	ctx, cancel := context.WithTimeout(p.ctx, 200*time.Millisecond)
	defer cancel()
	stream := p.duplex(ctx)
	exchange(stream, 10, 10)
	_, err := stream.Recv()
	expectCode(err, codes.DeadlineExceeded)
	p.serverSawOneMore(before)
}

func (p *peer) cancelByClient() {
	before := p.cancelledCalls()
	ctx, cancel := context.WithCancel(p.ctx)
	stream := p.duplex(ctx)
	exchange(stream, 10, 10)
	cancel()
	_, err := stream.Recv()
	expectCode(err, codes.Canceled)
	p.serverSawOneMore(before)
}

func (p *peer) cancelByServer() {
	stream := p.duplex(p.ctx)
	exchange(stream, 10, 10)
	must(stream.Send(&pb.StreamingOutputCallRequest{ResponseStatus: &pb.EchoStatus{Code: 1, Message: "reset"}}))
	_, err := stream.Recv()
	expectCode(err, codes.Canceled)
}

// The server is asked to end while a call is open: that one goes on, new ones are refused.
func (p *peer) gracefulShutdown() {
	stream := p.duplex(p.ctx)
	exchange(stream, 10, 10)
	must(syscall.Kill(p.pid, syscall.SIGTERM))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := p.EmptyCall(p.ctx, &pb.Empty{})
		if err != nil {
			expectCode(err, codes.Unavailable)
			break
		}
		if time.Now().After(end) {
			giveUp("the server still takes new calls 10 s after SIGTERM")
		}
	}
	exchange(stream, 5<<20, 5<<20)
	must(stream.CloseSend())
	_, err := stream.Recv()
	expectEnd(err)
}

func (p *peer) run(name string) {
	official := map[string]func(context.Context, pb.TestServiceClient, ...grpc.CallOption){
		"empty_unary": interop.DoEmptyUnaryCall, "large_unary": interop.DoLargeUnaryCall,
		"client_streaming": interop.DoClientStreaming, "server_streaming": interop.DoServerStreaming,
		"ping_pong": interop.DoPingPong, "empty_stream": interop.DoEmptyStream,
		"timeout_on_sleeping_server":  interop.DoTimeoutOnSleepingServer,
		"cancel_after_begin":          interop.DoCancelAfterBegin,
		"cancel_after_first_response": interop.DoCancelAfterFirstResponse,
		"status_code_and_message":     interop.DoStatusCodeAndMessage,
		"special_status_message":      interop.DoSpecialStatusMessage, "custom_metadata": interop.DoCustomMetadata,
	}
	ours := map[string]func(){
		"sizes_unary": p.sizesUnary, "sizes_client_streaming": p.sizesClientStreaming,
		"sizes_server_streaming": p.sizesServerStreaming, "sizes_bidi": p.sizesBidi, "streams_1000": p.streams1000,
		"client_compressed_unary": p.clientCompressedUnary, "client_compressed_streaming": p.clientCompressedStreaming,
		"server_compressed_unary": p.serverCompressedUnary, "server_compressed_streaming": p.serverCompressedStreaming,
		"deadline": p.deadline, "cancel_by_client": p.cancelByClient, "cancel_by_server": p.cancelByServer,
		"graceful_shutdown":     p.gracefulShutdown,
		"unimplemented_method":  func() { interop.DoUnimplementedMethod(p.ctx, p.conn) },
		"unimplemented_service": func() { interop.DoUnimplementedService(p.ctx, pb.NewUnimplementedServiceClient(p.conn)) },
	}
	if do, ok := official[name]; ok {
		do(p.ctx, p)
	} else if do, ok := ours[name]; ok {
		do()
	} else {
		giveUp("no such case: %s", name)
	}
}

func runCase(address, name string, pid int) {
	p := &peer{pid: pid}
	conn, err := grpc.NewClient(address, grpc.WithStatsHandler(clientWatcher{state: &p.callState}), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageMax), grpc.MaxCallSendMsgSize(messageMax)))
	must(err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	p.TestServiceClient, p.conn, p.ctx = pb.NewTestServiceClient(conn), conn, ctx
	p.run(name)
}
