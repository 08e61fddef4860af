#!/bin/bash
# C6: a user's mount, which has little readahead, reads the bytes of another user's image once, though the kernel does not
# say to him what the page cache has of it: what imagefs asked the filesystem to read ahead is not read from the disk by
# itself as well. A count of bytes, and no time.
. "$(dirname "$0")/../lib.sh"
requires root
a_user
[[ " ext2/ext3 xfs btrfs " == *" $(stat -f -c %T "$SRC") "* ]] || skip "on $(stat -f -c %T "$SRC") nothing is read ahead"
image=$SRC/image.img
make_image "$image" 64 16
dd if=/dev/urandom of="$T/large" bs=1M count=24 status=none
put @"$T/large" "$image" /large.bin
put text "$image" /config.txt
chmod 644 "$image" "$T/large"
chmod 755 "$T" "$SRC"
chown 65534:65534 "$MNT"
sync "$image"
# Not before its ctime is older than it may be ahead of its data: until then all is read through the page cache.
wait_until 10 eval '[ $(($(date +%s) - $(stat -c %Z "$image"))) -ge 4 ]'
dd if="$image" iflag=nocache count=0 status=none # out of the page cache
me "$IMAGEFS" -o control=none "$SRC" "$MNT" 2>"$T/imagefs.log" || fail "exit $?: $(cat "$T/imagefs.log")"
pid=$(daemon_pid)
bytes() { awk '$1 == "read_bytes:" { print $2 }' "/proc/$pid/io"; }
me cat "$MNT/image/config.txt" >"$T/config"
before=$(bytes)
me cmp "$MNT/image/large.bin" "$T/large" || fail "other bytes"
count=$(($(bytes) - before))
echo "$count bytes read of $((24 << 20))"
[ $count -ge $((20 << 20)) ] || fail "the page cache had it: nothing was tried"
[ $count -le $((30 << 20)) ] || fail "$count bytes were read for $((24 << 20))"
me fusermount3 -u "$MNT"
