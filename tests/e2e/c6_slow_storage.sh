#!/bin/bash
# C6: storage that answers every read after a while works, slowly: each request is answered in time, with
# EIO if need be, what was read for it stays, and the next try gets further, until a directory is listed
# and a file fetched, while another board does not wait for it.
# usage: c6_slow_storage.sh MILLISECONDS device|fuse [SECONDS for each]
# device: what was read is believed; a dnsmasq serves both boards. fuse: all is read again with each
# request, and half of a second is not enough for two: tftpd-hpa has a process for each.
. "$(dirname "$0")/../lib.sh"
delay=$1 kind=$2
requires root nbdkit nbdfuse
board "$SRC/good.img" good
make_image "$T/slow.img" 12 16
head -c 3000000 /dev/urandom >"$T/kernel"
put slow "$T/slow.img" /config.txt
mmd -i "$T/slow.img@@1M" ::overlays
put overlay "$T/slow.img" /overlays/one.dtbo
put "@$T/kernel" "$T/slow.img" /kernel8.img
slow_storage "$kind" "$delay"
mount_imagefs
port=69
if [ "$kind" = device ]; then start_dnsmasq "$MNT"; else port=6969 && start_tftpd "$MNT" && tftpd_answers; fi
"$PYTHON" - "$MNT" $port "$T/kernel" "$TOOLS" "${3:-40}" <<'PY'
import os, sys, threading, time
mnt, port, kernel, patience = sys.argv[1], int(sys.argv[2]), open(sys.argv[3], "rb").read(), float(sys.argv[5])
sys.path.insert(0, sys.argv[4])
import neighbours
stop, waits, failed = threading.Event(), [], []

def good():
    while not stop.wait(0.1):
        first, outcome = neighbours.fetch(port, "good/config.txt")
        waits.append(first)
        if outcome != "ok":
            failed.append("good: " + outcome)

def until(what, action, wanted):
    """Try again until it works; how long it took, and the longest try."""
    start, tries, longest, got = time.monotonic(), 0, 0, None
    while got != wanted and time.monotonic() - start < patience:
        before, tries = time.monotonic(), tries + 1
        try:
            got = action()
        except OSError as error:
            got = error.strerror
        longest = max(longest, time.monotonic() - before)
        time.sleep(0.1)
    print("%s: after %d tries, %.1f s, the longest %.2f s" % (what, tries, time.monotonic() - start, longest), flush=True)
    if got != wanted:
        failed.append("%s: %r" % (what, got if got is None or len(got) < 100 else len(got)))

def read(name):
    with open(mnt + "/slow/" + name, "rb", buffering=0) as file:
        data = b""
        while part := file.read(65536):
            data += part
        return data

for _ in range(3):
    neighbours.fetch(port, "good/config.txt")
thread = threading.Thread(target=good)
thread.start()
until("listed", lambda: sorted(os.listdir(mnt + "/slow")), ["config.txt", "kernel8.img", "overlays"])
until("read", lambda: read("config.txt"), b"slow")
until("fetched", lambda: neighbours.fetch(port, "slow/config.txt")[1], "ok")
until("fetched from below", lambda: neighbours.fetch(port, "slow/overlays/one.dtbo")[1], "ok")
if port == 69:  # what nothing tells of is compared with each open, as far as there is time
    until("fetched a kernel", lambda: neighbours.fetch(port, "slow/kernel8.img")[1], "ok")
    until("read it", lambda: read("kernel8.img"), kernel)
stop.set()
thread.join()
waits.sort()
print("the other board: %d fetches, median %.0f ms, worst %.0f ms" % (len(waits), waits[len(waits) // 2] * 1e3, waits[-1] * 1e3))
if waits[-1] > 1:
    failed.append("the other board waited %.2f s" % waits[-1])
if failed:
    sys.exit("\n".join(failed))
PY
