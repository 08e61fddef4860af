#!/bin/bash
# C6, S2: several readers of one image on storage that answers every read after a while, each of another
# file: all get their file, slowly, none is starved by the others (what was read for a try is kept for the
# next); while twenty other boards are fetched over the one dnsmasq, or tftpd-hpa, whose first byte waits for no more
# than 600 ms.
# usage: c6_slow_readers.sh MILLISECONDS device|fuse dnsmasq|tftpd [SECONDS]
# device: what was read is believed. fuse: nothing is, and nbdfuse reads three things at a time: small files.
. "$(dirname "$0")/../lib.sh"
delay=$1 kind=$2 server=$3
requires root nbdkit nbdfuse
board "$SRC/good00.img" good
for number in {01..19}; do cp "$SRC/good00.img" "$SRC/good$number.img"; done
make_image "$T/slow.img" 24 16
mkdir "$T/want"
for i in 0 1 2 3 4 5 6 7; do
	size=3000
	[ "$kind" = fuse ] || size=$((300000 + 200000 * (i % 4)))
	head -c $size /dev/urandom >"$T/want/file$i.bin"
	put "@$T/want/file$i.bin" "$T/slow.img" "/file$i.bin"
done
slow_storage "$kind" "$delay"
mount_imagefs
case $server in
dnsmasq) port=69 && start_dnsmasq "$MNT" --tftp-max=500 ;;
tftpd) port=6969 && start_tftpd "$MNT" ;;
esac
"$PYTHON" - "$MNT" $port "$T/want" "$TOOLS" "${4:-90}" <<'PY'
import os, sys, threading, time
mnt, port, want, patience = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[5])
sys.path.insert(0, sys.argv[4])
import neighbours
stop, waits, failed, lock = threading.Event(), [], [], threading.Lock()

def good(number):
    while not stop.wait(0.3):
        first, outcome = neighbours.fetch(port, "good%02d/config.txt" % number)
        with lock:
            waits.append(first)
            if outcome != "ok":
                failed.append("good%02d: %s" % (number, outcome))

def reader(number):
    name = "file%d.bin" % number
    wanted = open(os.path.join(want, name), "rb").read()
    start, tries, got, best = time.monotonic(), 0, b"", 0
    while got != wanted and time.monotonic() - start < patience:
        tries, got = tries + 1, b""
        try:
            with open("%s/slow/%s" % (mnt, name), "rb", buffering=0) as file:
                while part := file.read(65536):
                    got += part
            if got != wanted:
                raise SystemExit(failed.append("%s: wrong bytes" % name))
        except OSError as error:
            best = max(best, len(got))
            time.sleep(0.2)
    took = time.monotonic() - start
    print("%s, %d bytes: %s after %d tries, %.1f s" % (name, len(wanted), "read" if got == wanted else "only %d" % best, tries, took), flush=True)
    if got != wanted:
        failed.append("%s: never read in %.0f s, at most %d bytes" % (name, took, best))

goods = [threading.Thread(target=good, args=(i,)) for i in range(20)]
for thread in goods: thread.start()
readers = [threading.Thread(target=reader, args=(i,)) for i in range(8)]
for thread in readers: thread.start()
for thread in readers: thread.join()
stop.set()
for thread in goods: thread.join()
waits.sort()
print("twenty others: %d fetches, median %.0f ms, worst %.0f ms" % (len(waits), waits[len(waits) // 2] * 1e3, waits[-1] * 1e3))
if waits[-1] > 0.6:
    failed.append("another board waited for %.0f ms" % (waits[-1] * 1e3))
if failed:
    sys.exit("\n".join(failed[:8]))
PY
