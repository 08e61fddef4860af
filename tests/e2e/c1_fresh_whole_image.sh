#!/bin/bash
# C1: stock NBD clients that write a whole image (nbdcopy) or parts (qemu-io, nbdsh)
# through a stock server: the next open is new.
. "$(dirname "$0")/../lib.sh"
requires nbdkit nbdcopy qemu-io
board "$SRC/a.img" one
board "$T/two.img" 'the second'
start_nbdkit "$SRC/a.img"
mount_imagefs
is "at first" "$(cat "$MNT/a/config.txt")" one
nbdcopy "$T/two.img" "$URI"
is "after nbdcopy" "$(cat "$MNT/a/config.txt")" 'the second'
# config.txt's only cluster: written in place through qemu-io.
cluster=$(edit "$SRC/a.img" chain /config.txt)
at=$(grep -abo 'the second' "$SRC/a.img" | cut -d: -f1)
[ -n "$cluster" ] && [ -n "$at" ]
qemu-io -f raw -c "write -P 0x41 $((at / 512 * 512)) 512" "$URI" >/dev/null
is "after qemu-io" "$(cat "$MNT/a/config.txt")" AAAAAAAAAA
