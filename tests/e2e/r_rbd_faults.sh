#!/bin/bash
# R, C6: a cluster that hangs, or is gone, is EIO in time for who reads an RBD image, also for an imagefs over it, and well
# again by itself; imagefs-rbd has no part in it that stays.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../ceph.sh"
board "$T/board.img" far
start_ceph
rbd import --no-progress "$T/board.img" rbd/board
rbd snap create --no-progress rbd/board@s
rbd snap protect rbd/board@s
rbd clone rbd/board@s rbd/clone
start_imagefs_rbd rbd timeout=2
for name in board clone; do ln -s "$(rbd_uri $name)" "$SRC/$name.img"; done
mount_imagefs
reads() { [ "$(cat "$MNT/board/config.txt" 2>/dev/null)" = far ] && [ "$(cat "$MNT/clone/config.txt" 2>/dev/null)" = far ]; }
# ends_in_time: each read, of whatever, ends with an error within a few of the time limits.
ends_in_time() {
	timeout 30 "$PYTHON" - "$SOCKET" <<-'PYTHON'
		import sys, nbd
		def ends(what, *arguments):
		    try: what(*arguments)
		    except nbd.Error as error: return
		    raise SystemExit("no error")
		def uri(name): return "nbd+unix:///%s?socket=%s" % (name, sys.argv[1])
		client = nbd.NBD()
		ends(client.connect_uri, uri("board"))
		ends(nbd.NBD().connect_uri, uri("clone@writes"))
	PYTHON
	refuses EIO cat "$MNT/board/config.txt"
	refuses EIO cat "$MNT/clone/config.txt"
}
wait_until 20 reads

echo a hung OSD
kill -STOP "$CEPH_OSD"
ends_in_time
kill -CONT "$CEPH_OSD"
wait_until 20 reads

echo a hung OSD, in the midst of reads
"$PYTHON" - "$SOCKET" "$CEPH_OSD" <<'PYTHON'
import os, signal, sys, time, nbd
clients = []
for name in "board", "clone", "board@writes", "clone@writes":
    clients.append(nbd.NBD())
    clients[-1].connect_uri("nbd+unix:///%s?socket=%s" % (name, sys.argv[1]))
os.kill(int(sys.argv[2]), signal.SIGSTOP)
for client in clients + clients[:2]:
    try: client.pread(65536, 0)
    except nbd.Error as error: assert error.errnum == 5, error
    else: raise SystemExit("no error")
os.kill(int(sys.argv[2]), signal.SIGCONT)
patience = time.monotonic() + 40
for client in clients:
    while True:
        try: client.pread(65536, 0)
        except nbd.Error as error: assert time.monotonic() < patience and error.errnum == 5, error
        else: break
PYTHON
wait_until 20 reads

echo an OSD that is gone, and comes back
stop_osd
ends_in_time
start_osd
wait_until 20 reads

echo a monitor that hangs: what is known of the cluster is enough
kill -STOP "$CEPH_MON"
reads
kill -CONT "$CEPH_MON"

echo a killed OSD
kill -KILL "$CEPH_OSD"
wait_until 10 gone "$CEPH_OSD"
ends_in_time

echo a cluster that cannot be reached at the start: a line, and no server
stop_imagefs_rbd
kill -KILL "$CEPH_MON"
text=$(timeout 30 nbdkit -U "$T/other.sock" "$RBD_PLUGIN" rbd timeout=2 2>&1) && fail "it runs"
[[ $text == *"pool rbd: the cluster cannot be reached: "* ]] || fail "it says: $text"
