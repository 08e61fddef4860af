#!/bin/bash
# C6: a large file of an image that was written a moment ago, before anybody looked at it, is read from its begin to its
# end at once, also where its bytes may still change without a word: by cat, and through a server of two images.
# usage: c6_large_at_once.sh [tmpfs]
. "$(dirname "$0")/../lib.sh"
requires root netns curl
[ "${1:-}" != tmpfs ] || mount -t tmpfs tmpfs "$SRC"
make_image "$SRC/large.img" 260 32 -s 8
head -c 240M /dev/zero | tr '\0' x | tee >(sha256sum >"$T/want") | mcopy -Q -i "$SRC/large.img@@1M" - ::large
board "$SRC/other.img"

# touched: nothing tells whether there is more to come.
touched() { printf x | dd of="$SRC/large.img" bs=1 seek=400 conv=notrunc status=none; }

touched
mount_imagefs
cat "$MNT/large/large" | sha256sum >"$T/got" || fail "cat: $(tail -n 2 "$T/imagefs.log")"
is "what cat reads" "$(cat "$T/got")" "$(cat "$T/want")"
unmount_imagefs

touched
mount_imagefs
start_dnsmasq "$MNT"
curl -s -S --tftp-blksize 65464 -o /dev/null tftp://127.0.0.1/other/config.txt
curl -s -S --tftp-blksize 65464 tftp://127.0.0.1/large/large | sha256sum >"$T/got" ||
	fail "dnsmasq: $(tail -n 2 "$T/imagefs.log" "$T/dnsmasq.log")"
is "what dnsmasq sends" "$(cat "$T/got")" "$(cat "$T/want")"
