#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pack an image into an input of the fuzz target part (see part.c).

usage: part_pack.py IMAGE [repair] >corpus/part/NAME

Only sectors that aren't all zeroes are kept, so a freshly made sparse image
becomes a few hundred bytes. With `repair` GPT headers get good check sums when
the input is run: use it for images whose headers were changed by hand.
"""
import os
import struct
import sys

SECTOR = 512


def data_ranges(image, size):
    """The parts of a sparse file that have been written."""
    offset = 0
    while offset < size:
        try:
            begin = os.lseek(image, offset, os.SEEK_DATA)
        except OSError:
            return
        offset = os.lseek(image, begin, os.SEEK_HOLE)
        yield begin, offset


def records(image, size, repair):
    for begin, end in data_ranges(image, size):
        for offset in range(begin, end, SECTOR):
            sector = os.pread(image, SECTOR, offset)
            if not sector.strip(b"\0"):
                continue
            # The last sectors move with the end, as a backup GPT does.
            from_end = size % SECTOR == 0 and size - offset <= 64 * SECTOR and offset > 64 * SECTOR
            number = (size - offset if from_end else offset) // SECTOR
            flags = from_end | (2 if repair and sector.startswith(b"EFI PART") else 0)
            data = sector.rstrip(b"\0")
            yield struct.pack("<BIH", flags, number, len(data)) + data


def main():
    image = os.open(sys.argv[1], os.O_RDONLY)
    size = os.fstat(image).st_size
    sys.stdout.buffer.write(struct.pack("<BBQ", 0, 255, size))
    for record in records(image, size, "repair" in sys.argv[2:]):
        sys.stdout.buffer.write(record)


main()
