#!/bin/bash
# Not a test: the states that the coherence tests move images through, made once.
# usage: STATES=directory coherence_states_fixture.sh
. "$(dirname "$0")/../lib.sh"
requires mcopy mkfs.fat sfdisk
mkdir -p "$STATES"
"$PYTHON" "$TOOLS/mkstates.py" "$STATES"
