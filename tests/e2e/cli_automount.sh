#!/bin/bash
# Mounted by an automounter (x-systemd.automount) when somebody walks to MOUNTPOINT: until it is mounted
# only the automounter's own process group may walk there.
. "$(dirname "$0")/../lib.sh"
requires root
board "$SRC/board.img" mounted
"$PYTHON" - "$IMAGEFS" "$SRC" "$MNT" <<'PY' || { [ $? = 77 ] && skip "no autofs here"; fail "not mounted"; }
import ctypes, fcntl, os, select, struct, subprocess, sys
imagefs, src, mnt = sys.argv[1:]
READY, FAIL, TOKEN_AT = 0x9360, 0x9361, 8  # linux/auto_fs.h
os.setpgid(0, 0)
ours, kernels = os.pipe()
options = "fd=%d,pgrp=%d,minproto=5,maxproto=5,direct" % (kernels, os.getpgrp())
if ctypes.CDLL(None).mount(b"test", mnt.encode(), b"autofs", 0, options.encode()) != 0:
    sys.exit(77)
os.close(kernels)
trigger = os.open(mnt, os.O_RDONLY | os.O_DIRECTORY)
visitor = subprocess.Popen(["cat", mnt + "/board/config.txt"], stdout=subprocess.PIPE, start_new_session=True)
assert select.select([ours], [], [], 20)[0], "nobody was sent"
token = struct.unpack_from("I", os.read(ours, 304), TOKEN_AT)[0]
mounter = subprocess.Popen([imagefs, src, mnt])
try:
    status = mounter.wait(timeout=20)
except subprocess.TimeoutExpired:
    status = "waits for the automount that waits for it"
fcntl.ioctl(trigger, READY if status == 0 else FAIL, token)
assert status == 0, status
assert visitor.communicate(timeout=20)[0] == b"mounted", "the visitor saw something else"
PY
