#!/bin/sh
# Arrow through `tributary call` and `tributary serve`: a serializer answers an engine of Spark's gRPC protocol as it answers one of its socket protocol.
set -u

# shellcheck source=tests/support/tool.sh
. "$TRIB_SRC/tests/support/tool.sh"

# cut SESSION OFFSET LENGTH: the Arrow stream of a captured session, in stream
cut_stream() {
    tail -c "+$(($2 + 1))" "$vectors/$1.engine-to-worker.bin" | head -c "$3" >stream
}

# over_socket SESSION SERIALIZER: what it answers over spark-socket; the Arrow stream of that, in socket
over_socket() {
    start unix:s.sock --protocol spark-socket --serializer "$2" --once
    runs 0 send unix:s.sock "$vectors/$1.engine-to-worker.bin" --out all
    wait_server
    # Behind 4 bytes of a process id and 4 of a marker; before 52 of times and 12 of the end.
    tail -c +9 all | head -c "$(($(wc -c <all) - 72))" >socket
}

# ---- The same answer, over each kind of connection ----

for uri in grpc+unix:w.sock grpc+tcp:127.0.0.1:0; do
    for serializer in upper count; do
        start "$uri" --protocol spark-grpc --serializer $serializer
        to=$(address "$uri")
        grpc_server=$server
        exec 4<&3
        for session in 'c-scalar-string.uds-direct 4521 344' 'c-map-in-arrow.uds-direct 4519 456'; do
            # Unquoted: words.
            # shellcheck disable=SC2086
            cut_stream $session
            over_socket "${session%% *}" $serializer
            runs 0 call "$to" --payload any --in stream --out answer
            is "$uri: $serializer: ${session%% *}: the answer of the socket" cmp socket answer
        done
        is "$serializer: rows are told" grep -qE 'rows_in=3 rows_out=[13] ' err
        server=$grpc_server
        exec 3<&4 4<&-
        end_server TERM
        is "$serializer: the worker ends in order" [ "$ended" -eq 0 ]
    done
done

# ---- Values of text change, and nothing else ----

cut_stream c-scalar-string.uds-direct 4521 344
head -c 144 stream >schema
tail -c +145 stream | head -c 192 >lower
bytes '\377\377\377\377\0\0\0\0' >end
cat schema lower lower lower lower lower end >five
cat schema end >none
LC_ALL=C sed 's/s0s/S0S/; s/s1/S1/; s/s2/S2/' lower >upper
is 'the batch has lower case letters' [ "$(cmp -l lower upper | wc -l)" -gt 0 ]
cat schema upper upper upper upper upper end >right
start grpc+unix:w.sock --protocol spark-grpc
runs 0 call grpc+unix:w.sock --payload upper --in five --out answer
is 'upper: values alone' cmp right answer
is 'upper: batches and rows' grep -q 'sent 5 batches, 960 bytes, received 5 batches, 960 bytes, 15 rows in' err
is 'upper: from a pipe' sh -c "cat five | timeout 60 '$tool' call grpc+unix:w.sock --payload upper --in - --out - 2>err | cmp - right"
runs 0 call grpc+unix:w.sock --payload upper --in none --out answer
is 'upper: no batch' cmp none answer

# Whole streams in a DataRequest, of which nothing was said in Init: whole streams come back.
cat schema upper end >one
cat one one one one >whole
cat schema lower end >request
cat request request request request >requests
runs 0 call grpc+unix:w.sock --payload upper --raw --in requests --batch 344 --out answer
is 'upper: whole streams' cmp whole answer
runs 0 call grpc+unix:w.sock --payload count --raw --in requests --batch 344 --out answer
is 'count: of whole streams, a whole stream' [ "$(wc -c <answer)" -gt 344 ] && grep -q 'batches_in=4' err && grep -q 'rows_in=12 rows_out=1' err

# What is no Arrow says where; echo has nothing to say of it, and the worker serves on.
refuses 3 'in data: ProtocolError: DataRequest 1, byte 336: an Arrow message: wanted 8 bytes, the data ended after 4' call grpc+unix:w.sock --payload upper \
    --raw --in requests --batch 340
refuses 3 'in data: ProtocolError: DataRequest 1, byte 0: Arrow: a batch came, expected the schema first' call grpc+unix:w.sock --payload count --raw --in lower
runs 0 call grpc+unix:w.sock --payload echo --raw --in requests --batch 340 --out answer
is 'echo: whatever it is' cmp requests answer
runs 0 call grpc+unix:w.sock --payload upper --in five --out answer
is 'after errors: the same answer' cmp right answer
runs 0 call grpc+unix:w.sock --heartbeat
is 'what was copied is told' grep -qE '^copied [1-9][0-9]*$' out
end_server TERM

totals
