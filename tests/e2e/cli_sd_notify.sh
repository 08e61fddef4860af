#!/bin/bash
# sd_notify: READY=1 when the mount answers and not before, STOPPING=1 at the end, to
# a datagram socket, by path and in the abstract namespace.
. "$(dirname "$0")/../lib.sh"
requires fuse
board "$SRC/a.img" text
for kind in path abstract; do
	"$PYTHON" - "$IMAGEFS" "$SRC" "$MNT" "$T/notify" $kind <<'PY'
import os, signal, socket, subprocess, sys
program, source, point, path, kind = sys.argv[1:]
name, address = (path, path) if kind == "path" else ("@" + path, "\0" + path)
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind(address)
sock.settimeout(10)
daemon = subprocess.Popen([program, "-f", source, point], env=dict(os.environ, NOTIFY_SOCKET=name))
def until(word):
    seen = []
    while True:
        message = sock.recv(4096).decode()
        seen.append(message)
        if word in message.splitlines():
            return
until("READY=1")
assert open(point + "/a/config.txt").read() == "text"
daemon.send_signal(signal.SIGTERM)
until("STOPPING=1")
assert daemon.wait(10) == 0, daemon.returncode
PY
done
# A socket that is not there is no reason to fail.
NOTIFY_SOCKET=$T/nobody-listens "$IMAGEFS" "$SRC" "$MNT"
is "without a listener" "$(cat "$MNT/a/config.txt")" text
