// What client and server of grpc.testing.TestService on @grpc/grpc-js share.
'use strict';
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const definition = loader.loadSync(path.join(__dirname, '..', 'proto', 'test.proto'), { keepCase: true, defaults: true });

// What grpc-js calls an address that we write as a URI.
function addressOf(uri) {
  const rest = uri.slice(uri.indexOf(':') + 1);
  if (uri.startsWith('grpc+tcp:')) return rest;
  return 'unix:' + rest;
}

module.exports = {
  grpc,
  testing: grpc.loadPackageDefinition(definition).grpc.testing,
  addressOf,
  UNBOUNDED: { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 },
  INITIAL: 'x-grpc-test-echo-initial',
  TRAILING: 'x-grpc-test-echo-trailing-bin',
  payload: (size) => ({ body: Buffer.alloc(size) }),
  pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};
