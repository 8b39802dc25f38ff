#!/bin/sh
# What build-aux/lint.sh says of the source.
cd "$TRIB_SRC" && exec build-aux/lint.sh
