#!/bin/sh
# grpcio as client of our server, and as server for our client.
. "$TRIB_SRC/tests/interop/common.sh"
need python

export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$interop:$interop/python:$peers/python"
python=$peers/python/venv/bin/python
client_everywhere grpcio "$official_cases $more_cases" "$python" "$interop/python/client.py"
# grpcio tells no one whether a request came compressed: without the probe, or from a server that unpacks requests itself.
# Unquoted: a list of names.
# shellcheck disable=SC2086
seen=$(printf '%s ' $official_cases | sed 's/client_compressed_\([a-z]*\)/client_compressed_\1_noprobe/g')
server_everywhere grpcio "$seen $more_cases" "$python" "$interop/python/server.py"
# shellcheck disable=SC2034
places=grpc+tcp:127.0.0.1:0
server_everywhere 'grpcio, requests as they come' 'large_unary client_streaming client_compressed_unary client_compressed_streaming' \
    "$python" "$interop/python/server.py" --raw
finish
