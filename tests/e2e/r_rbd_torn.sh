#!/bin/bash
# R, C1, C2: a reader that follows the rules of imagefs-writes(7) accepts nothing torn and nothing stale of an RBD image,
# whose writers come past the server of the page: as clients of qemu-nbd, of which no write is told beforehand. No write
# is over the border of two objects (of 4 MiB): to Ceph these are two.
# usage: r_rbd_torn.sh WRITERS ACCEPTED MIB-FROM-ONE-TO-THE-NEXT
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../ceph.sh"
requires qemu-nbd
[ -x "${WRITES_CHECK:=$TOP/build/tests/tools/writes_check}" ] || skip "needs $WRITES_CHECK (libnbd-dev)"
start_ceph
rbd create --size 128M rbd/pi7
start_qemu_nbd rbd:rbd/pi7 --shared=0 --discard=unmap # with the cache that qemu-nbd has by default
writers=$URI
start_imagefs_rbd rbd
text=$("$WRITES_CHECK" "$(rbd_uri pi7)" "$(rbd_uri pi7@writes)" "$1" 2 "$2" 0 "$writers" "$3") || fail "${text:-it does not run}"
echo "$NAME: $text"
