#!/bin/bash
# R, S5: two hundred images behind a block server are links: none costs a connection before something in it is asked for, one
# that is asked for has one connection, whoever asks, and a few seconds after the last question there is none; there are never
# more than there may be.
. "$(dirname "$0")/../lib.sh"
requires root netns nbdkit
mkdir "$T/store"
board "$T/one" board
for ((i = 0; i < 200; i++)); do
	cp "$T/one" "$T/store/$i"
	ln -s "nbd+unix:///$i?socket=$T/sock" "$SRC/board$i.img"
done
nbdkit -U "$T/sock" -P "$T/nbdkit.pid" file dir="$T/store" 2>"$T/nbdkit.log"
wait_until 10 test -s "$T/nbdkit.pid"
PIDS+=("$(cat "$T/nbdkit.pid")")
# One end of each is the server's.
connections() { ss -xH state connected src "$T/sock" | wc -l; }
at_most() { [ "$(connections)" -le "$1" ]; }
mount_imagefs
is "boards" "$(find "$MNT" -mindepth 1 -maxdepth 1 | wc -l)" 200
find "$MNT" -maxdepth 1 -ls >/dev/null
is "connections of a listing" "$(connections)" 0
for i in 3 77 199; do wait_until 10 grep -qx board "$MNT/board$i/config.txt"; done
at_most 3 || fail "$(connections) connections for three boards"
for _ in {1..50}; do cat "$MNT/board3/config.txt" || true; done >/dev/null 2>&1
at_most 4 || fail "$(connections) connections" # an old one may be about to end
wait_until 60 at_most 0 # what was answered too late is kept, and looked after, for half a minute

# All of them, and no descriptors for as many: they share those that there may be.
unmount_imagefs
(ulimit -n 200 && exec "$IMAGEFS" "$SRC" "$MNT") 2>>"$T/imagefs.log" || fail "it is not mounted"
for ((i = 0; i < 200; i += 4)); do
	"$PYTHON" -c 'import sys, time
for name in sys.argv[1:]:
	for _ in range(200):
		try:
			print(open(name).read(), flush=True)
			break
		except OSError:
			time.sleep(0.05)' "$MNT/board"{$i,$((i + 1)),$((i + 2)),$((i + 3))}/config.txt >>"$T/read" &
	readers+=($!)
done
while [ "$(wc -l <"$T/read")" -lt 200 ] && kill -0 "${readers[@]}" 2>/dev/null; do
	now=$(connections)
	[ "$now" -le 52 ] || fail "$now connections at a time, with 200 descriptors" # 26, and as many that end
done
wait "${readers[@]}"
is "boards read" "$(wc -l <"$T/read")" 200
wait_until 60 at_most 0 # what was answered too late is kept, and looked after, for half a minute
pid=$(daemon_pid)
few_threads() { [ "$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)" -lt 60 ]; }
wait_until 20 few_threads
