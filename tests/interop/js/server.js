// grpc.testing.TestService with @grpc/grpc-js.
//   server.js URI...     prints each address, then serves until SIGTERM; calls under way may end
// Beyond the service: the trailers of EmptyCall tell as x-cancelled how many calls the clients ended.
'use strict';
const { grpc, testing, addressOf, payload, pause, UNBOUNDED, INITIAL, TRAILING } = require('./testing.js');

let cancelled = 0;

// Gives each request a field that grpc-js tells no one: whether it came compressed. The method that knows is not public, which a pinned version makes
// bearable.
function tellCompression(method, call) {
  const came = [];
  const unpack = call.decompressAndMaybePush;
  call.decompressAndMaybePush = (entry) => {
    came.push(entry.compressedMessage.readUInt8(0) === 1);
    return unpack.call(call, entry);
  };
  const tell = (request, pass) => pass(Object.assign(request, { came_compressed: came.shift() }));
  return new grpc.ServerInterceptingCall(call, { start: (next) => next({ onReceiveMessage: tell }) });
}

// The status for a request that did not come as it says; null where it did, or says nothing.
function compressionStatus(request) {
  const expected = request.expect_compressed;
  if (!expected || expected.value === request.came_compressed) return null;
  return { code: grpc.status.INVALID_ARGUMENT, details: 'the message is not compressed as announced' };
}

function echoInitial(call) {
  const value = call.metadata.get(INITIAL);
  if (value.length === 0) return;
  const metadata = new grpc.Metadata();
  metadata.set(INITIAL, value[0]);
  call.sendMetadata(metadata);
}

function trailersFor(call) {
  const trailers = new grpc.Metadata();
  for (const value of call.metadata.get(TRAILING)) trailers.add(TRAILING, value);
  return trailers;
}

// The status that the request asks for, as an error; null where it asks for none.
function askedStatus(request) {
  const status = request.response_status;
  return status && status.code !== 0 ? { code: status.code, details: status.message } : null;
}

async function respond(call, request) {
  for (const { size, interval_us } of request.response_parameters) {
    if (interval_us > 0) await pause(interval_us / 1000);
    if (call.cancelled) return;
    await new Promise((resolve) => {
      call.once('cancelled', resolve);
      call.write({ payload: payload(size) }, resolve);
    });
  }
}

// Runs a handler that answers a stream; where the client ended the call, nobody is left to hear of it.
async function streaming(call, handler) {
  call.on('cancelled', () => cancelled++);
  const status = await handler();
  if (status) call.emit('error', status);
  else if (!call.cancelled) call.end(trailersFor(call));
}

// One request after the other, until one is answered with a status, the client half-closes or ends the call.
function eachRequest(call, handle) {
  return new Promise((resolve, reject) => {
    let last = Promise.resolve(null);
    call.on('data', (request) => {
      call.pause();
      last = handle(request).then((status) => (status ? resolve(status) : call.resume()));
      last.catch(reject);
    });
    call.on('end', () => last.then(() => resolve(null)));
    call.on('cancelled', () => resolve(null));
  });
}

const service = {
  EmptyCall(call, callback) {
    const trailers = new grpc.Metadata();
    trailers.set('x-cancelled', String(cancelled));
    callback(null, {}, trailers);
  },

  UnaryCall(call, callback) {
    echoInitial(call);
    const status = compressionStatus(call.request) || askedStatus(call.request);
    if (status) callback(status);
    else callback(null, { payload: payload(call.request.response_size) }, trailersFor(call));
  },

  StreamingOutputCall(call) {
    streaming(call, async () => {
      await respond(call, call.request);
      return askedStatus(call.request);
    });
  },

  StreamingInputCall(call, callback) {
    let total = 0;
    let status = null;
    call.on('cancelled', () => cancelled++);
    call.on('data', (request) => {
      status = status || compressionStatus(request);
      total += request.payload.body.length;
    });
    call.on('end', () => callback(status, { aggregated_payload_size: total }));
    call.on('error', () => {});
  },

  FullDuplexCall(call) {
    echoInitial(call);
    streaming(call, () => eachRequest(call, async (request) => askedStatus(request) || respond(call, request)));
  },

  HalfDuplexCall(call) {
    const requests = [];
    streaming(call, async () => {
      await eachRequest(call, async (request) => void requests.push(request));
      for (const request of requests) await respond(call, request);
    });
  },
};

async function main(uris) {
  const server = new grpc.Server({ ...UNBOUNDED, interceptors: [tellCompression] });
  server.addService(testing.TestService.service, service);
  for (const uri of uris) {
    const port = await new Promise((resolve, reject) =>
      server.bindAsync(addressOf(uri), grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
    console.log(uri.startsWith('grpc+tcp:') ? uri.slice(0, uri.lastIndexOf(':') + 1) + port : uri);
  }
  process.on('SIGTERM', () => server.tryShutdown(() => process.exit(0)));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
