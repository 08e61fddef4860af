#!/bin/bash
# P: the control file may appear, fail and come back at any time, under any load: no
# write ever fails or waits for it, and each time what is said first names what is in
# flight then.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
cat >"$T/plugin" <<'PLUGIN'
echo "plugin begin $4 $3" >>"$LOG"
cat >/dev/null
sleep 3
echo "plugin end $4 $3" >>"$LOG"
PLUGIN
export LOG

# It appears while a write is being executed: that one is reported late, but reported.
start_filtered eval thread_model='echo parallel' get_size='echo 1048576' can_write='exit 0' pread='head -c $3 /dev/zero' \
	pwrite=". $T/plugin" imagefs="$REPORTED/board"
client <<<'nbd.pwrite(bytes(512), 1024)' &
slow=$!
wait_until 10 grep -q 'plugin begin' "$LOG"
start_control_log
client <<<'nbd.pwrite(bytes(512), 4096)' # who connects finds it
wait "$slow"
closed board
is "reported late" "$(reports board | head -n 4)" "$(printf '%s\n' open flush 'done' 'write 1024 512 1')"
is "its end" "$(reports board | grep -c '^done 1$')" 1
"$PYTHON" "$TOOLS/check_reports.py" "$LOG" --silence-is-fine || fail "the log"
wait_until 10 umount "$REPORTED"

# It is lost while a write is being executed, and comes back when that has ended.
: >"$LOG"
start_control_log
client <<<"import os
nbd.pwrite(bytes(512), 2048)
while not os.path.exists('$T/enough'): time.sleep(0.01)
nbd.pwrite(bytes(512), 8192)" & # the file is back: the next change finds it
client=$!
wait_until 10 grep -q 'plugin begin' "$LOG"
kill -KILL "$(control_log_pid)"
client <<<'nbd.pwrite(bytes(512), 4096)' # whose report finds out
is "both are over" "$(grep -c 'plugin end' "$LOG")" 2
umount -l "$REPORTED"
mv "$LOG" "$T/reports-lost.txt"
start_control_log
: >"$T/enough"
wait "$client"
closed board
is "what is over is not spoken of" "$(reports board)" \
	"$(printf '%s\n' open flush 'done' 'write 8192 512 3' 'done 3' close)"
wait_until 10 umount "$REPORTED"
kill "$SERVER" && wait_until 10 gone "$SERVER"

# Its server is killed under load, and comes back, again and again.
: >"$T/nbdkit.log"
: >"$LOG"
start_filtered memory 64M imagefs="$REPORTED/board"
: >"$T/go"
(while [ -e "$T/go" ]; do
	"$NBD_LOAD" "$(uri)" 0 67108864 4096 8 2000 >>"$T/load.txt" || { : >"$T/failed"; break; }
done) &
loads=$!
is_dead() { ! ls "$REPORTED"; }
has_done() { [ "$(wc -l <"$T/load.txt")" -ge "$1" ]; }
kills=${KILLS:-6}
for ((i = 0; i < kills; i++)); do
	start_control_log
	wait_until 10 grep -q ' write ' "$LOG"
	kill -KILL "$(control_log_pid)"
	wait_until 10 is_dead
	wait_until 10 has_done $(($(wc -l <"$T/load.txt") + 2))
	umount -l "$REPORTED"
	# What is in the log now was said to one that is dead.
	mv "$LOG" "$T/reports-$i.txt"
	"$PYTHON" "$TOOLS/check_reports.py" "$T/reports-$i.txt" >"$T/checked" || fail "$(cat "$T/checked"), in $T/reports-$i.txt"
done
rm "$T/go"
wait "$loads"
[ ! -e "$T/failed" ] || fail "a write failed"
# Not of one that was killed before it answered the first word.
said=$(grep -c 'writes are not reported' "$T/nbdkit.log")
[ "$said" -ge 1 ] && [ "$said" -le "$kills" ] || fail "$kills losses are in the log $said times"

# An imagefs that hangs holds writes up; killed, it lets them go.
start_control_log
client <<<'time.sleep(1.5); nbd.pwrite(bytes(512), 0)'
wait_until 10 grep -q ' write ' "$LOG"
kill -STOP "$(control_log_pid)"
client <<<'nbd.pwrite(bytes(512), 0)' &
held=$!
is_held_up() { grep -qs request_wait_answer /proc/"$SERVER"/task/*/wchan; } # in write(2) to a file on FUSE
wait_until 10 is_held_up
kill -KILL "$(control_log_pid)"
wait "$held"
