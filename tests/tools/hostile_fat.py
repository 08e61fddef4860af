#!/usr/bin/python3
"""A FAT32 image that is as much work as one can be: hostile_fat.py FILE

It is sparse, 8 GB, and takes some MB. In its root:
  CONFIG.TXT        2 KiB, sound
  F00.BIN...F19.BIN 4 GiB - 1 each, all of one chain that is all holes
  P00.BIN...P19.BIN 2 MiB each, of one chain: each cluster in a FAT block of its own, in no order
  D00...D19         directories that share one chain of 65,533 entries; without dots: not sound
  W00...W19         the same with names of 255 characters
  A                 240 directories, one in the other, each called A
  LOOP.BIN, LOOPDIR chains that come back to their start
  SELF, UP          directories that are themselves, or the root
Prints where CONFIG.TXT's bytes, the root directory and the FAT are, in bytes.
"""
import struct
import sys

SECTOR, CLUSTER, RESERVED = 512, 4096, 32
END = 0x0FFFFFFF
ROOT, CONFIG, LOOP, LOOPDIR, SELF, SOUND = 2, 3, 4, 6, 8, 10
DEEP, DEPTH = 100, 240
WIDE, WIDE_LFN, WIDE_CLUSTERS = 1000, 2000, 512
BIG, BIG_CLUSTERS = 10_000, 1 << 20
PIECES, PIECE_COUNT, PIECE_STEP = BIG + BIG_CLUSTERS + 10_000, 512, 1024
CLUSTERS = PIECES + PIECE_COUNT * PIECE_STEP + 10


class Image:
    def __init__(self, path):
        self.file = open(path, "w+b")
        self.fat_sectors = (4 * (CLUSTERS + 2) + SECTOR - 1) // SECTOR
        self.fat = RESERVED * SECTOR
        self.data = self.fat + self.fat_sectors * SECTOR
        sectors = (self.data + CLUSTERS * CLUSTER) // SECTOR
        boot = bytearray(SECTOR)
        boot[0:11] = b"\xeb\x58\x90mkfs.fat"
        struct.pack_into("<HBHBHHBHHHII", boot, 11, SECTOR, CLUSTER // SECTOR, RESERVED, 1, 0, 0, 0xF8, 0, 32, 64, 0,
                         sectors)
        struct.pack_into("<IHHIHH", boot, 36, self.fat_sectors, 0, 0, ROOT, 1, 6)
        boot[66], boot[71:90], boot[510:512] = 0x29, b"BOOT       FAT32   ", b"\x55\xaa"
        self.file.truncate(sectors * SECTOR)
        self.write(0, boot)
        self.write(self.fat, struct.pack("<II", 0x0FFFFFF8, END))

    def write(self, at, data):
        self.file.seek(at)
        self.file.write(data)

    def link(self, first, *following):
        self.write(self.fat + 4 * first, struct.pack("<%dI" % len(following), *following))

    def chain(self, first, count):
        self.link(first, *range(first + 1, first + count), END)

    def put(self, cluster, data):
        self.write(self.place(cluster), data)

    def place(self, cluster):
        return self.data + (cluster - 2) * CLUSTER


def entry(name, cluster, size=0, directory=False):
    base, _, extension = name.partition(".")
    raw = base.ljust(8).encode() + extension.ljust(3).encode()
    return struct.pack("<11sBBBHHHHHHHI", raw, 0x10 if directory else 0x20, 0, 0, 0, 0x5000, 0x5000, cluster >> 16, 0,
                       0x5000, cluster & 0xFFFF, size)


def long_entry(number):
    name, short = ("%06d" % number).ljust(255, "x").encode("utf-16le"), entry("S%07d.TXT" % number, 0)
    checksum = 0
    for byte in short[:11]:
        checksum = ((checksum & 1) << 7) + (checksum >> 1) + byte & 255
    out = b""
    for i in range(20, 0, -1):
        part = name[(i - 1) * 26:i * 26]
        part = (part + b"\0\0" if len(part) < 26 else part).ljust(26, b"\xff")
        out += struct.pack("<B10sBBB12sH4s", i | (0x40 if i == 20 else 0), part[:10], 15, 0, checksum, part[10:22], 0,
                           part[22:])
    return out + short


def dots(cluster, parent):
    return entry(".", cluster, directory=True) + entry("..", parent, directory=True)


def main():
    image = Image(sys.argv[1])
    # Forward and back by turns: no two of them are near each other.
    order = [PIECES + PIECE_STEP * (n if n % 2 else PIECE_COUNT - 2 - n) for n in range(PIECE_COUNT)]
    root = entry("CONFIG.TXT", CONFIG, 2048)
    root += b"".join(entry("F%02d.BIN" % n, BIG, 0xFFFFFFFF - n) for n in range(20))
    root += b"".join(entry("P%02d.BIN" % n, order[0], PIECE_COUNT * CLUSTER - n) for n in range(20))
    root += b"".join(entry("D%02d" % n, WIDE, directory=True) for n in range(20))
    root += b"".join(entry("W%02d" % n, WIDE_LFN, directory=True) for n in range(20))
    root += entry("A", DEEP, directory=True) + entry("LOOP.BIN", LOOP, 1 << 30)
    root += entry("LOOPDIR", LOOPDIR, directory=True) + entry("SELF", SELF, directory=True)
    root += entry("UP", ROOT, directory=True)
    assert len(root) <= CLUSTER
    image.put(ROOT, root)
    image.link(ROOT, END)
    image.put(CONFIG, b"0" * 2048)
    image.link(CONFIG, END)
    image.link(LOOP, LOOP + 1, LOOP)
    image.link(LOOPDIR, LOOPDIR + 1, LOOPDIR)
    for cluster in LOOPDIR, LOOPDIR + 1:
        image.put(cluster, b"".join(entry("L%07d" % n, 0) for n in range(CLUSTER // 32)))
    image.put(SELF, dots(SELF, 0) + entry("SELF", SELF, directory=True) + entry("UP", ROOT, directory=True))
    image.link(SELF, END)
    for depth in range(DEPTH):
        at = DEEP + depth
        image.put(at, dots(at, at - 1 if depth else 0) + entry("A", at + 1, directory=True) + entry("CONFIG.TXT", CONFIG, 2048))
        image.link(at, END)
    image.put(DEEP + DEPTH, dots(DEEP + DEPTH, DEEP + DEPTH - 1))
    image.link(DEEP + DEPTH, END)
    image.chain(WIDE, WIDE_CLUSTERS)
    image.put(WIDE, b"".join(entry("F%07d.BIN" % n, 0) for n in range(65533)))
    image.chain(WIDE_LFN, WIDE_CLUSTERS)
    image.put(WIDE_LFN, dots(WIDE_LFN, 0) + b"".join(long_entry(n) for n in range(65533 // 21)))
    image.chain(BIG, BIG_CLUSTERS)
    for cluster, following in zip(order, order[1:] + [END]):
        image.link(cluster, following)
    print(image.place(CONFIG), image.place(ROOT), image.fat)


if __name__ == "__main__":
    main()
