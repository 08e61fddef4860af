#!/bin/bash
# S5, C8: an image that no name leads to any more is closed within seconds, whoever remembers it: deleted,
# replaced, moved away, behind a link that was removed; its blocks are free. What is open in it is readable
# until it is closed. Nobody has to ask.
. "$(dirname "$0")/../lib.sh"
CHANGES=${CHANGES-events}
requires root netns loop
mkdir "$T/disk"
mount -t tmpfs -o mode=755 disk "$T/disk"
SRC=$T/disk/src
mkdir "$SRC"
board "$T/proto" text
head -c 300000 /dev/urandom >"$T/kernel"
put "@$T/kernel" "$T/proto" /kernel8.img
for i in $(seq 300); do cp --sparse=always "$T/proto" "$SRC/i$i.img"; done
cp "$T/proto" "$T/device"
loop_device device "$T/device"
ln -s "$device" "$SRC/linked.img"
cp "$T/proto" "$SRC/moved.img"
cp "$T/proto" "$SRC/away.img"
cp "$T/proto" "$SRC/named.img"
used_kib() { df --output=used -k "$T/disk" | tail -n1; }
mount_imagefs "$SRC" "$MNT"
for name in $(ls "$MNT"); do is "$name" "$(cat "$MNT/$name/config.txt")" text; done
ls -l "$CONTROL" >/dev/null # the kernel remembers control files, too
(cd "$MNT/i3" && exec sleep 1000) & # somebody stands in one,
PIDS+=($!)
exec 8>"$CONTROL/i1" # a server that reports,
echo 'write 0x100000 4096 7' >&8
echo 'done 7' >&8
exec 7<"$MNT/i2/kernel8.img" # and two readers
exec 9<"$MNT/moved/kernel8.img"
pid=$(daemon_pid)
held() { find "/proc/$pid/fd" -lname "$1" | wc -l; }
is_held() { [ "$(held "$1")" = "$2" ]; }
[ "$(held "$SRC/*.img")" -ge 302 ] || fail "only $(held "$SRC/*.img") are open"

rm "$SRC"/i{1..250}.img
for i in $(seq 251 300); do cp "$T/proto" "$T/disk/new" && mv "$T/disk/new" "$SRC/i$i.img"; done
mv "$SRC/moved.img" "$T/disk/moved"
mv "$SRC/away.img" "$T/disk/away"
mv "$SRC/named.img" "$SRC/other.img"
rm "$SRC/linked.img"
# Of the readers' images two at most, each.
closed() { [ "$(held '*(deleted)')" -le 2 ] && [ "$(held "$T/disk/moved")" -le 2 ] && is_held "$T/disk/away" 0 && is_held "$device" 0; }
wait_until 15 closed
losetup -d "$device"
LOOPS=()
cmp - "$T/kernel" <&7
cmp - "$T/kernel" <&9
exec 7<&- 9<&-
wait_until 10 is_held '*(deleted)' 0
wait_until 10 is_held "$T/disk/moved" 0
exec 8>&-
# Nothing is in use but what has a name.
[ "$(used_kib)" -le $(($(du -sk "$T/disk" | cut -f1) + 1024)) ] ||
	fail "$(used_kib) KiB are in use, $(du -sk "$T/disk") have a name"
is "renamed" "$(cat "$MNT/other/config.txt")" text
for i in 251 300; do is "$i" "$(cat "$MNT/i$i/config.txt")" text; done

# A report for what is there again is taken in again.
cp "$T/proto" "$SRC/back.img"
is "back" "$(cat "$MNT/back/config.txt")" text
exec 8>"$CONTROL/back"
printf 'write 0 512\ndone\n' >&8
has_reports() { grep -q '^reporter: text' "$CONTROL/back"; }
has_reports || fail "$(cat "$CONTROL/back")"
mv "$SRC/back.img" "$T/disk/back.img"
wait_until 10 is_held "$T/disk/back.img" 0
mv "$T/disk/back.img" "$SRC/back.img"
again() { echo 'done' >&8; cat "$MNT/back/config.txt" >/dev/null; has_reports; }
wait_until 10 again
exec 8>&-
