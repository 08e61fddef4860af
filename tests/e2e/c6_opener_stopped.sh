#!/bin/bash
# C6, S2: SOURCE that only the process that opens images may look into. While that is stopped, whoever asks for a name gets EIO
# in time, however many ask, since nobody waits for it on libfuse's threads; and who reads what is open waits for nothing.
. "$(dirname "$0")/../lib.sh"
requires root netns
for name in open link{00..39}; do board "$SRC/$name.img" "$name"; done
ln -s open.img "$SRC/board"
head -c 3000000 /dev/urandom >"$T/kernel"
put "@$T/kernel" "$SRC/open.img" /kernel8.img
chown 65534 "$SRC" # the daemon has no capability, whoever it runs as
chmod 700 "$SRC"
mount_imagefs
is "read" "$(cat "$MNT/open/config.txt" "$MNT/board/config.txt")" openopen
opener=$(pgrep -P "$(daemon_pid)" -f imagefs-opener)
exec 7<"$MNT/open/kernel8.img"
head -c 1000 <&7 >"$T/first"
kill -STOP "$opener"
status=0
timeout -k 5 40 "$PYTHON" - "$MNT" "$T/read" <<'PY' || status=$?
import errno, os, sys, threading, time
mnt, failed = sys.argv[1], []

def ask(name):
    begun = time.monotonic()
    try:
        os.stat(os.path.join(mnt, name))
        failed.append("%s: there" % name)
    except OSError as error:
        if error.errno != errno.EIO:
            failed.append("%s: %s" % (name, error))
    print("%s: %.0f ms" % (name, (time.monotonic() - begun) * 1e3))

asking = [threading.Thread(target=ask, args=(name,)) for name in ["absent"] + ["link%02d/config.txt" % i for i in range(40)]]
for thread in asking: thread.start()
with open(sys.argv[2], "wb") as out: # meanwhile
    while part := os.read(7, 65536):
        out.write(part)
for thread in asking: thread.join()
if failed:
    sys.exit("\n".join(failed))
PY
kill -CONT "$opener"
is "names and a file" $status 0
cat "$T/first" "$T/read" | cmp - "$T/kernel"
exec 7<&-
is "afterwards" "$(cat "$MNT/link07/config.txt" "$MNT/board/config.txt")" link07open
