#!/bin/bash
# S5, C3: what a sweep over SOURCE's names believes. An image behind the link of its own name
# (`jammy -> jammy:1`) stays open, and its files keep their numbers, whatever changes in SOURCE. A link whose
# storage hangs keeps no other image open; and writers of local images do not wait for it.
. "$(dirname "$0")/../lib.sh"
requires root
type qemu-storage-daemon >/dev/null 2>&1 || skip "needs qemu-storage-daemon"
make_image "$SRC/jammy.img" 2 12
put own "$SRC/jammy.img" /config.txt
make_image "$SRC/good.img" 2 12
put good "$SRC/good.img" /config.txt
make_image "$SRC/local.img" 2 12
put local "$SRC/local.img" /config.txt
ln -s jammy:1 "$SRC/jammy"
make_image "$T/hung.img" 2 12
: >"$T/export"
qemu-storage-daemon --blockdev "driver=file,filename=$T/hung.img,node-name=disk" \
	--export "type=fuse,id=fuse,node-name=disk,mountpoint=$T/export,writable=off" &
server=$!
PIDS+=("$server")
wait_until 10 test -s "$T/export"
mount_imagefs
pid=$(daemon_pid)
number() { stat -c %i "$MNT/jammy/config.txt"; }
is "behind its link" "$(cat "$MNT/jammy/config.txt")" own
first=$(number)
held() { find "/proc/$pid/fd" -lname "$1" | wc -l; }
is_held() { [ "$(held "$1")" = "$2" ]; }
# It has been there, and has met all, when what was deleted before is closed.
a_sweep() {
	cp "$SRC/local.img" "$SRC/gone.img"
	is "that will go" "$(cat "$MNT/gone/config.txt")" local
	rm "$SRC/gone.img"
	wait_until 15 is_held '*(deleted)' 0
}
for ((i = 0; i < 2; i++)); do
	a_sweep
	is "number after change $i" "$(number)" "$first"
done

ln -s "$T/export" "$SRC/hung.img"
is "good" "$(cat "$MNT/good/config.txt")" good
kill -STOP "$server"
# Somebody asks for it, the sweep meets it, and writers go on.
timeout 10 cat "$MNT/hung/config.txt" >/dev/null 2>&1 &
reader=$!
for ((i = 0; i < 3; i++)); do
	: >"$SRC/note$i"
	timeout 10 dd if=/dev/zero of="$SRC/local.img" bs=512 count=1 seek=1 conv=notrunc status=none || fail "a writer waits"
done
a_sweep
rm "$SRC/good.img"
wait_until 15 is_held '*(deleted)' 0
kill -CONT "$server"
wait "$reader" || true
