#!/bin/bash
# R, C6, S2: images in a Ceph cluster, four heads. Its OSD hangs, is stopped and is killed: on each head its images are EIO, in time
# and with the reason; what that head has locally is served as ever; when the OSD is back so are the images, and the next write is
# seen everywhere.
# usage: r_heads_osd.sh ceph|ceph-qemu
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../heads.sh"
board "$STORE/far.img" first
put @<(head -c 300000 /dev/urandom) "$STORE/far.img" /kernel8.img
start_store "$1"
start_heads_beside
write() { # write TEXT: by a client of the cluster; then it is what every head shows
	want=$1
	put "$want" "$STORE/far.img" /config.txt
	bring far "$STORE/far.img"
	at_heads comes
	at_heads shows
}
want=first
at_heads comes

echo "hung, in the midst of a read"
exec 7<"$(mount_of 1)/far/kernel8.img"
kill -STOP "$CEPH_OSD"
refuses EIO cat /proc/self/fd/7
exec 7<&-
refused_everywhere
kill -CONT "$CEPH_OSD"
at_heads comes
write second

echo stopped
stop_osd
refused_everywhere
start_osd
at_heads comes
at_heads shows

# What it had in memory is gone with it: it comes back as it was stopped. The writer knows of later, so he begins anew.
echo killed
kill -KILL "$CEPH_OSD"
wait "$CEPH_OSD" || true
refused_everywhere
kill "$(cat "$T/writer-far.pid")"
wait_until 10 gone "$(cat "$T/writer-far.pid")"
start_osd
rbd_by_qemu far writer
at_heads comes
write third

[ "$1" = ceph ] || exit 0
echo "one head's imagefs-rbd is stopped, then killed: the others do not notice"
others() { [ "$2" = 2 ] || "$1" "$2"; }
kill -STOP "${RBD_SERVER[2]}"
refused 2
beside 2
at_heads others shows
kill -CONT "${RBD_SERVER[2]}"
comes 2
kill -KILL "${RBD_SERVER[2]}"
refused 2
beside 2
at_heads others shows
rm "$T/rbd2.sock"
start_imagefs_rbd_of 2
comes 2
