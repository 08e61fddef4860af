#!/bin/bash
# P: a report is answered within 50 ms, even if bytes have to be kept first and the device does
# not answer at all. What could not be kept is lost to its reader, with an error; nothing else.
. "$(dirname "$0")/../lib.sh"
CHANGES=events
requires root netns loop
type qemu-storage-daemon >/dev/null 2>&1 || skip "needs qemu-storage-daemon"
make_image "$T/slow.img" 64 32 -s 1
"$PYTHON" -c 'import sys; sys.stdout.buffer.write(b"old." * (2 << 20))' >"$T/old"
put "@$T/old" "$T/slow.img" /kernel.img
board "$SRC/good.img" good
: >"$T/export"
qemu-storage-daemon --blockdev "driver=file,filename=$T/slow.img,node-name=disk" \
	--export "type=fuse,id=fuse,node-name=disk,mountpoint=$T/export,writable=on" &
server=$!
PIDS+=("$server")
wait_until 10 test -s "$T/export"
loop_device device "$T/export" --direct-io=on
ln -s "$device" "$SRC/slow.img"
mount_imagefs -o keep=1 "$SRC" "$MNT"
"$PYTHON" - "$T/slow.img" "$MNT" "$CONTROL" "$server" <<'PY'
import errno, json, os, signal, sys, time
image, shown, control, server = sys.argv[1:]
start = open(image, "rb").read().index(b"old." * 1024)
report = os.open(control + "/slow", os.O_WRONLY)
def tell(text):
    begin = time.monotonic()
    assert os.write(report, text) == len(text)
    return (time.monotonic() - begin) * 1000
def field(name):
    return next(line for line in open(control + "/slow") if line.startswith(name + ": "))[len(name) + 2:].strip()
tell(b"write %d 512\ndone\n" % (63 << 20))
deadline = time.monotonic() + 30
while field("reports") != "exact":
    if time.monotonic() > deadline:
        print(open(control + "/slow").read())
        sys.exit(77)
    time.sleep(0.02)
def kept():
    status = json.load(open(control + "/status.json"))
    return status["kept_memory_bytes"] + status["kept_file_bytes"]
# An open that meets a rest is guarded. One that meets a doubt, because somebody had a look at the
# device (other tests do), keeps the file whole instead: once more, when that is over.
while True:
    reader = os.open(shown + "/slow/kernel.img", os.O_RDONLY)
    os.posix_fadvise(reader, 0, 0, os.POSIX_FADV_RANDOM) # nothing is read ahead
    assert os.pread(reader, 4096, 0) == b"old." * 1024
    if field("guarded files") == "1" and kept() == 0:
        break
    os.close(reader)
    while kept() > 0 or field("open files") != "0":
        assert time.monotonic() < deadline, open(control + "/slow").read()
        time.sleep(0.02)
os.kill(int(server), signal.SIGSTOP)
taken = sorted(tell(b"write %d 65536 %d\n" % (start + (1 << 20) + i * 65536, i)) for i in range(40))
print("40 reports with a device that hangs: median %.1f ms, slowest %.1f ms" % (taken[20], taken[-1]))
dull = tell(b"done 99\n")
os.kill(int(server), signal.SIGCONT)
assert taken[20] > 40, "nothing had to be kept: the test is worth nothing"
assert taken[20] < 65 and taken[-1] < 200, taken # with room for a busy machine
assert dull < 50, dull
assert open(shown + "/good/config.txt").read() == "good"
# The end was not announced to be written over: it is there. What was lost is refused.
assert os.pread(reader, 4096, 7 << 20) == b"old." * 1024
try:
    os.pread(reader, 4096, 1 << 20)
    sys.exit("what may be overwritten was served")
except OSError as error:
    assert error.errno in (errno.ESTALE, errno.EIO), error
print(open(control + "/slow").read())
assert int(field("kept before a write").split()[-1]) > 0
PY
