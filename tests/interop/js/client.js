// The interoperability cases with @grpc/grpc-js as client.
//   client.js URI CASE...
'use strict';
const { grpc, testing, addressOf, payload, pause, UNBOUNDED, INITIAL, TRAILING } = require('./testing.js');

const SIZES = [0, 1, 5 << 20, 64 << 20];
const REQUEST_SIZES = [27182, 8, 1828, 45904];
const RESPONSE_SIZES = [31415, 9, 2653, 58979];
const BOUND_MS = 20000;
const GZIP = { 'grpc.default_compression_algorithm': 2 };
const NO_COMPRESS = 2; // of gRPC's flags for writing, which grpc-js does not export
const { status } = grpc;

const address = addressOf(process.argv[2]);
const open = (Service, more) => new Service(address, grpc.credentials.createInsecure(), { ...UNBOUNDED, ...more });
const stub = open(testing.TestService);

// ---- What is expected ----

function holds(condition, what) {
  if (!condition) throw new Error(what);
}

function isZeros(response, size) {
  const body = response.payload.body;
  holds(body.equals(Buffer.alloc(size)), `${body.length} bytes came, expected ${size} zeros`);
}

async function fails(code, promise, details) {
  let got = null;
  await promise.then((value) => holds(false, `no error, but ${String(value).slice(0, 80)}`), (error) => (got = error));
  holds(got.code === code, `status ${got.code} (${got.message}), expected ${code}`);
  holds(details === undefined || got.details === details, `message of the status: ${got.details}`);
}

// ---- Calls ----

const within = (ms = BOUND_MS) => ({ deadline: Date.now() + ms });

// The response, with metadata and trailers of the call beside it.
function unary(method, request, { client = stub, metadata = new grpc.Metadata() } = {}) {
  return new Promise((resolve, reject) => {
    const seen = {};
    const call = client[method](request, metadata, within(), (error, response) => {
      if (error) reject(error);
      else seen.response = response;
    });
    call.on('metadata', (initial) => (seen.metadata = initial));
    call.on('status', (end) => end.code === status.OK && resolve({ ...seen, trailers: end.metadata }));
  });
}

const simple = (size, sent, more) => ({ response_size: size, payload: payload(sent), ...more });
const output = (sizes, sent = 0, more = {}) => ({ response_parameters: sizes.map((size) => ({ size })), payload: payload(sent), ...more });

async function largeCall(size, sent, more, options) {
  const seen = await unary('UnaryCall', simple(size, sent, more), options);
  isZeros(seen.response, size);
  return seen;
}

// StreamingInputCall: its call, and a promise of the sum.
function inputs(client = stub) {
  let call;
  const total = new Promise((resolve, reject) => {
    call = client.StreamingInputCall(new grpc.Metadata(), within(), (error, response) =>
      error ? reject(error) : resolve(response.aggregated_payload_size));
  });
  total.catch(() => {});
  return { call, total };
}

async function clientStreams(sizes) {
  const { call, total } = inputs();
  for (const size of sizes) call.write({ payload: payload(size) });
  call.end();
  const sum = sizes.reduce((a, b) => a + b);
  holds((await total) === sum, `the sum is ${await total}, expected ${sum}`);
}

// A stream of responses, one at a time.
class Responses {
  constructor(call) {
    this.call = call;
    this.end = new Promise((resolve) => call.on('status', resolve));
    call.on('metadata', (metadata) => (this.metadata = metadata));
    call.on('error', () => {});
    this.iterator = call[Symbol.asyncIterator]();
  }

  async answered(size) {
    const next = await this.iterator.next();
    holds(!next.done, 'the call ended where a response was expected');
    isZeros(next.value, size);
  }

  async ended() {
    const next = await this.iterator.next();
    holds(next.done, 'a response came after the last');
    const end = await this.end;
    holds(end.code === status.OK, `status ${end.code} (${end.details})`);
    return end;
  }

  async failed(code, details) {
    await fails(code, this.iterator.next(), details);
  }
}

