#!/usr/bin/python3
"""Who opens a file anew sees what was written, also while somebody holds it open (C1, C2, C8).

  held_open.py FILE IMAGE URI|pwrite CASE STATUS  (descriptor 9: of IMAGE, from before the mount)

FILE in the mount is of one byte and in one piece in IMAGE. First with a cold daemon, then where
STATUS (status.json, or "") says that it is exact, it is held open,
overwritten by CASE, and opened anew: the new bytes or an error, and no error after 5 s.
What was held ends old or with an error.
  once; grow (and the image grows); from-before (and descriptor 9 writes elsewhere);
  emptied, by-path, refilled (truncated and written anew, at once or in parts);
  converted (by qemu-img); cloned (FICLONE)
"""
import errno
import fcntl
import json
import os
import subprocess
import sys
import time

FICLONE = 0x40049409
shown, image, uri, case, status = sys.argv[1:]
size = os.stat(shown).st_size
with open(image, "rb") as file:
    before = file.read()
at = before.index(b"A" * size)


def opened(part=65536):
    """The file, and read in part; refused it may be, but not for long."""
    deadline = time.monotonic() + 5
    while True:
        try:
            fd = os.open(shown, os.O_RDONLY)
            return fd, os.pread(fd, part, 0)
        except OSError as error:
            assert error.errno in (errno.EIO, errno.ESTALE), error
            assert time.monotonic() < deadline, "refused for 5 s"
            time.sleep(0.02)


def sees(wanted):
    fd, data = opened(size)
    os.close(fd)
    assert len(data) == size and set(data) == {wanted}, "stale or torn: %s for %d" % (set(data), wanted)


def until_exact():
    while time.time() - os.stat(image).st_ctime < 2.5:  # longer than ctime's lag
        time.sleep(0.05)
    deadline = time.monotonic() + 10
    while status:
        os.close(opened(size)[0])  # only while somebody looks
        with open(status) as file:
            if all(known["reports"]["exact"] for known in json.load(file)["images"]):
                return
        assert time.monotonic() < deadline, "never exact"
        time.sleep(0.05)


def end_of(fd, byte):
    try:
        for offset in range(0, size, 65536):
            assert set(os.pread(fd, 65536, offset)) == {byte}, "what was held is torn"
        return "whole"
    except OSError as error:
        return errno.errorcode[error.errno]


def write_anew(data):
    fd = os.open(image, os.O_WRONLY)
    os.truncate(image if case == "by-path" else fd, 0)
    step = 1 << 20 if case == "refilled" else len(data)
    for offset in range(0, len(data), step):
        os.pwrite(fd, data[offset:offset + step], offset)
    os.close(fd)


def from_a_copy(data):
    copy = os.path.join(os.path.dirname(image), os.pardir, "copy")
    with open(copy, "wb") as file:
        file.write(data)
    if case == "converted":
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "raw", copy, image], check=True)
    else:
        with open(copy, "rb") as source, open(image, "r+b") as target:
            fcntl.ioctl(target, FICLONE, source.fileno())


def change(byte):
    data = bytes([byte]) * size
    anew = before[:at] + data + before[at + size:]
    if case in ("emptied", "by-path", "refilled"):
        return write_anew(anew)
    if case in ("converted", "cloned"):
        return from_a_copy(anew)
    if uri == "pwrite":
        os.pwrite(writer, data, at)
    else:
        client.pwrite(data, at)
    if case == "grow":
        os.truncate(image, os.stat(image).st_size + (1 << 20))
    elif case == "from-before":
        os.pwrite(9, data[:4096], 0x8000)  # before the partition


writer = os.open(image, os.O_WRONLY)  # nobody has looked yet
if uri != "pwrite":
    import nbd
    client = nbd.NBD()
    client.connect_uri(uri)
change(ord("B"))
for byte in b"BCD":
    if byte != ord("B"):
        until_exact()
    held, _ = opened(size if byte == ord("B") else 65536)
    change(byte + 1)
    sees(byte + 1)
    print("%s: %s, what was held: %s" % (uri.split(":")[0], case, end_of(held, byte)), flush=True)
    os.close(held)
