// grpc-go as engine and worker of the benchmarks. The envelope is written and read by a codec of its own, which protobuf's wire
// package helps: payloads are referenced on sending, and received without the copy that generated code makes. Windows of 16 MiB,
// buffers of 256 KiB, 1 MiB of SO_SNDBUF. The command line and the line of a result are those of bench/grpc/run.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	path       = "/org.apache.spark.udf.worker.UdfWorker/Execute"
	window     = 16 << 20
	buffer     = 256 << 10
	sendBuffer = 1 << 20
	largest    = 1 << 30
	atOnce     = 64
)

// ---- The envelope: UdfRequest and UdfResponse have the same form

type message struct {
	data   []byte
	buffer mem.Buffer // what data lies in, when it was received
}

func (m *message) free() {
	if m.buffer != nil {
		m.buffer.Free()
		m.buffer = nil
	}
}

type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	data := v.(*message).data
	inner := protowire.AppendVarint([]byte{0x0a}, uint64(len(data)))
	header := protowire.AppendVarint([]byte{0x12}, uint64(len(inner)+len(data)))
	return mem.BufferSlice{mem.SliceBuffer(append(header, inner...)), mem.SliceBuffer(data)}, nil
}

func (codec) Unmarshal(received mem.BufferSlice, v any) error {
	whole := received.MaterializeToBuffer(mem.DefaultBufferPool())
	outer, n := protowire.ConsumeBytes(whole.ReadOnlyData()[1:])
	if n < 0 || whole.ReadOnlyData()[0] != 0x12 || len(outer) == 0 || outer[0] != 0x0a {
		return errors.New("not a DataRequest")
	}
	data, n := protowire.ConsumeBytes(outer[1:])
	if n < 0 {
		return protowire.ParseError(n)
	}
	m := v.(*message)
	m.free()
	m.data, m.buffer = data, whole
	return nil
}

// ---- Worker

func execute(_ any, stream grpc.ServerStream) error {
	headers, _ := metadata.FromIncomingContext(stream.Context())
	sink := slices.Contains(headers.Get("bench-mode"), "sink")
	var total uint64
	var m message

	for {
		err := stream.RecvMsg(&m)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		total += uint64(len(m.data))
		if !sink {
			// What is sent must stay as it is until it has left, which nobody tells: the buffer is left to the collector.
			echoed := message{data: m.data}
			m.buffer = nil
			if err := stream.SendMsg(&echoed); err != nil {
				return err
			}
		}
	}
	m.free()
	if sink {
		return stream.SendMsg(&message{data: binary.LittleEndian.AppendUint64(nil, total)})
	}
	return nil
}

type listener struct{ *net.UnixListener }

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.AcceptUnix()
	if err == nil {
		err = conn.SetWriteBuffer(sendBuffer)
	}
	return conn, err
}

func serve(socket string) {
	os.Remove(socket)
	bound, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(codec{}), grpc.MaxRecvMsgSize(largest), grpc.MaxSendMsgSize(largest),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(4*window), grpc.ReadBufferSize(buffer), grpc.WriteBufferSize(buffer))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "org.apache.spark.udf.worker.UdfWorker",
		HandlerType: (*any)(nil),
		Streams:     []grpc.StreamDesc{{StreamName: "Execute", Handler: execute, ServerStreams: true, ClientStreams: true}},
	}, struct{}{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println("ready")
	log.Fatal(server.Serve(listener{bound}))
}

// ---- Engine

type outcome struct {
	bytes, messages, p50 uint64
}

type work struct {
	conn    *grpc.ClientConn
	message *message
	until   time.Time
}

func (w work) size() int { return len(w.message.data) }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func (w work) call(mode string) grpc.ClientStream {
	description := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	ctx := metadata.AppendToOutgoingContext(context.Background(), "bench-mode", mode)
	stream, err := w.conn.NewStream(ctx, description, path)
	check(err)
	return stream
}

func (w work) end(stream grpc.ClientStream) {
	var m message
	if err := stream.RecvMsg(&m); err != io.EOF {
		log.Fatal("not the end: ", err)
	}
}

func (w work) take(stream grpc.ClientStream, m *message) {
	check(stream.RecvMsg(m))
	if len(m.data) != w.size() {
		log.Fatal("not what was sent")
	}
}

func (w work) oneWay() (o outcome) {
	stream := w.call("sink")
	step := max(1, buffer/w.size())
	for time.Now().Before(w.until) {
		for range step {
			check(stream.SendMsg(w.message))
		}
	}
	check(stream.CloseSend())
	var answer message
	check(stream.RecvMsg(&answer))
	o.bytes = binary.LittleEndian.Uint64(answer.data)
	o.messages = o.bytes / uint64(w.size())
	w.end(stream)
	return o
}

