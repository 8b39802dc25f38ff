#!/bin/sh
# An engine on grpcio holds our worker to every rule of tests/interop/engine/rules.txt.
. "$TRIB_SRC/tests/interop/common.sh"
need python

export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$interop:$interop/engine:$peers/python"
engine_everywhere grpcio "$peers/python/venv/bin/python" "$interop/engine/engine.py"
finish
