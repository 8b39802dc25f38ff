#!/bin/sh
# An engine on grpc-java, with Spark's channel settings, holds our worker to every rule of tests/interop/engine/rules.txt.
. "$TRIB_SRC/tests/interop/common.sh"
need java

export CLASSPATH="$peers/java/classes:$peers/java/lib/*"
engine_everywhere grpc-java java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx2g Engine
finish
