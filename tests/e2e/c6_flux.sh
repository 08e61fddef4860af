#!/bin/bash
# C6, S2: an image that changes all the time: whoever asks for what changes on it has an
# answer within 500 ms, content or EIO, never ENOENT; another image's readers notice nothing.
. "$(dirname "$0")/../lib.sh"
board "$SRC/flux.img" "$(head -c 400 /dev/zero | tr '\0' 0)"
board "$SRC/calm.img" calm
mount_imagefs
is "before" "$(cat "$MNT/calm/config.txt")" calm
# Its only file's bytes, one letter at a time: each write makes another version.
"$PYTHON" - "$SRC/flux.img" <<'PY' &
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
with open(sys.argv[1], "rb") as file:
    at = file.read().index(b"0" * 400)
for i in range(100000):
    os.pwrite(fd, b"%d" % (i % 10) * 400, at)
    time.sleep(0.01)
PY
PIDS+=($!)
"$PYTHON" - "$MNT" "${1:-6}" <<'PY'
import errno, sys, threading, time
mnt, seconds = sys.argv[1], float(sys.argv[2])
end = time.monotonic() + seconds
took, ends, wrong = {"flux": [], "calm": []}, {}, []

def reader(image):
    while time.monotonic() < end:
        start = time.monotonic()
        try:
            with open("%s/%s/config.txt" % (mnt, image), "rb") as file:
                data = file.read()
            outcome = "read"
            if image == "flux" and data != data[:1] * 400:
                wrong.append("torn: %r" % sorted(set(data)))
            if image == "calm" and data != b"calm":
                wrong.append("calm: %r" % data)
        except OSError as error:
            outcome = errno.errorcode[error.errno]
            if image == "calm" or error.errno not in (errno.EIO, errno.ESTALE):
                wrong.append("%s: %s" % (image, outcome))
        took[image].append(time.monotonic() - start)
        ends[image, outcome] = ends.get((image, outcome), 0) + 1
        if image == "calm":
            time.sleep(0.005)

threads = [threading.Thread(target=reader, args=(image,)) for image in ["flux"] * 12 + ["calm"] * 2]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for image, times in took.items():
    times.sort()
    print("%s: %d opens, median %.1f ms, 99.9 %% %.1f ms, worst %.1f ms; %s" %
          (image, len(times), times[len(times) // 2] * 1e3, times[len(times) * 999 // 1000] * 1e3, times[-1] * 1e3,
           ", ".join("%d %s" % (n, o) for (i, o), n in sorted(ends.items()) if i == image)))
if wrong:
    sys.exit("%d wrong: %s" % (len(wrong), wrong[:5]))
if took["flux"][len(took["flux"]) * 99 // 100] > 0.5:
    sys.exit("the image in flux: over 500 ms")
if took["calm"][len(took["calm"]) * 99 // 100] > 0.1:
    sys.exit("the other image was held up")
PY
