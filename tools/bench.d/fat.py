"""fat: FAT volumes made to measure, sparse: which clusters a file has is said, not left to an allocator.

A volume is an image by itself, without a partition table. Names are 8.3.
"""
import struct

SECTOR = 512
END = {16: 0xFFFF, 32: 0x0FFFFFFF}
RESERVED = 32
ROOT16_ENTRIES = 512


def entry(name, attributes, cluster, size):
    stem, _, extension = (name, "", "") if name in (".", "..") else name.upper().partition(".")
    short = stem.ljust(8).encode() + extension.ljust(3).encode()
    return struct.pack("<11s3B7HI", short, attributes, 0, 0, 0, 0x5000, 0x5000, cluster >> 16, 0, 0x5000,
                       cluster & 0xFFFF, size)


class Volume:
    """Of so many clusters; FAT16 below 65525, else FAT32."""

    def __init__(self, path, clusters, cluster_bytes=4096, label=b"BOOT       "):
        self.bits = 16 if clusters < 65525 else 32
        self.cluster_bytes = cluster_bytes
        width = self.bits // 8
        fat_sectors = (width * (clusters + 2) + SECTOR - 1) // SECTOR
        root_sectors = ROOT16_ENTRIES * 32 // SECTOR if self.bits == 16 else 0
        total = RESERVED + fat_sectors + root_sectors + clusters * (cluster_bytes // SECTOR)
        boot = bytearray(SECTOR)
        boot[0:11] = b"\xeb\x58\x90mkfs.fat"
        struct.pack_into("<HBHBHHBHHHII", boot, 11, SECTOR, cluster_bytes // SECTOR, RESERVED, 1,
                         ROOT16_ENTRIES if self.bits == 16 else 0, 0, 0xF8, fat_sectors if self.bits == 16 else 0, 32, 64,
                         0, total)
        if self.bits == 32:
            struct.pack_into("<IHHIHH", boot, 36, fat_sectors, 0, 0, 2, 0, 0)
            boot[66], boot[71:90] = 0x29, label + b"FAT32   "
        else:
            boot[38], boot[43:62] = 0x29, label + b"FAT16   "
        boot[510:512] = b"\x55\xaa"
        self.fat = RESERVED * SECTOR
        self.root = self.fat + fat_sectors * SECTOR
        self.data = self.root + root_sectors * SECTOR
        self.file = open(path, "w+b")
        self.file.truncate(total * SECTOR)
        self.put(0, boot)
        self.put(self.fat, struct.pack("<HH" if self.bits == 16 else "<II", END[self.bits] & ~7, END[self.bits]))
        self.next = 2
        self.entries = []  # of the root
        if self.bits == 32:
            self.next = 3  # the root has 2

    def put(self, offset, data):
        self.file.seek(offset)
        self.file.write(data)

    def offset_of(self, cluster):
        return self.data + (cluster - 2) * self.cluster_bytes

    def chain(self, first, count, stride=1):
        """`count` clusters, `stride` apart."""
        kind, width = ("H", 2) if self.bits == 16 else ("I", 4)
        numbers = [*range(first + stride, first + stride * count, stride), END[self.bits]]
        if stride == 1:
            self.put(self.fat + width * first, struct.pack("<%d%s" % (count, kind), *numbers))
            return
        table = [0] * ((count - 1) * stride + 1)
        table[::stride] = numbers
        self.put(self.fat + width * first, struct.pack("<%d%s" % (len(table), kind), *table))

    def pieces(self, count, piece):
        """A chain of `count` clusters in pieces of `piece`, with as much room between them. Its first cluster."""
        return self.scattered([self.next + number + number // piece * piece for number in range(count)])

    def scattered(self, numbers):
        """A chain of these clusters, in that order."""
        kind, width = ("H", 2) if self.bits == 16 else ("I", 4)
        first, following = min(numbers), dict(zip(numbers, [*numbers[1:], END[self.bits]]))
        table = [following.get(number, 0) for number in range(first, max(numbers) + 1)]
        self.put(self.fat + width * first, struct.pack("<%d%s" % (len(table), kind), *table))
        self.next = max(numbers) + 1
        return numbers[0]

    def allocate(self, size, stride=1):
        """First cluster of a chain that holds `size` bytes; 0 of an empty file."""
        count = -(-size // self.cluster_bytes)
        first = self.next
        if count == 0:
            return 0
        self.chain(first, count, stride)
        self.next += count * stride
        return first

    def write(self, name, data, into=None):
        """A contiguous file. Returns its offset."""
        return self.reserve(name, len(data), data=data, into=into)

    def reserve(self, name, size, stride=1, data=None, into=None):
        """A file of holes, unless `data` is given (then without stride). `into`: the list of entries to be in."""
        first = self.allocate(size, stride)
        if data:
            self.put(self.offset_of(first), data)
        (self.entries if into is None else into).append(entry(name, 0x20, first, size))
        return self.offset_of(first) if first else 0

    def directory(self, name, entries, into=None, parent=0):
        """A directory of these entries. Returns its first cluster."""
        size = 32 * (len(entries) + 2)
        first = self.allocate(size)
        dots = entry(".", 0x10, first, 0), entry("..", 0x10, parent, 0)
        self.put(self.offset_of(first), b"".join([*dots, *entries]))
        (self.entries if into is None else into).append(entry(name, 0x10, first, 0))
        return first

    def close(self):
        """Writes the root, of at most 512 entries."""
        data = b"".join(self.entries)
        if self.bits == 32:
            count = max(1, -(-len(data) // self.cluster_bytes))
            if count == 1:
                self.chain(2, 1)
            else:  # its second cluster is behind everything
                more = self.next
                self.chain(more, count - 1)
                self.put(self.fat + 8, struct.pack("<I", more))
                self.put(self.offset_of(more), data[self.cluster_bytes:])
            self.put(self.offset_of(2), data[:self.cluster_bytes])
        else:
            self.put(self.root, data)
        self.file.close()


def tiny(text=b"tiny\n"):
    """The first 4 KiB of an image of 64 KiB, whose rest is a hole: a FAT12 with a CONFIG.TXT. 4 KiB of disk each."""
    boot = bytearray(SECTOR)
    boot[0:11] = b"\xeb\x3c\x90mkfs.fat"
    struct.pack_into("<HBHBHHBHHHII", boot, 11, SECTOR, 1, 1, 1, 16, 128, 0xF8, 1, 32, 64, 0, 0)
    boot[38], boot[43:62], boot[510:512] = 0x29, b"BOOT       FAT12   ", b"\x55\xaa"
    fat = b"\xf8\xff\xff\xff\x0f".ljust(SECTOR, b"\0")
    return (bytes(boot) + fat + entry("config.txt", 0x20, 2, len(text)).ljust(SECTOR, b"\0") + text).ljust(4096, b"\0")


TINY_BYTES = 128 * SECTOR