async function serverStreams(sizes) {
  const responses = new Responses(stub.StreamingOutputCall(output(sizes), within()));
  for (const size of sizes) await responses.answered(size);
  await responses.ended();
}

class Duplex extends Responses {
  constructor({ ms = BOUND_MS, metadata = new grpc.Metadata() } = {}) {
    super(stub.FullDuplexCall(metadata, within(ms)));
  }

  async turn(size, sent = 0) {
    this.call.write(output([size], sent));
    await this.answered(size);
  }

  async half() {
    this.call.end();
    return this.ended();
  }
}

const asking = (code, message) => ({ response_status: { code, message } });

async function statusComes(code, message) {
  await fails(code, unary('UnaryCall', asking(code, message)), message);
  const duplex = new Duplex();
  duplex.call.end(asking(code, message));
  await duplex.failed(code, message);
}

// ---- The official cases ----

const cases = {
  empty_unary: () => unary('EmptyCall', {}),
  large_unary: () => largeCall(314159, 271828),
  client_streaming: () => clientStreams(REQUEST_SIZES),
  server_streaming: () => serverStreams(RESPONSE_SIZES),

  async ping_pong() {
    const duplex = new Duplex();
    for (const i in REQUEST_SIZES) await duplex.turn(RESPONSE_SIZES[i], REQUEST_SIZES[i]);
    await duplex.half();
  },

  empty_stream: () => new Duplex().half(),

  async client_compressed_unary() {
    const expecting = (value) => ({ expect_compressed: { value } });
    await fails(status.INVALID_ARGUMENT, largeCall(314159, 271828, expecting(true)));
    await largeCall(314159, 271828, expecting(true), { client: open(testing.TestService, GZIP) });
    await largeCall(314159, 271828, expecting(false));
  },

  async client_compressed_streaming() {
    const expecting = (value, size) => ({ expect_compressed: { value }, payload: payload(size) });
    const probe = inputs();
    probe.call.end(expecting(true, 27182));
    await fails(status.INVALID_ARGUMENT, probe.total);
    const { call, total } = inputs(open(testing.TestService, GZIP));
    await new Promise((resolve) => call.write(expecting(true, 27182), resolve));
    // write() would pass these flags on if Node let an encoding be a number.
    await new Promise((resolve) => call._write(expecting(false, 45904), NO_COMPRESS, resolve));
    call.end();
    holds((await total) === 73086, `the sum is ${await total}`);
  },

  // That gzip came is not told by grpc-js, only what was in it.
  async server_compressed_unary() {
    for (const value of [true, false]) await largeCall(314159, 271828, { response_compressed: { value } });
  },

  async server_compressed_streaming() {
    const parameters = [{ size: 31415, compressed: { value: true } }, { size: 92653, compressed: { value: false } }];
    const responses = new Responses(stub.StreamingOutputCall({ response_parameters: parameters }, within()));
    for (const { size } of parameters) await responses.answered(size);
    await responses.ended();
  },

  async timeout_on_sleeping_server() {
    const duplex = new Duplex({ ms: 1 });
    duplex.call.write(output([], 27182));
    await duplex.failed(status.DEADLINE_EXCEEDED);
  },

  async cancel_after_begin() {
    const { call, total } = inputs();
    call.cancel();
    await fails(status.CANCELLED, total);
  },

  async cancel_after_first_response() {
    const duplex = new Duplex();
    await duplex.turn(31415, 27182);
    duplex.call.cancel();
    await duplex.failed(status.CANCELLED);
  },

  status_code_and_message: () => statusComes(status.UNKNOWN, 'test status message'),
  special_status_message: () =>
    statusComes(status.UNKNOWN, '\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n'),

  async custom_metadata() {
    const metadata = new grpc.Metadata();
    metadata.set(INITIAL, 'test_initial_metadata_value');
    metadata.set(TRAILING, Buffer.from([0xab, 0xab, 0xab]));
    const cameBack = (initial, trailers) => {
      holds(initial.get(INITIAL)[0] === 'test_initial_metadata_value', 'the metadata did not come back');
      holds(trailers.get(TRAILING)[0].equals(metadata.get(TRAILING)[0]), 'the trailer did not come back');
    };
    const seen = await largeCall(314159, 271828, {}, { metadata });
    cameBack(seen.metadata, seen.trailers);
    const duplex = new Duplex({ metadata });
    await duplex.turn(314159, 271828);
    const end = await duplex.half();
    cameBack(duplex.metadata, end.metadata);
  },

  unimplemented_method: () => fails(status.UNIMPLEMENTED, unary('UnimplementedCall', {})),
  unimplemented_service: () =>
    fails(status.UNIMPLEMENTED, unary('UnimplementedCall', {}, { client: open(testing.UnimplementedService) })),

  // ---- Beyond them ----

  async sizes_unary() {
    for (const size of SIZES) await largeCall(size, size);
  },

  sizes_client_streaming: () => clientStreams(SIZES),
  sizes_server_streaming: () => serverStreams(SIZES),

  async sizes_bidi() {
    const duplex = new Duplex();
    for (const size of SIZES) await duplex.turn(size, size);
    await duplex.half();
  },

  async streams_1000() {
    const streams = Array.from({ length: 1000 }, () => new Duplex());
    streams.forEach((duplex, i) => duplex.call.write(output([i], i)));
    for (const i in streams) await streams[i].answered(Number(i));
    for (const duplex of streams) await duplex.half();
  },

  // As below: at its deadline Node half-closes and resets in one breath. That the server counts such a call is asked by the other peers.
  async deadline() {
    const duplex = new Duplex({ ms: 300 });
    await duplex.turn(1);
    await duplex.failed(status.DEADLINE_EXCEEDED);
  },

  // While the server waits for a request, and while it waits for room to send; that it noticed shows where it ends in order. Node half-closes
  // and resets in one breath, so the server may take the first for an end of the requests.
  async cancel_by_client() {
    const duplex = new Duplex();
    await duplex.turn(10);
    duplex.call.cancel();
    await duplex.failed(status.CANCELLED);
    const responses = new Responses(stub.StreamingOutputCall(output(Array(60).fill(1 << 20)), within()));
    await responses.answered(1 << 20);
    responses.call.cancel();
    const drained = async () => {
      while (!(await responses.iterator.next()).done);
    };
    await fails(status.CANCELLED, drained());
  },

  async cancel_by_server() {
    const duplex = new Duplex();
    await duplex.turn(5);
    duplex.call.write(asking(status.CANCELLED, 'reset'));
    await duplex.failed(status.CANCELLED);
  },

  // The stream that was there goes on when the server has been asked to end; new ones are refused.
  async graceful_shutdown() {
    const duplex = new Duplex();
    await duplex.turn(1);
    process.kill(Number(process.env.INTEROP_SERVER_PID), 'SIGTERM');
    let refusal = null;
    while (refusal === null) {
      await pause(10);
      await unary('EmptyCall', {}).catch((error) => (refusal = error));
    }
    holds(refusal.code === status.UNAVAILABLE, `status of a new call: ${refusal.code} (${refusal.message})`);
    await duplex.turn(100000, 100000);
    await duplex.half();
  },
};

async function bounded(name) {
  const late = pause(BOUND_MS).then(() => holds(false, `not done within ${BOUND_MS / 1000} seconds`));
  late.catch(() => {});
  holds(Object.hasOwn(cases, name), 'there is no such case');
  await Promise.race([cases[name](), late]);
}

async function main(names) {
  let failed = 0;
  for (const name of names) {
    await bounded(name).then(
      () => console.log(`pass  ${name}`),
      (error) => {
        failed++;
        console.log(`FAIL  ${name}: ${error.message}`);
      });
  }
  process.exit(failed > 0 ? 1 : 0);
}

main(process.argv.slice(3));
