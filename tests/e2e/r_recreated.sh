#!/bin/bash
# R, C8: a server that serves another file, or another size, under an export's old name, and goes on serving the old one over
# connections that were made before: imagefs, which has such a connection and uses it all the time, shows the new one within two
# seconds. The link rewritten to another export shows at the next lookup.
# usage: r_recreated.sh
. "$(dirname "$0")/../lib.sh"
requires nbd-server
board "$T/board.img" old
start_nbd_server "$T/board.img"
ln -s "$URI" "$SRC/board.img"
mount_imagefs
wait_until 10 grep -qx old "$MNT/board/config.txt"
"$PYTHON" - "$URI" "$MNT/board/config.txt" "$T/board.img" "$T" <<'PY'
import os, subprocess, sys, time, nbd
uri, path, image, directory = sys.argv[1:]
with open(image, "rb") as file:
    new = bytearray(file.read())
at = new.index(b"old", 1 << 20)
for number in range(3):
    text = b"n%02d" % number
    new[at:at + 3] = text
    with open(directory + "/next", "wb") as file:
        file.write(new + bytes(number << 20))
    for _ in range(3):  # its connection is a young one
        open(path).read()
    os.rename(directory + "/next", image)
    renamed, seen = time.monotonic(), None
    while seen != text.decode():
        try:
            before = time.monotonic()
            seen = open(path).read()
        except OSError:
            pass
        # A look that began later than two seconds after must see it; one that began before may.
        if before - renamed > 2.0 and seen not in (None, text.decode()):
            sys.exit("%.1f s after it: still %s" % (before - renamed, seen))
        if before - renamed > 20:
            sys.exit("nothing but errors")
    print("seen after %.1f s" % (time.monotonic() - renamed))
PY
