#!/usr/bin/python3
"""Who opens a file anew sees what was written, also while somebody holds it open (C1, C2, C8).

  held_open.py FILE IMAGE URI|pwrite CASE    (descriptor 9: of IMAGE, from before the mount)

FILE in the mount is of one byte and in one piece in IMAGE. Three times it is held open,
overwritten by CASE, and opened anew: the new bytes or an error, and no error after 5 s.
What was held ends old or with an error.
  once; grow (and the image grows); from-before (and descriptor 9 writes elsewhere);
  emptied, by-path, refilled (truncated and written anew, at once or in parts);
  converted (by qemu-img); cloned (FICLONE)
"""
import errno
import fcntl
import os
import subprocess
import sys
import time

FICLONE = 0x40049409
shown, image, uri, case = sys.argv[1:]
size = os.stat(shown).st_size
with open(image, "rb") as file:
    before = file.read()
at = before.index(b"A" * size)


def until_read(wanted):
    deadline = time.monotonic() + 5
    while True:
        try:
            with open(shown, "rb") as file:
                data = file.read()
            break
        except OSError as error:
            assert error.errno in (errno.EIO, errno.ESTALE), error
            assert time.monotonic() < deadline, "refused for 5 s"
            time.sleep(0.02)
    assert len(data) == size and set(data) == {wanted}, "stale or torn: %s for %d" % (set(data), wanted)


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
    copy = os.path.join(os.path.dirname(image), ".copy")
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
    until_read(byte)
    held = os.open(shown, os.O_RDONLY)
    os.pread(held, 65536, 0)
    change(byte + 1)
    until_read(byte + 1)
    print("%s: %s, what was held: %s" % (uri.split(":")[0], case, end_of(held, byte)), flush=True)
    os.close(held)
