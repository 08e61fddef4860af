#!/usr/bin/env python3
"""widefat.py KIND FILE [COUNT] - a sparse FAT32 in FILE whose few bytes want to become much memory.

  short   COUNT directories /D0000000... that are all one: 65533 short names
  long    the same with 3120 names of 255 characters
  deep    COUNT directories below each other, each of 65533 names (2 MiB): /D/D/D...
  file    /BIG.BIN of COUNT MiB in one piece, all holes

Each has a /CONFIG.TXT, which is empty.
"""

import struct
import sys

SECTOR, CLUSTER = 512, 4096
END = 0x0FFFFFFF
WIDE = 65536 * 32  # the longest a directory may be
RESERVED = 32


class Volume:
    def __init__(self, path, clusters):
        fat_sectors = (4 * (clusters + 2) + SECTOR - 1) // SECTOR
        total = RESERVED + fat_sectors + clusters * (CLUSTER // SECTOR)
        boot = bytearray(SECTOR)
        boot[0:11] = b"\xeb\x58\x90mkfs.fat"
        struct.pack_into("<HBHBHHBHHHII", boot, 11, SECTOR, CLUSTER // SECTOR, RESERVED, 1, 0, 0, 0xF8, 0, 32, 64, 0, total)
        struct.pack_into("<IHHIHH", boot, 36, fat_sectors, 0, 0, 2, 1, 6)
        boot[66], boot[71:90], boot[510:512] = 0x29, b"BOOT       FAT32   ", b"\x55\xaa"
        self.fat, self.data = RESERVED * SECTOR, (RESERVED + fat_sectors) * SECTOR
        self.file = open(path, "w+b")
        self.file.truncate(total * SECTOR)
        self.file.write(boot)
        self.put(self.fat, struct.pack("<III", 0x0FFFFFF8, END, END))

    def put(self, offset, data):
        self.file.seek(offset)
        self.file.write(data)

    def chain(self, first, count):
        self.put(self.fat + 4 * first, struct.pack("<%dI" % count, *range(first + 1, first + count), END))

    def cluster(self, number, data):
        self.put(self.data + (number - 2) * CLUSTER, data)


def entry(name, attributes, cluster=0, size=0):
    return struct.pack("<11s3B7HI", name, attributes, 0, 0, 0, 0x5000, 0x5000, cluster >> 16, 0, 0x5000, cluster & 0xFFFF, size)


def long_entry(number):
    short, text, checksum = b"S%07dTXT" % number, ("%06d" % number).ljust(255, "x").encode("utf-16le"), 0
    for byte in short:
        checksum = ((checksum & 1) << 7) + (checksum >> 1) + byte & 255
    parts = (text + b"\0\0").ljust(520, b"\xff")
    return b"".join(
        struct.pack("<B10sBBB12sH4s", i | (0x40 if i == 20 else 0), p[:10], 15, 0, checksum, p[10:22], 0, p[22:])
        for i in range(20, 0, -1)
        for p in [parts[(i - 1) * 26 : i * 26]]
    ) + entry(short, 0x20)


DOTS = entry(b".          ", 0x10) + entry(b"..         ", 0x10)
CONFIG = entry(b"CONFIG  TXT", 0x20)


def names(count):
    return b"".join(entry(b"F%07dBIN" % k, 0x20) for k in range(count))


def main(kind, path, count="200"):
    count = int(count)
    wide = WIDE // CLUSTER
    if kind == "file":
        volume = Volume(path, 70000 + (count << 20) // CLUSTER)
        volume.chain(100, (count << 20) // CLUSTER)
        volume.cluster(2, CONFIG + entry(b"BIG     BIN", 0x20, 100, count << 20))
    elif kind == "deep":
        volume = Volume(path, 70000 + count * wide)
        for level in range(count):
            first = 100 + level * wide
            volume.chain(first, wide)
            below = entry(b"D          ", 0x10, first + wide) if level + 1 < count else b""
            volume.cluster(first, DOTS + below + names(65533 - (below != b"")))
        volume.cluster(2, CONFIG + entry(b"D          ", 0x10, 100))
    else:
        volume = Volume(path, 70000)
        root = CONFIG + b"".join(entry(b"D%07d   " % k, 0x10, 1000) for k in range(count))
        clusters = -(-len(root) // CLUSTER)
        if clusters > 1:
            volume.put(volume.fat + 8, struct.pack("<I", 10))
            volume.chain(10, clusters - 1)
        volume.cluster(2, root[:CLUSTER])
        volume.cluster(10, root[CLUSTER:])
        volume.chain(1000, wide)
        volume.cluster(1000, DOTS + (names(65533) if kind == "short" else b"".join(map(long_entry, range(65533 // 21)))))
    volume.file.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
