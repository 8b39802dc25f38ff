"""Reads a second that PySpark's ZeroCopyByteStream reaches: the same chunks and reads as bench/chunks.c, in one thread."""

import sys
import time

from pyspark.messages.zero_copy_byte_stream import ZeroCopyByteStream

CHUNK, READ, FED_AT_ONCE, TIMES = 64 << 10, 1 << 10, 64, 40


def main() -> None:
    chunk = memoryview(bytes(CHUNK))
    stream = ZeroCopyByteStream()
    reads = FED_AT_ONCE * (CHUNK // READ)
    start = time.perf_counter()
    for _ in range(TIMES):
        for _ in range(FED_AT_ONCE):
            stream.add_next_chunk(chunk)
        for _ in range(reads):
            stream.read(READ)
    print(TIMES * reads / (time.perf_counter() - start), file=sys.stdout)


main()
