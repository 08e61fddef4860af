#!/bin/bash
# C6, C7: eight readers at a time, each of another file of 300 to 900 KB, of one image on storage that answers every read
# after 300 ms: all get their file, and the storage is not asked for more than so many reads. It is FUSE, three reads at a time, of
# which 24 are what the files take, read twice; or a block server, of whose reads these are 80. Each try is a TFTP server's: it ends
# with the first error; or it is one of dnsmasq's. Written meanwhile, nobody gets an older version than there was when he
# opened it, nor a part of one (C1, C2).
# usage: c6_slow_crowd.sh still|written fuse|nbd [dnsmasq]
. "$(dirname "$0")/../lib.sh"
how=$1 kind=$2 server=${3:-}
requires root nbdkit nbdfuse
make_image "$T/slow.img" 24 16
"$PYTHON" - "$T" <<'PY'
import sys
for number in range(8):
    with open("%s/file%d.bin" % (sys.argv[1], number), "wb") as file:
        file.write(bytes([number, 0, 0, 1]) * ((300000 + 200000 * (number % 4)) // 4))
PY
for i in 0 1 2 3 4 5 6 7; do put "@$T/file$i.bin" "$T/slow.img" "/file$i.bin"; done
slow_storage "$kind" 300
mount_imagefs
[ -z "$server" ] || start_dnsmasq "$MNT" --tftp-max=500
: >"$T/reads.txt"
PYTHONPATH=$TOOLS "$PYTHON" - "$MNT/slow" "$T" "$how" "$kind" "$server" <<'PY'
import os, struct, sys, threading, time
import tftp
mnt, where, written, kind, server = sys.argv[1], sys.argv[2], sys.argv[3] == "written", sys.argv[4], sys.argv[5]
# A block server is asked by smaller reads, and begins anew with each write.
PATIENCE, READS_MAX = {"fuse": (60, 150), "nbd": (100, 300)}[kind]
sizes = [300000 + 200000 * (number % 4) for number in range(8)]
latest, failed, over = [1] * 8, [], threading.Event()

def content(number, version):
    return struct.pack(">I", number << 24 | version) * (sizes[number] // 4)

def writer():
    """In place, as a board's dd would: two files all the time, each of the others once."""
    with open(where + "/slow.img", "r+b", buffering=0) as image:
        data = image.read()
        places = [data.index(content(number, 1)) for number in range(8)]
        for round in range(6):
            for number in (0, 1, 2 + round):
                os.pwrite(image.fileno(), content(number, latest[number] + 1), places[number])
                latest[number] += 1
            time.sleep(2)
    over.set()

def fetch(number):
    if server:
        transfer = tftp.Transfer("127.0.0.1", 69, "slow/file%d.bin" % number, 1468, tsize=True)
        _, first = transfer.start()
        return b"".join(transfer.read_all(first))
    with open("%s/file%d.bin" % (mnt, number), "rb", buffering=0) as file:
        got = b""
        while part := file.read(65536):
            got += part
    return got

def reader(number):
    start, tries, last = time.monotonic(), 0, False
    while time.monotonic() - start < PATIENCE:
        tries, before, last = tries + 1, latest[number], over.is_set()
        try:
            got = fetch(number)
        except (OSError, tftp.Refused):
            time.sleep(0.2)
            continue
        version = struct.unpack(">I", got[:4])[0] & 0xffffff
        if got != content(number, version):
            failed.append("file%d: torn, from version %d on" % (number, version))
        if version < before:
            failed.append("file%d: version %d when %d was there" % (number, version, before))
        if last:
            print("file%d: version %d after %d tries, %.1f s" % (number, version, tries, time.monotonic() - start), flush=True)
            return
    failed.append("file%d: never read in %d tries" % (number, tries))

threads = [threading.Thread(target=reader, args=(number,)) for number in range(8)]
if written:
    threads.append(threading.Thread(target=writer))
else:
    over.set()
for thread in threads: thread.start()
for thread in threads: thread.join()
reads = sum(" Read id=" in line for line in open(where + "/reads.txt", errors="replace"))
print("%d reads of the storage" % reads)
if not written and reads > READS_MAX:
    failed.append("%d reads of the storage" % reads)
if failed:
    sys.exit("\n".join(failed))
PY
