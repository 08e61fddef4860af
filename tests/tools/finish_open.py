#!/usr/bin/python3
"""What becomes of an open file whose image went (contract C2): all of it, or an error.

  finish_open.py WANTED DESCRIPTOR [WHAT]

Reads the inherited DESCRIPTOR to its end from the start: the bytes of the file
WANTED and its size, or ESTALE or EIO after a part of them. Prints which; fails
when anything else came.
"""
import errno
import os
import sys


def main():
    with open(sys.argv[1], "rb") as file:
        want = file.read()
    fd, what = int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "open file"
    got, end = b"", "whole"
    try:
        while part := os.pread(fd, 1 << 16, len(got)):
            got += part
        if os.fstat(fd).st_size != len(want):
            sys.exit("%s: fstat says %d" % (what, os.fstat(fd).st_size))
    except OSError as error:
        end = errno.errorcode[error.errno]
        if error.errno not in (errno.EIO, errno.ESTALE):
            sys.exit("%s: %s" % (what, end))
    print("%s: %d of %d bytes, %s" % (what, len(got), len(want), end))
    if not want.startswith(got):
        sys.exit("%s: foreign bytes" % what)
    if end == "whole" and got != want:
        sys.exit("%s: a short end without an error" % what)


if __name__ == "__main__":
    main()
