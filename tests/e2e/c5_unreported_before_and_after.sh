#!/bin/bash
# C1, C5: a process that reports may have written before it did, and write on when it has
# closed its control file: that is seen, beside another reporter and without one.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../reports.sh"
requires root netns
make_image "$SRC/board.img" 16 16 -s 4
put "$(printf 'text%04d' 0)" "$SRC/board.img" /config.txt
mount_reported
"$PYTHON" - "$MNT/board/config.txt" "$CONTROL/board" "$SRC/board.img" <<'PY'
import os, sys, time
shown, control, image = sys.argv[1:]
start = open(image, "rb").read().index(b"text0000")
number = 0

def read():
    """What is shown, or None while it is refused."""
    try:
        with open(shown, "rb") as file:
            return file.read()
    except OSError:
        return None

def must_be_new():
    want, deadline = b"text%04d" % number, time.monotonic() + 20
    while (got := read()) != want:
        assert got is None, "stale: %s, not %s" % (got, want)
        assert time.monotonic() < deadline, "refused for ever"

def write(fd):
    global number
    number += 1
    os.pwrite(fd, b"text%04d" % number, start)

def in_child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0

def report_something():
    fd = os.open(control, os.O_WRONLY)
    os.write(fd, b"write 0 1 1\ndone 1\n")
    return fd

def before():
    fd = os.open(image, os.O_RDWR)
    write(fd)
    report_something()

def after():
    control_fd, fd = report_something(), os.open(image, os.O_RDWR)
    os.close(control_fd)
    write(fd)
    os.close(fd)

def round(work):
    global number
    must_be_new()
    in_child(work)
    number += 1
    must_be_new()

for other in (None, report_something()):
    for work in (before, after, after, after, after):
        round(work)
PY
