#!/bin/bash
# C1, C6: somebody was refused while the image was written; whoever asks for the same file as
# soon as the last write has its reply waits for the rest of the settle time, and sees it.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../reports.sh"
requires root netns
board "$SRC/board.img" "$(head -c 400 /dev/zero | tr '\0' 0)"
ln -s board.img "$SRC/89025d75"
mount_reported
"$PYTHON" - "$MNT/89025d75/config.txt" "$CONTROL/board" "$SRC/board.img" <<'PY'
import errno, os, sys, threading, time
shown, control, image = sys.argv[1:]
report, writer = os.open(control, os.O_WRONLY), os.open(image, os.O_RDWR)
start = open(image, "rb").read().index(b"0" * 400)

def status(name):
    return next(line for line in open(control) if line.startswith(name + ": "))[len(name) + 2:].strip()

def write(byte):
    os.write(report, b"write %d 400 1\n" % start)
    os.pwrite(writer, byte * 400, start)
    os.write(report, b"done 1\n")

def read():
    began = time.monotonic()
    try:
        with open(shown, "rb") as file:
            got = file.read()
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        got = None
    return got, time.monotonic() - began

class Reader(threading.Thread):
    def run(self):
        self.got, self.took = read()

write(b"0")
deadline = time.monotonic() + 20
while status("reports") != "exact":
    assert time.monotonic() < deadline, status("reports")
refused = tried = slow = 0
for number in range(8):
    first = Reader()
    write(b"x")
    first.start()
    while first.is_alive():
        write(b"x")
        time.sleep(0.01)
    last = b"%d" % number
    write(last)
    second = Reader()
    second.start()
    second.join()
    if first.got is not None:
        continue  # this machine had no time to write
    tried += 1
    refused += second.got is None
    slow += second.took > 0.5
    assert second.got in (None, last * 400), second.got[:1]
    time.sleep(0.1)
    assert read()[0] == last * 400, "not seen at rest"
print("%d refused during the writes, %d after the last one, %d slow" % (tried, refused, slow))
assert tried >= 4, "hardly anybody was refused"
# A busy machine may hold up a reader now and then.
assert refused <= 1, "refused after the last write"
assert slow <= 1, "over 500 ms"
PY
