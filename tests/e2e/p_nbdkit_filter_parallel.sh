#!/bin/bash
# P: many connections, each with many writes in flight, some of them slow, share one
# control file for each export, and the reports keep to the rules (check_reports.py). With
# control files that answer late nothing changes.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
start_control_log

load() { # load CONNECTIONS DEPTH COUNT EXPORT...
	local connections=$1 depth=$2 count=$3 pids=() i
	shift 3
	for export; do
		for ((i = 0; i < connections; i++)); do
			"$NBD_LOAD" "$(uri "$export")" $((i << 20)) 1048576 4096 "$depth" "$count" >>"$T/load.txt" &
			pids+=($!)
		done
	done
	for i in "${pids[@]}"; do wait "$i" || fail "a write failed"; done
}

# As many writes at once as there can be: 16 connections of 16 threads.
start_filtered memory 32M imagefs="$REPORTED/one"
client <<<"import os
while not os.path.exists('$T/enough'): time.sleep(0.01)" & # so that it stays open
wait_until 10 grep -q open "$LOG"
load 16 16 400 ""
: >"$T/enough"
closed one
is "opened once" "$(reports one | grep -c open)" 1
is "every write" "$(reports one | grep -c ^write)" 6400
checked

kill "$SERVER" && wait_until 10 gone "$SERVER"
: >"$LOG"
start_filtered --filter=delay memory 32M imagefs-dir="$REPORTED" wdelay=5ms
load 4 8 50 one two
closed one
closed two
for export in one two; do is "every write of $export" "$(reports $export | grep -c ^write)" 200; done
checked

# Reports are answered after 5 ms.
wait_until 10 umount "$REPORTED"
kill "$SERVER" && wait_until 10 gone "$SERVER"
: >"$LOG"
start_control_log 5
start_filtered memory 32M imagefs="$REPORTED/one"
load 2 16 100 ""
closed one
is "every write, late" "$(reports one | grep -c ^write)" 200
checked

# Each of those that meet waits for the answer to its own report before it is executed.
kill "$SERVER" && wait_until 10 gone "$SERVER"
: >"$LOG"
cat >"$T/plugin" <<'PLUGIN'
echo "plugin begin $4 $3" >>"$LOG"
cat >/dev/null
echo "plugin end $4 $3" >>"$LOG"
PLUGIN
export LOG
start_filtered eval thread_model='echo parallel' get_size='echo 33554432' can_write='exit 0' \
	pread='exit 1' pwrite=". $T/plugin" imagefs="$REPORTED/one"
load 2 8 60 ""
closed one
checked
