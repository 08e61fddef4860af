#!/bin/bash
# C5, C6: an unconfigured qemu-nbd, whose writes' ends the kernel may tell merged or not at all: a
# client overwrites a file with 32 writes in flight, in some milliseconds, and nothing is written
# after that. The first open after the last reply waits for the update, and is not refused.
# usage: c5_async_updates.sh threads|native|io_uring
. "$(dirname "$0")/../lib.sh"
requires root netns
make_image "$SRC/board.img" 40 16 -s 8
head -c 2M /dev/zero | tr '\0' A >"$T/content"
put "@$T/content" "$SRC/board.img" /kernel8.img
head -c 4M /dev/urandom >"$T/other"
put "@$T/other" "$SRC/board.img" /other.bin
mount_imagefs
start_qemu_nbd "$SRC/board.img" --cache=none "--aio=$1"
"$PYTHON" - "$MNT/board" "$SRC/board.img" "$URI" "$T/other" <<'PY'
import sys, time
import nbd
shown, image, uri, other = sys.argv[1:]
SIZE, PART = 2 << 20, 65536
client = nbd.NBD()
client.connect_uri(uri)

def content(name):
    with open(shown + "/" + name, "rb") as file:
        return file.read()

def update(byte):
    data = nbd.Buffer.from_bytearray(bytearray([byte]) * PART)
    cookies = [client.aio_pwrite(data, at + offset) for offset in range(0, SIZE, PART)]
    while cookies:
        client.poll(-1)
        cookies = [cookie for cookie in cookies if not client.aio_command_completed(cookie)]

def until_read(name):
    deadline = time.monotonic() + 5
    while True:
        try:
            return content(name)
        except OSError:
            assert time.monotonic() < deadline, "never read at rest"
            time.sleep(0.02)

with open(image, "rb") as file:
    at = file.read().index(b"A" * SIZE)
with open(other, "rb") as file:
    want = file.read()
assert until_read("kernel8.img") == b"A" * SIZE and until_read("other.bin") == want
refused, took = 0, []
for byte in b"BCDEFGHI":
    update(byte)
    for name, wanted in (("kernel8.img", bytes([byte]) * SIZE), ("other.bin", want)):
        began = time.monotonic()
        try:
            got = content(name)
        except OSError:
            refused += 1
            got = until_read(name)
        else:
            took.append(1000 * (time.monotonic() - began))
        assert got == wanted, "%s: stale or torn" % name
print("%d of 16 refused; the others %.0f ms, at worst %.0f" % (refused, sorted(took)[len(took) // 2], max(took)))
assert refused <= 1, "refused after a short update"  # a busy machine may take too long now and then
PY
