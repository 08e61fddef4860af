#!/bin/bash
# C6, C7: a large file comes over dnsmasq from FUSE storage that answers every read after 300 ms, and of which nothing is
# believed, slowly: what was read for one try is kept for the next, and the file is served while it is read. A board asks
# again when it is refused, and repeats what is not answered every two seconds, as firmware does. Each file that came is whole, and as new as when
# it was asked for, also while it is being rewritten (C1, C2).
# usage: c6_slow_kernel.sh MIB BOARDS still|written [SECONDS]
. "$(dirname "$0")/../lib.sh"
mib=$1 boards=$2 how=$3
requires root nbdkit nbdfuse
make_image "$T/slow.img" $((mib + 20)) 16
"$PYTHON" -c 'import sys; sys.stdout.buffer.write(bytes([0, 0, 0, 1]) * (int(sys.argv[1]) << 18))' "$mib" >"$T/kernel"
put "@$T/kernel" "$T/slow.img" /kernel8.img
slow_storage fuse 300
for ((board = 0; board < boards; board++)); do ln -s slow.img "$SRC/board$board"; done
mount_imagefs
start_dnsmasq "$MNT"
: >"$T/reads.txt"
"$PYTHON" - "$T/slow.img" "$mib" "$boards" "$how" "${4:-80}" "$TOOLS" <<'PY'
import os, struct, sys, threading, time
image, words, boards, written, patience = sys.argv[1], int(sys.argv[2]) << 18, int(sys.argv[3]), sys.argv[4] == "written", float(sys.argv[5])
sys.path.insert(0, sys.argv[6])
import tftp
tftp.RETRANSMIT_SECONDS = tftp.FIRMWARE_REPEATS_SECONDS
latest, failed, over, start = [1], [], threading.Event(), time.monotonic()

def content(version):
    return struct.pack(">I", version) * words

def writer():
    """In place, and whole, as a board's cp of a kernel of the same size would."""
    with open(image, "r+b", buffering=0) as file:
        place = file.read().index(content(1))
        for _ in range(3):
            time.sleep(4)
            file.seek(place)
            file.write(content(latest[0] + 1))
            latest[0] += 1
    over.set()

class Bytes:
    def __init__(self):
        self.parts = []
    def write(self, part):
        self.parts.append(part)

def board(number):
    tries, last, why = 0, False, {}
    while time.monotonic() - start < patience:
        tries, before, last, got = tries + 1, latest[0], over.is_set(), Bytes()
        begun = time.monotonic()
        try:
            tftp.fetch("127.0.0.1", 69, "board%d/kernel8.img" % number, blksize=1468, out=got)
        except (tftp.Refused, TimeoutError, ValueError) as error:
            why[str(error)] = why.get(str(error), 0) + 1
            time.sleep(0.2)
            continue
        got = b"".join(got.parts)
        version = struct.unpack(">I", got[:4])[0]
        if got != content(version):
            failed.append("board%d: torn, from version %d on" % (number, version))
        if version < before:
            failed.append("board%d: version %d when %d was there" % (number, version, before))
        print("board%d: version %d after %d tries, %.1f s, of which %.1f s the last" % (number, version, tries,
              time.monotonic() - start, time.monotonic() - begun), flush=True)
        if last:
            return
    failed.append("board%d: never came in %d tries: %s" % (number, tries, why))

threads = [threading.Thread(target=board, args=(number,)) for number in range(boards)]
if written:
    threads.append(threading.Thread(target=writer))
else:
    over.set()
for thread in threads: thread.start()
for thread in threads: thread.join()
if failed:
    sys.exit("\n".join(failed))
PY
echo "$(grep -c ' Read id=' "$T/reads.txt") reads of the storage"
