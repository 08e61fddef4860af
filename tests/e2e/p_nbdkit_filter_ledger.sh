#!/bin/bash
# P: where imagefs serves its ledger the nbdkit filter posts there: all writes and their
# ends, which wait for nobody as long as nothing is watched; what no other follows is told
# in a moment all the same. A server that takes nothing is given up, and no write fails.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
export LEDGER=none
start_control_log

# Many more than the ledger holds, through more connections than one.
start_filtered memory 32M imagefs="$REPORTED/board"
for ((i = 0; i < 4; i++)); do
	"$NBD_LOAD" "$(uri)" $((i << 20)) 1048576 4096 $((1 + i % 2 * 7)) 1500 >>"$T/load.txt" &
	loads+=($!)
done
for pid in "${loads[@]}"; do wait "$pid" || fail "a write failed"; done
closed board
is "every write" "$(reports board | grep -c ^write)" 6000
is "every end" "$(reports board | grep -c '^done .')" 6000
checked --posted
texts=$(awk '/ (write|done) / { n++ } END { print n }' "$LOG")
[ "$texts" -le 600 ] || fail "6000 writes in $texts texts: they wait"

# The last one's end is told while its client is still connected.
: >"$LOG"
client <<PYTHON
nbd.pwrite(bytes(512), 0)
deadline = time.monotonic() + 10
while not any(line.rstrip().endswith("done 1") for line in open("$LOG")):
    assert time.monotonic() < deadline
    time.sleep(0.001)
PYTHON
closed board
wait_until 10 umount "$REPORTED"
kill "$SERVER" && wait_until 10 gone "$SERVER"

# Full again before the answer comes, since what is taken is taken at once: nothing is lost.
: >"$LOG"
: >"$T/nbdkit.log"
loads=()
start_control_log 20
start_filtered memory 32M imagefs="$REPORTED/board"
for ((i = 0; i < 4; i++)); do
	"$NBD_LOAD" "$(uri)" $((i << 20)) 1048576 4096 8 3000 >>"$T/load.txt" &
	loads+=($!)
done
for pid in "${loads[@]}"; do wait "$pid" || fail "a write failed"; done
closed board
is "every write" "$(reports board | grep -c ^write)" 12000
! grep 'not reported' "$T/nbdkit.log" || fail "what takes all is given up"
wait_until 10 umount "$REPORTED"
kill "$SERVER" && wait_until 10 gone "$SERVER"

# Nothing is taken, although it is served: the ledger is full soon, and then there is none.
: >"$LOG"
: >"$T/nbdkit.log"
LEDGER=deaf start_control_log
start_filtered memory 32M imagefs="$REPORTED/board"
"$NBD_LOAD" "$(uri)" 0 1048576 4096 8 3000 >>"$T/load.txt" || fail "a write failed"
grep -q 'writes are not reported' "$T/nbdkit.log" || fail "nothing is in the log: $(cat "$T/nbdkit.log")"
