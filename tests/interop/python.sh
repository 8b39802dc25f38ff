#!/bin/sh
# grpcio as client of our server, and as server for our client.
. "$TRIB_SRC/tests/interop/common.sh"
need python

export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$interop:$interop/python:$peers/python"
python=$peers/python/venv/bin/python
client_everywhere grpcio "$official_cases $more_cases" "$python" "$interop/python/client.py"
# What grpcio does not tell its caller: whether a message came compressed.
server_everywhere grpcio "$(without "$official_cases $more_cases" client_compressed_unary client_compressed_streaming)" \
    "$python" "$interop/python/server.py"
finish
