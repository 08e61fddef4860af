#!/bin/bash
# Not a test: what the boards of the netboot tests run, made once (make-board). Without
# tests/lib.sh, whose network namespace would keep the packages out of reach. What cannot be
# had is skipped here, and with it the boards.
# usage: PARTS=directory board_fixture.sh
set -eu
"$(dirname "$0")/make-board" "$PARTS" || { echo "board_fixture: skipped: the board's software cannot be had"; exit 77; }