func (w work) echo(inFlight int) (o outcome) {
	stream := w.call("echo")
	tokens := make(chan struct{}, inFlight)
	for range inFlight {
		tokens <- struct{}{}
	}
	var stopped atomic.Bool
	sent := make(chan uint64)
	go func() {
		var count uint64
		for range tokens {
			if stopped.Load() {
				break
			}
			check(stream.SendMsg(w.message))
			count++
		}
		check(stream.CloseSend())
		sent <- count
	}()
	var m message
	for {
		err := stream.RecvMsg(&m)
		if err == io.EOF {
			break
		}
		check(err)
		o.messages++
		if !time.Now().Before(w.until) {
			stopped.Store(true)
		}
		tokens <- struct{}{}
	}
	m.free()
	if <-sent != o.messages {
		log.Fatal("not as many as were sent")
	}
	o.bytes = o.messages * uint64(w.size())
	return o
}

func (w work) pingPong() (o outcome) {
	stream := w.call("echo")
	var trips []uint64
	var m message
	before := time.Now()
	for before.Before(w.until) {
		check(stream.SendMsg(w.message))
		w.take(stream, &m)
		now := time.Now()
		trips = append(trips, uint64(now.Sub(before)))
		before = now
	}
	check(stream.CloseSend())
	w.end(stream)
	slices.Sort(trips)
	o.p50 = trips[len(trips)/2]
	o.messages = uint64(len(trips))
	o.bytes = o.messages * uint64(w.size())
	return o
}

func (w work) streams() (o outcome) {
	var total atomic.Uint64
	var group sync.WaitGroup
	for range atOnce {
		group.Add(1)
		go func() {
			defer group.Done()
			var m message
			for time.Now().Before(w.until) {
				stream := w.call("echo")
				check(stream.SendMsg(w.message))
				check(stream.CloseSend())
				w.take(stream, &m)
				w.end(stream)
				total.Add(1)
			}
		}()
	}
	group.Wait()
	o.messages = total.Load()
	o.bytes = o.messages * uint64(w.size())
	return o
}

func cpu() int64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func resident() (bytes uint64) {
	statm, err := os.ReadFile("/proc/self/statm")
	check(err)
	var size, pages uint64
	fmt.Sscan(string(statm), &size, &pages)
	return pages * uint64(os.Getpagesize())
}

func measure(conn *grpc.ClientConn, mode string, size int, seconds float64) {
	start, before := time.Now(), cpu()
	w := work{conn, &message{data: []byte(strings.Repeat("x", size))}, start.Add(time.Duration(seconds * 1e9))}
	var o outcome
	switch mode {
	case "oneway":
		o = w.oneWay()
	case "echo":
		o = w.echo(max(1, min(16, (32<<20)/size)))
	case "pingpong":
		o = w.pingPong()
	case "streams":
		o = w.streams()
	default:
		log.Fatalf("--mode %s: not one of oneway, echo, pingpong, streams", mode)
	}
	fmt.Printf("bytes=%d messages=%d ns=%d cpu=%d rss=%d p50=%d\n", o.bytes, o.messages, time.Since(start).Nanoseconds(), cpu()-before,
		resident(), o.p50)
}

func connect(socket string) *grpc.ClientConn {
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
		if err == nil {
			err = conn.SetWriteBuffer(sendBuffer)
		}
		return conn, err
	}
	conn, err := grpc.NewClient("passthrough:///localhost",
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dial),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(largest), grpc.MaxCallSendMsgSize(largest)),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(4*window), grpc.WithReadBufferSize(buffer),
		grpc.WithWriteBufferSize(buffer))
	check(err)
	return conn
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 || (os.Args[1] != "engine" && os.Args[1] != "worker") {
		log.Fatal("usage: peer engine|worker PATH [--mode oneway|echo|pingpong|streams --size N --seconds S]")
	}
	if os.Args[1] == "worker" {
		serve(os.Args[2])
	}
	options := flag.NewFlagSet("engine", flag.ExitOnError)
	mode := options.String("mode", "", "")
	size := options.Int("size", 64, "")
	seconds := options.Float64("seconds", 1, "")
	options.Parse(os.Args[3:])
	conn := connect(os.Args[2])
	if *mode != "" {
		measure(conn, *mode, *size, *seconds)
		return
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if n, _ := fmt.Sscan(lines.Text(), mode, size, seconds); n == 3 {
			measure(conn, *mode, *size, *seconds)
		}
	}
}
