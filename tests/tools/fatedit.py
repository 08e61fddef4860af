#!/usr/bin/python3
"""Changes single fields of a FAT filesystem: the damage that no tool makes.

  fatedit.py IMAGE[@@OFFSET] COMMAND ARGUMENTS

  chain PATH              print the clusters of a file or directory
  fat CLUSTER             print the FAT entry
  setfat CLUSTER VALUE    write it, in every copy (VALUE: number, free, end, bad)
  size PATH N             the size in the directory entry
  start PATH CLUSTER      the first cluster in the directory entry
  attr PATH N             the attribute byte
  short PATH HEX          the 11 bytes of the short name (drops the long one)
  forge PATH HEX          the same, with the long name kept and its checksum made right
  long PATH INDEX UNIT    one UTF-16 unit of the long name
  checksum PATH           spoil the long name's checksum
  poke BYTE HEX           bytes at this place of the filesystem
  entry PATH              print where its short entry is, in bytes from the start
"""
import re
import struct
import sys

SUFFIXES = {"": 1, "S": 512, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Fat:
    def __init__(self, path, offset):
        self.file = open(path, "r+b")
        self.offset = offset
        sector = self.read(0, 512)
        self.sector_bytes, self.cluster_sectors, reserved, self.copies, self.root_entries = \
            struct.unpack_from("<HBHBH", sector, 11)
        total16, = struct.unpack_from("<H", sector, 19)
        self.fat_sectors, = struct.unpack_from("<H", sector, 22)
        total32, = struct.unpack_from("<I", sector, 32)
        self.fat_start = reserved * self.sector_bytes
        fat32 = self.fat_sectors == 0
        if fat32:
            self.fat_sectors, = struct.unpack_from("<I", sector, 36)
            self.root_cluster, = struct.unpack_from("<I", sector, 44)
        self.fat_bytes = self.fat_sectors * self.sector_bytes
        self.root_start = self.fat_start + self.copies * self.fat_bytes
        self.data_start = self.root_start + self.root_entries * 32
        self.cluster_bytes = self.cluster_sectors * self.sector_bytes
        clusters = ((total16 or total32) * self.sector_bytes - self.data_start) // self.cluster_bytes
        self.bits = 32 if fat32 else 12 if clusters <= 4084 else 16

    def read(self, at, length):
        self.file.seek(self.offset + at)
        return self.file.read(length)

    def write(self, at, data):
        self.file.seek(self.offset + at)
        self.file.write(data)
        self.file.flush()

    def get(self, cluster):
        if self.bits == 12:
            pair, = struct.unpack("<H", self.read(self.fat_start + cluster * 3 // 2, 2))
            return pair >> 4 if cluster & 1 else pair & 0xfff
        if self.bits == 16:
            return struct.unpack("<H", self.read(self.fat_start + cluster * 2, 2))[0]
        return struct.unpack("<I", self.read(self.fat_start + cluster * 4, 4))[0] & 0x0fffffff

    def set(self, cluster, value):
        for copy in range(self.copies):
            base = self.fat_start + copy * self.fat_bytes
            if self.bits == 12:
                at = base + cluster * 3 // 2
                pair, = struct.unpack("<H", self.read(at, 2))
                pair = pair & 0x000f | value << 4 if cluster & 1 else pair & 0xf000 | value & 0xfff
                self.write(at, struct.pack("<H", pair & 0xffff))
            elif self.bits == 16:
                self.write(base + cluster * 2, struct.pack("<H", value & 0xffff))
            else:
                self.write(base + cluster * 4, struct.pack("<I", value & 0x0fffffff))

    def is_end(self, value):
        return value >= {12: 0xff8, 16: 0xfff8, 32: 0x0ffffff8}[self.bits]

    def chain(self, start):
        clusters = []
        while start >= 2 and not self.is_end(start) and start not in clusters:
            clusters.append(start)
            start = self.get(start)
        return clusters

    def cluster_at(self, cluster):
        return self.data_start + (cluster - 2) * self.cluster_bytes

    def slots(self, start):
        """(place, 32 bytes) of each slot of a directory; start None is the root."""
        if start is None and self.bits != 32:
            places = [self.root_start + i * 32 for i in range(self.root_entries)]
        else:
            clusters = self.chain(self.root_cluster if start is None else start)
            places = [self.cluster_at(c) + i for c in clusters
                      for i in range(0, self.cluster_bytes, 32)]
        for place in places:
            yield place, self.read(place, 32)

    def entries(self, start):
        """(place, slot, long name places, name, short name)"""
        parts = []
        for place, slot in self.slots(start):
            if slot[0] == 0:
                return
            if slot[0] == 0xe5:
                parts = []
            elif slot[11] == 0x0f:
                parts.append((place, slot))
            else:
                units = b"".join(s[1:11] + s[14:26] + s[28:32] for _, s in reversed(parts))
                name = units.decode("utf-16-le", "replace").split("\0")[0]
                base, extension = slot[:8].rstrip(), slot[8:11].rstrip()
                short = base + (b"." + extension if extension else b"")
                yield place, slot, [p for p, _ in parts], name, short.decode("latin-1")
                parts = []

    def find(self, path):
        start = None
        for part in path.strip("/").split("/"):
            for entry in self.entries(start):
                if part.lower() in (entry[3].lower(), entry[4].lower()):
                    break
            else:
                sys.exit("fatedit.py: %s: no %s" % (path, part))
            slot = entry[1]
            start = struct.unpack_from("<H", slot, 26)[0]
            if self.bits == 32:
                start |= struct.unpack_from("<H", slot, 20)[0] << 16
        return entry, start


def checksum(short):
    total = 0
    for byte in short:
        total = ((total >> 1) | (total & 1) << 7) + byte & 0xff
    return total


def main(argv):
    image, _, at = argv[0].partition("@@")
    number, suffix = re.fullmatch(r"(\d*)([SKMG]?)", at).groups()
    fat = Fat(image, int(number or 0) * SUFFIXES[suffix])
    command, args = argv[1], argv[2:]
    if command == "poke":
        fat.write(int(args[0], 0), bytes.fromhex(args[1]))
    elif command == "fat":
        print(fat.get(int(args[0], 0)))
    elif command == "setfat":
        special = {"free": 0, "end": 0x0fffffff, "bad": 0x0ffffff7}
        value = special[args[1]] if args[1] in special else int(args[1], 0)
        fat.set(int(args[0], 0), value & {12: 0xfff, 16: 0xffff, 32: 0x0fffffff}[fat.bits])
    else:
        (place, _, long_places, _, _), start = fat.find(args[0])
        if command == "chain":
            print(*fat.chain(start))
        elif command == "entry":
            print(place)
        elif command == "size":
            fat.write(place + 28, struct.pack("<I", int(args[1], 0)))
        elif command == "start":
            cluster = int(args[1], 0)
            fat.write(place + 26, struct.pack("<H", cluster & 0xffff))
            if fat.bits == 32:
                fat.write(place + 20, struct.pack("<H", cluster >> 16))
        elif command == "attr":
            fat.write(place + 11, bytes([int(args[1], 0)]))
        elif command in ("short", "forge"):
            short = bytes.fromhex(args[1])
            assert len(short) == 11
            fat.write(place, short)
            for slot in long_places:
                if command == "short":
                    fat.write(slot, b"\xe5")
                else:
                    fat.write(slot + 13, bytes([checksum(short)]))
        elif command == "long":
            index = int(args[1])
            slot = long_places[-1 - index // 13]
            within = index % 13
            fat.write(slot + (1 + 2 * within if within < 5 else 14 + 2 * (within - 5)
                              if within < 11 else 28 + 2 * (within - 11)),
                      struct.pack("<H", int(args[2], 0)))
        elif command == "checksum":
            for slot in long_places:
                old = fat.read(slot + 13, 1)[0]
                fat.write(slot + 13, bytes([old ^ 0x55]))
        else:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
