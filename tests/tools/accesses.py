#!/usr/bin/python3
"""Tells whether a file was read: at each line of input the number of read events since the last.

  accesses.py FILE|DIRECTORY

Of a directory: whether files in it were. inotify's IN_ACCESS, which every read raises, O_DIRECT and io_uring too. Equal
events that follow each other are merged, so that only 0 is an exact count.
"""
import ctypes
import os
import struct
import sys

IN_ACCESS, IN_ISDIR, IN_NONBLOCK = 1, 0x40000000, 0o4000


def main():
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(IN_NONBLOCK)
    if fd < 0 or libc.inotify_add_watch(fd, os.fsencode(sys.argv[1]), IN_ACCESS) < 0:
        sys.exit("accesses.py: %s: %s" % (sys.argv[1], os.strerror(ctypes.get_errno())))
    print("ready", flush=True)
    for _ in sys.stdin:
        count = 0
        try:
            while True:
                data = os.read(fd, 65536)
                while data:
                    _, mask, _, length = struct.unpack_from("iIII", data)
                    data = data[16 + length:]
                    count += not mask & IN_ISDIR
        except BlockingIOError:
            pass
        print(count, flush=True)


if __name__ == "__main__":
    main()
