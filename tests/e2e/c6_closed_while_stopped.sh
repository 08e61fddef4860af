#!/bin/bash
# C6, S2: the last file of deleted images is closed, and the kernel forgets it, while the process that opens images is stopped.
# An image is closed with it, for which that process is asked: nobody else waits for that, neither who closes the file nor who
# reads another image. When it goes on, all of them are closed.
. "$(dirname "$0")/../lib.sh"
requires root netns
for number in {10..29}; do board "$SRC/gone$number.img"; done
for name in last good; do board "$SRC/$name.img"; done
CHANGES=kernel
"$IMAGEFS" -o changes=kernel "$SRC" "$MNT" 2>"$T/imagefs.log" || skip "$(tail -n 1 "$T/imagefs.log")"
pid=$(daemon_pid)
opener=$(pgrep -P "$pid" -f imagefs-opener)
held() { find "/proc/$pid/fd" -lname "$1" | wc -l; }
is_held() { [ "$(held "$1")" = "$2" ]; }
fds=()
for number in {10..29}; do
	exec {fd}<"$MNT/gone$number/config.txt"
	fds+=("$fd")
done
is "good" "$(cat "$MNT/last/config.txt" "$MNT/good/config.txt")" last.imggood.img
rm "$SRC"/gone*.img
# It was found that they are deleted when that is found of one that nobody has open, and was deleted after them.
rm "$SRC/last.img"
wait_until 15 is_held "$SRC/last.img*" 0
kill -STOP "$opener"
for fd in "${fds[@]}"; do exec {fd}<&-; done
# The kernel hears that the names are gone, and forgets the files.
status=0
for number in {10..29}; do
	! timeout 20 stat "$MNT/gone$number/config.txt" >"$T/out" 2>&1 || status=1
	grep -q 'No such file' "$T/out" || { cat "$T/out" && status=1; }
	[ $status = 0 ] || break
done
timeout 20 cat "$MNT/good/config.txt" >"$T/read" || status=$?
timeout 20 stat "$MNT/absent" >/dev/null 2>&1 || [ $? = 1 ] || status=1
kill -CONT "$opener"
is "another image" "$status $(cat "$T/read")" "0 good.img"
wait_until 15 is_held "$SRC/gone*" 0
is "afterwards" "$(cat "$MNT/good/config.txt")" good.img
