#!/bin/bash
# S5: with fewer descriptors than images each image is read all the same, an open file stays
# whole, and images that were looked at are closed for others. Deleted ones are closed within
# seconds, whatever the kernel remembers of them.
. "$(dirname "$0")/../lib.sh"
truncate -s 4M "$T/proto"
mkfs.fat -F 12 "$T/proto" >/dev/null
put text "$T/proto@@0" /config.txt
head -c 200000 /dev/urandom >"$T/kernel"
put "@$T/kernel" "$T/proto@@0" /kernel8.img
for i in $(seq 150); do cp --sparse=always "$T/proto" "$SRC/i$i.img"; done
bash -c 'ulimit -Sn 64; ulimit -Hn 64; exec "$@"' - "$IMAGEFS" "$SRC" "$MNT" 2>"$T/imagefs.log"
exec 7<"$MNT/i1/kernel8.img"
for round in 1 2; do
	for i in $(seq 150); do is "image $i" "$(cat "$MNT/i$i/config.txt")" text; done
done
is "listed" "$(ls "$MNT" | wc -l)" 150
cmp - "$T/kernel" <&7
exec 7<&-

pid=$(daemon_pid)
held() { find "/proc/$pid/fd" -lname '*(deleted)' | wc -l; }
none_held() { [ "$(held)" = 0 ]; }
ls "$MNT/i150" "$MNT/i149" >/dev/null
exec 7<"$MNT/i148/kernel8.img" # open: kept until it is closed
rm "$SRC"/i{148,149,150}.img
wait_until 10 eval '[ "$(held)" -le 2 ]' # of one image: two descriptors at most
cmp - "$T/kernel" <&7
exec 7<&-
wait_until 10 none_held
