"""Small FAT volumes, slot by slot and field by field: what no tool makes."""
import struct


def short_entry(name, attributes=0x20, start=0, size=0, nt_bits=0, date=0x5921, time=0x6000, created=(0, 0, 0),
                high=0):
    """name: its 11 bytes."""
    assert len(name) == 11, name
    return struct.pack("<11sBBBHHHHHHHI", name, attributes, nt_bits, created[2], created[1], created[0], date, high,
                       time, date, start & 0xffff, size)


def checksum(name):
    total = 0
    for byte in name:
        total = ((total >> 1) | (total & 1) << 7) + byte & 0xff
    return total


def long_slots(name, short, units=None, ordinals=None, sum_of=None, attribute=0x0f, terminate=True):
    """The slots of a long name, in disk order. units: instead of those of `name`."""
    if units is None:
        units = list(struct.unpack("<%dH" % (len(name.encode("utf-16-le")) // 2), name.encode("utf-16-le")))
    if terminate and len(units) % 13:
        units = units + [0]
    units = units + [0xffff] * (-len(units) % 13)
    count = len(units) // 13
    ordinals = ordinals or [number | (0x40 if number == count else 0) for number in range(count, 0, -1)]
    slots = b""
    for ordinal, number in zip(ordinals, range(count, 0, -1)):
        part = struct.pack("<13H", *units[13 * number - 13:13 * number])
        slots += bytes([ordinal]) + part[:10] + bytes([attribute, 0, checksum(sum_of or short)]) + part[10:22] + \
            b"\0\0" + part[22:]
    return slots


class Volume:
    """`files` allocate their clusters one after the other; write() gives the bytes."""

    def __init__(self, bits, clusters=None, sector=512, cluster_sectors=1, reserved=None, copies=2, root_entries=None,
                 media=0xf8):
        self.bits, self.sector, self.cluster_sectors = bits, sector, cluster_sectors
        self.reserved = reserved or (32 if bits == 32 else 1)
        self.copies, self.media = copies, media
        self.clusters = clusters or {12: 300, 16: 4200, 32: 600}[bits]
        self.root_entries = root_entries if root_entries is not None else 0 if bits == 32 else 512
        self.fat_sectors = -(-(self.clusters + 2) * bits // 8 // sector) + 1
        self.cluster_bytes = sector * cluster_sectors
        self.table = {0: 0xfffff00 | media, 1: 0xfffffff}
        self.content = {}
        self.next = 3 if bits == 32 else 2
        self.root = []
        self.root_cluster = 2
        self.patches = []

    def place(self, data, end=0xfffffff, gap=0):
        """Clusters with `data`; returns the first, 0 for none. gap: clusters left out between two."""
        first = previous = 0
        for at in range(0, len(data), self.cluster_bytes):
            cluster = self.next
            self.next += 1 + gap
            self.content[cluster] = data[at:at + self.cluster_bytes]
            if previous:
                self.table[previous] = cluster
            first, previous = first or cluster, cluster
        if previous:
            self.table[previous] = end
        return first

    def chain(self, first):
        clusters = [first]
        while 2 <= self.table.get(clusters[-1], 0) < 0xff0:
            clusters.append(self.table[clusters[-1]])
        return clusters

    def add(self, name, data=b"x", directory=None, before=b"", **fields):
        """A file: `before` are slots in front of its entry. Into the root, or a list of slots."""
        gap = fields.pop("gap", 0)
        end = fields.pop("end", 0xfffffff)
        start = self.place(data, end, gap)
        fields.setdefault("size", len(data))
        fields.setdefault("start", start)
        slots = self.root if directory is None else directory
        slots.append(before + short_entry(name, high=fields.pop("high", start >> 16), **fields))
        return start

    def long(self, name, short, data=b"x", directory=None, units=None, **slots):
        return self.add(short, data, directory, before=long_slots(name, short, units, **slots))

    def directory(self, name, slots, dots=True, into=None, parent=0, room=0, **fields):
        """A directory of ready slots; its own dot entries come first."""
        body = b"".join(slots)
        # Where it will be is where the next cluster is.
        if dots:
            body = short_entry(b".          ", 0x10, self.next) + short_entry(b"..         ", 0x10, parent) + body
        body += bytes(max(room, -len(body) % self.cluster_bytes))
        start = self.place(body)
        fields.setdefault("attributes", 0x10)
        fields.setdefault("start", start)
        (self.root if into is None else into).append(short_entry(name, **fields))
        return start

    def patch(self, at, data):
        """Bytes over whatever is there."""
        self.patches.append((at, data))

    def fat_at(self):
        return self.reserved * self.sector

    def root_at(self):
        return self.fat_at() + self.copies * self.fat_sectors * self.sector

    def data_at(self):
        return self.root_at() + self.root_entries * 32

    def cluster_at(self, cluster):
        return self.data_at() + (cluster - 2) * self.cluster_bytes

    def encode_table(self):
        table = bytearray(self.fat_sectors * self.sector)
        for cluster, value in self.table.items():
            if self.bits == 12:
                at = cluster * 3 // 2
                pair = table[at] | table[at + 1] << 8
                value &= 0xfff
                pair = pair & 0xf | value << 4 if cluster & 1 else pair & 0xf000 | value
                table[at:at + 2] = struct.pack("<H", pair)
            elif self.bits == 16:
                struct.pack_into("<H", table, cluster * 2, value & 0xffff)
            else:
                struct.pack_into("<I", table, cluster * 4, value & 0xffffffff)
        return bytes(table)

    def boot(self):
        total = (self.data_at() + self.clusters * self.cluster_bytes) // self.sector
        boot = bytearray(512)
        struct.pack_into("<3s8sHBHBHHBHHHII", boot, 0, b"\xeb\x3c\x90", b"IMAGEFS ", self.sector,
                         self.cluster_sectors, self.reserved, self.copies, self.root_entries,
                         total if total < 65536 and self.bits != 32 else 0, self.media,
                         0 if self.bits == 32 else self.fat_sectors, 63, 255, 0,
                         0 if total < 65536 and self.bits != 32 else total)
        if self.bits == 32:
            struct.pack_into("<IHHIHH", boot, 36, self.fat_sectors, 0, 0, self.root_cluster, 1, 6)
            struct.pack_into("<BBBI11s8s", boot, 64, 0x80, 0, 0x29, 0x1234, b"VOLUME     ", b"FAT32   ")
        else:
            struct.pack_into("<BBBI11s8s", boot, 36, 0x80, 0, 0x29, 0x1234, b"VOLUME     ", b"FAT     ")
        boot[510:] = b"\x55\xaa"
        return bytes(boot)

    def write(self):
        root = b"".join(self.root)
        if self.bits == 32:
            # The root's first cluster is kept for it; the rest comes behind all files.
            self.content[self.root_cluster] = root[:self.cluster_bytes]
            self.table.setdefault(self.root_cluster, 0xfffffff)
            if len(root) > self.cluster_bytes:
                rest = root[self.cluster_bytes:]
                self.table[self.root_cluster] = self.place(rest + bytes(-len(rest) % self.cluster_bytes))
        image = bytearray(self.data_at() + self.clusters * self.cluster_bytes)
        image[:512] = self.boot()
        table = self.encode_table()
        for copy in range(self.copies):
            at = self.fat_at() + copy * len(table)
            image[at:at + len(table)] = table
        if self.bits != 32:
            assert len(root) <= self.root_entries * 32
            image[self.root_at():self.root_at() + len(root)] = root
        for cluster, data in self.content.items():
            at = self.cluster_at(cluster)
            image[at:at + len(data)] = data
        for at, data in self.patches:
            image[at:at + len(data)] = data
        return bytes(image)
