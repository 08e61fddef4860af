#!/bin/bash
# C1, C6: somebody waited in vain while the image was written, so that it has used its share of
# this second; whoever asks for the same file as soon as the last write has its reply sees it or
# is refused at once, and sees it before the second is over.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../reports.sh"
requires root netns
board "$SRC/board.img" "$(head -c 400 /dev/zero | tr '\0' 0)"
ln -s board.img "$SRC/89025d75"
mount_reported
"$PYTHON" - "$MNT/89025d75/config.txt" "$CONTROL/board" "$SRC/board.img" <<'PY'
import errno, sys, threading, time
from text_reporter import TextReporter
shown, control, image = sys.argv[1:]
reporter = TextReporter(control, image, b"0" * 400)

def write(byte):
    reporter.write(0, byte * 400)

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

def at_rest():
    """What is read then: refused is who asks again too soon."""
    deadline = time.monotonic() + 5
    while (got := read()[0]) is None:
        assert time.monotonic() < deadline, "refused for ever"
        time.sleep(0.01)
    return got

reporter.until_exact()
refused = tried = slow = late = 0
for number in range(8):
    first = Reader()
    write(b"x")
    first.start()
    while first.is_alive():
        write(b"x")
        first.join(0.01)
    last = b"%d" % number
    write(last)
    written = time.monotonic()
    second = Reader()
    second.start()
    second.join()
    if first.got is not None:
        continue  # this machine had no time to write
    tried += 1
    refused += second.got is None
    slow += second.took > 0.5
    assert second.got in (None, last * 400), second.got[:1]
    assert at_rest() == last * 400, "not seen at rest"
    late += time.monotonic() - written > 1
print("%d refused during the writes, %d after the last one, %d slow, %d late" % (tried, refused, slow, late))
assert tried >= 4, "hardly anybody was refused"
# A busy machine may hold up a reader now and then.
assert late <= 1, "refused for over a second after the last write"
assert slow <= 1, "over 500 ms"
PY
