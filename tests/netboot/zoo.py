#!/usr/bin/python3
"""Images for the comparison with the kernel's vfat, into one directory.

  zoo.py DIRECTORY CORPUS [--mutants N] [--seed N]

  fat-*     the fuzz corpus of fat/, as it is
  part-*    the fuzz corpus of part/, unpacked (see tests/fuzz/part.c)
  odd-*     unusual and legal, or unusual and damaged: one oddity each
  mutant-*  a sound volume with a few bytes of its boot sector, tables or directories changed
            at random

Images whose disk must have sectors of 4096 bytes have 4096 in their names.
"""
import argparse
import binascii
import os
import random
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fatimage import Volume, long_slots, short_entry  # noqa: E402

HOLE = 1 << 16


# --- the corpora ---------------------------------------------------------------------

def unpack_part(data):
    """(size, {offset: bytes}), with the check sums of GPT headers made right where asked."""
    size, = struct.unpack_from("<Q", data, 2)
    size &= (1 << 62) - 1
    at, records = 10, []
    while at + 7 <= len(data):
        flags, sector, length = struct.unpack_from("<BIH", data, at)
        body = bytearray(data[at + 7:at + 7 + length])
        at += 7 + length
        records.append([size - min(sector * 512, size) if flags & 1 else sector * 512, body, flags & 2])

    def read(offset, length):
        out = bytearray(length)
        for start, body, _ in records:
            low, high = max(offset, start), min(offset + length, start + len(body))
            if low < high:
                out[low - offset:high - offset] = body[low - start:high - start]
        return bytes(out)

    for start, body, is_header in records:
        if not is_header or len(body) < 92:
            continue
        header_bytes, = struct.unpack_from("<I", body, 12)
        lba, = struct.unpack_from("<Q", body, 24)
        entries, = struct.unpack_from("<Q", body, 72)
        count, each = struct.unpack_from("<II", body, 80)
        place = entries * (start // lba if lba else 512)
        if header_bytes > len(body) or header_bytes < 92:
            continue
        if count * each <= 65536 and place + count * each <= size:
            struct.pack_into("<I", body, 88, binascii.crc32(read(place, count * each)))
        struct.pack_into("<I", body, 16, 0)
        struct.pack_into("<I", body, 16, binascii.crc32(bytes(body[:header_bytes])))
    return size, records


def add_corpora(top, corpus):
    for name in sorted(os.listdir(os.path.join(corpus, "fat"))):
        with open(os.path.join(corpus, "fat", name), "rb") as source:
            yield "fat-" + name, source.read()
    for name in sorted(os.listdir(os.path.join(corpus, "part"))):
        with open(os.path.join(corpus, "part", name), "rb") as source:
            size, records = unpack_part(source.read())
        if not 512 <= size <= 1 << 43:
            continue  # no disk can be so
        with open(os.path.join(top, "part-%s.img" % name), "wb") as out:
            out.truncate(size)
            for offset, body, _ in records:
                if offset < size:
                    out.seek(offset)
                    out.write(body[:size - offset])


# --- oddities ------------------------------------------------------------------------

def sound(bits, **shape):
    """A bit of everything that is as it should be."""
    volume = Volume(bits, **shape)
    cluster = volume.cluster_bytes
    volume.root.append(short_entry(b"BOOT       ", 0x08))
    volume.add(b"CONFIG  TXT", b"arm_64bit=1\n")
    volume.add(b"KERNEL8 IMG", bytes(range(256)) * (5 * cluster // 256) + b"end", nt_bits=0x18, gap=1)
    volume.add(b"EMPTY      ", b"")
    volume.long("Raspberry Pi.dtb", b"RASPBE~1DTB", b"dtb" * 100)
    volume.directory(b"OVERLAYS   ", [long_slots("vc4-kms-v3d.dtbo", b"VC4-KM~1DTB") +
                                      short_entry(b"VC4-KM~1DTB", start=volume.place(b"overlay"), size=7),
                                      short_entry(b"README     ")[:26] + struct.pack("<HI", 0, 0)])
    return volume


def shapes():
    for bits in (12, 16, 32):
        for sector in (512, 1024, 2048, 4096):
            # The FAT16 of small sectors and the like need their number of clusters.
            yield "odd-fat%d-sector%d" % (bits, sector), sound(bits, sector=sector)
        yield "odd-fat%d-one-copy" % bits, sound(bits, copies=1)
        yield "odd-fat%d-four-copies" % bits, sound(bits, copies=4)
        yield "odd-fat%d-reserved-77" % bits, sound(bits, reserved=77)
        yield "odd-fat%d-media-f0" % bits, sound(bits, media=0xf0)
        yield "odd-fat%d-media-fa" % bits, sound(bits, media=0xfa)
    for sectors in (2, 8, 64, 128):
        yield "odd-fat12-cluster%d" % sectors, sound(12, cluster_sectors=sectors, clusters=40)
    yield "odd-fat16-root-16", sound(16, root_entries=16)
    yield "odd-fat12-4084-clusters", sound(12, clusters=4084)
    yield "odd-fat16-4085-clusters", sound(16, clusters=4085)
    yield "odd-fat32-4-clusters-and-root-entries", sound(32, clusters=40, root_entries=512)


def boots():
    """Fields of the boot sector that mean nothing, or nearly."""
    for bits in (12, 16, 32):
        def one(name, at, data):
            volume = sound(bits)
            volume.patch(at, data)
            return "odd-fat%d-%s" % (bits, name), volume
        yield one("no-signature", 510, b"\0\0")
        yield one("no-jump", 0, b"\0\0\0garbage!")
        yield one("dirty", 65 if bits == 32 else 37, b"\1")
        yield one("both-totals", 19, b"\x50\x01")
        yield one("media-other-than-fat0", 21, b"\xf9")
        yield one("media-01", 21, b"\x01")
        yield one("no-reserved", 14, b"\0\0")
        yield one("no-fats", 16, b"\0")
        yield one("cluster-3", 13, b"\3")
        yield one("cluster-0", 13, b"\0")
        yield one("sector-768", 11, struct.pack("<H", 768))
        yield one("sector-8192", 11, struct.pack("<H", 8192))
        yield one("total-0", 19, bytes(2))
        yield one("total-1000000", 32, struct.pack("<I", 1000000))
        yield one("root-entries-17", 17, struct.pack("<H", 17))
        yield one("hidden-sectors", 28, b"\xff\xff\xff\xff")
        yield one("second-fat-garbage", sound(bits).fat_at() + sound(bits).fat_sectors * 512, b"\xa5" * 512)
    for name, at, data in (("active-fat-1", 40, b"\x81\0"), ("version-1", 42, b"\0\1"), ("root-0", 44, bytes(4)),
                           ("root-1", 44, b"\1\0\0\0"), ("root-far", 44, b"\xff\xff\0\0"), ("no-fsinfo", 48, b"\xff\xff"),
                           ("fat-size-0", 36, bytes(4)), ("fat-size-1", 36, b"\1\0\0\0"), ("fat-size-huge", 36, b"\xff" * 4)):
        volume = sound(32)
        volume.patch(at, data)
        yield "odd-fat32-" + name, volume
    for bits in (12, 16):
        volume = sound(bits)
        volume.patch(22, b"\1\0")
        yield "odd-fat%d-fat-of-one-sector" % bits, volume
        volume = sound(bits)
        volume.patch(17, b"\0\0")
        yield "odd-fat%d-no-root" % bits, volume


def tables():
    """Ends, holes and crossings in chains."""
    marks = {"end-ff8": 0xffffff8, "end-ffb": 0xffffffb, "bad-ff7": 0xffffff7, "ff6": 0xffffff6, "ff0": 0xffffff0,
             "free": 0, "one": 1}
    for bits in (12, 16, 32):
        for name, value in marks.items():
            volume = sound(bits)
            volume.add(b"LAST    BIN", b"z" * 1300, end=value)
            volume.add(b"LONGER  BIN", b"z" * 1300, end=value, size=700)
            volume.add(b"WHOLE   BIN", b"z" * 1024, end=value)
            volume.add(b"SHORTER BIN", b"z" * 1300, end=value, size=4000)
            yield "odd-fat%d-last-%s" % (bits, name), volume
        volume = sound(bits)
        start = volume.add(b"FIRST   BIN", b"1" * 2000)
        volume.add(b"SECOND  BIN", b"", start=start, size=2000)
        volume.add(b"MIDDLE  BIN", b"", start=start + 1, size=900)
        volume.add(b"NOSIZE  BIN", b"2" * 2000, size=0)
        volume.add(b"NOSTART BIN", b"", size=10)
        volume.add(b"START1  BIN", b"", start=1, size=10)
        volume.add(b"FAR     BIN", b"", start=volume.clusters + 2, size=10)
        volume.add(b"BEYOND  BIN", b"", start=volume.clusters + 1, size=10)
        volume.table[volume.clusters + 1] = 0xfffffff
        loop = volume.add(b"LOOP    BIN", b"3" * 2000)
        volume.table[loop + 2] = loop
        volume.add(b"LOOPSHRTBIN", b"", start=loop, size=1500)
        volume.add(b"HIGH    BIN", b"high word", high=0x0055)
        volume.add(b"HUGE    BIN", b"4" * 600, size=0xffffffff)
        yield "odd-fat%d-starts-and-crossings" % bits, volume
    volume = sound(32)
    for cluster in list(volume.table):
        volume.table[cluster] |= 0x70000000
    yield "odd-fat32-upper-4-bits", volume


def names():
    volume = Volume(16)
    for number, name in enumerate((
            b"lower   txt", b"\x05ANJI   TXT", b"\xe5\xe5DELETED", b"UML\x8e\x99\x9a  TXT", b"A B C   D E", b" LEAD   TXT",
            b"A.B     C.D", b"DOT.       ", b"       .   ", b"CTRL\x01\x1f  TXT", b"A\\B        ", b"NUL\0ABC TXT", b"NUL     \0XT", b"...        ", b". .        ", b"STAR*?  <>|", b"\x7f\xff\x80     TXT", b"COLON:  TX\"", b"TRAIL   T  ",
            b"\xe1\xe4\xe8\xea   \x9b\x9c\x9d", b"+,;=[]  TXT", b"~!@#$%^&()_", b"A..B    TXT", b"NEWLINE\nTXT",
            b"TAB\tS   TXT")):
        volume.add(name.ljust(11)[:11], b"%d" % number)
    yield "odd-names-short", volume
    volume = Volume(16)
    for bits in range(0, 256, 8):
        volume.add(b"CASE%02X\x8e\x80TXT" % bits, b"%d" % bits, nt_bits=bits)
    volume.add(b"\xe8\xe4\x92\xa5\x8f\x90  \x99\x9a\xe2", b"greek", nt_bits=0x18)
    yield "odd-names-case-bits", volume
    # Everything code page 437 has above 0x7f, as it is and in lower case.
    volume = Volume(16)
    for first in range(0x80, 0x100, 8):
        page = bytes(range(first, first + 8))
        if first == 0xe0:
            page = page[1:] + b"\xe0"
        for extension, nt_bits in ((b"AS ", 0), (b"LOW", 0x08)):
            volume.add(page + extension, b"x", nt_bits=nt_bits)
    yield "odd-names-cp437", volume
    volume = Volume(16)
    odd = ["a", "exactly 13 ch", "exactly 14 cha", "exactly twenty-six charact", " leading space", "trailing dot.",
           "trailing dots...", "trailing space ", ". ", "...", ".hidden", "back\\slash",
           "star*?<>|\":", "control\x01\x1f\x7f", "new\nline", "emoji \U0001f600 pair", "日本語のとても長い名前です", "ß ẞ ı İ K", "é e\u0301",
           "\u202e right to left", "x" * 255, "語" * 255, "\U0001f600" * 127, "~1", "CON", "nul.txt", "A" * 8 + ".txt", "name.with.dots.txt", "\ufeffbom",
           "\uffff", "\ue000 private", "tilde~1.txt"]
    for number, name in enumerate(odd):
        volume.long(name, b"ODD%05dTXT" % number, name.encode())
    yield "odd-names-long", volume
    volume = Volume(16)
    units = {"nul inside": [0x61, 0, 0x62, 0x63],
             "ffff inside": [0x61, 0xffff, 0x62], "256 units": [0x61] * 256, "260 units": [0x62] * 260,
             "fullwidth slash": [0x61, 0xff0f, 0x62], "13 no terminator": [0x63] * 13, "five spaces": [0x20] * 5,
             "pair across slots": [0x64] * 12 + [0xd83d, 0xde00], "255 no terminator": [0x65] * 255}
    for number, value in enumerate(units.values()):
        volume.long("", b"UNIT%04dTXT" % number, units=list(value))
    volume.add(b"BEFORE     ", b"x")
    volume.long("", b"NOPAD   TXT", units=[0x61, 0x62, 0] + [0x63] * 10)
    yield "odd-names-units", volume
    # What one of the two cannot pass on: each in an image of its own, between two others.
    unsafe = {"lone-high": [0x61, 0xd800, 0x62], "lone-low": [0x61, 0xdc00, 0x62], "swapped": [0xdc00, 0xd800],
              "high-at-the-end": [0x61, 0xd800], "nul-first": [0, 0x61], "only-ffff": [0xffff] * 13,
              "slash": [0x61, 0x2f, 0x62], "dot": [0x2e], "dot-dot": [0x2e, 0x2e], "ffff-padding-alone": [0x61, 0x62]}
    for name, value in unsafe.items():
        volume = Volume(16)
        volume.add(b"GOOD       ", b"good")
        volume.long("", b"UNSAFE  TXT", units=list(value), terminate=name != "ffff-padding-alone")
        volume.add(b"LAST       ", b"last")
        yield "odd-unsafe-" + name, volume
    for name, value in {"slash": b"A/B        ", "spaces": b"           ", "extension-alone": b"        EXT",
                        "dot": b".          ", "dot-dot": b"..         ", "nul": b"A\0B     C  "}.items():
        volume = Volume(16)
        volume.add(b"GOOD       ", b"good")
        volume.add(value, b"unsafe")
        volume.add(b"LAST       ", b"last")
        yield "odd-unsafe-short-" + name, volume
    volume = Volume(16)
    short = b"ORPHAN%02dTXT"
    number = 0

    def orphan(slots):
        nonlocal number
        volume.add(short % number, b"%d" % number, before=slots)
        number += 1
    name = "a long name of three whole slots, it is"
    whole = long_slots(name, short % 0)
    orphan(whole[32:])  # 0: the last is missing
    whole = long_slots(name, short % 1)
    orphan(whole[:-32])  # 1: the first is missing
    whole = long_slots(name, short % 2)
    orphan(whole[:32] + whole[64:])  # 2: the middle
    whole = long_slots(name, short % 3)
    orphan(whole[:32] + b"\xe5" + whole[33:64] + whole[64:])  # 3: the middle was deleted
    orphan(long_slots(name, short % 4, ordinals=[0x43, 3, 1]))
    orphan(long_slots(name, short % 5, ordinals=[3, 2, 1]))
    orphan(long_slots(name, short % 6, ordinals=[0x43, 0x42, 0x41]))
    orphan(long_slots(name, short % 7, sum_of=b"OTHER   TXT"))
    orphan(long_slots("twice", short % 8) + long_slots("and once more", short % 8))  # 8
    orphan(long_slots(name, short % 9, attribute=0x0f) + short_entry(b"\xe5RASED  TXT"))  # 9
    orphan(long_slots("before a label", b"LABEL      ") + short_entry(b"LABEL      ", 0x08))  # 10
    orphan(long_slots(name, short % 11, ordinals=[0x40, 2, 1]))
    orphan(long_slots(name, short % 12, ordinals=[0x55, 0x14, 0x13]))
    orphan(long_slots(name, short % 13, attribute=0x1f))
    orphan(long_slots(name, short % 14, attribute=0x2f))
    orphan(long_slots(name, short % 15, attribute=0x3f))
    orphan(long_slots(name, short % 16, attribute=0xcf))
    orphan(long_slots(name, short % 17, ordinals=[0x63, 0x22, 0x21]))
    orphan(long_slots(name, short % 18, ordinals=[0xc3, 2, 1]))
    broken = bytearray(long_slots(name, short % 19))
    broken[12] = 1  # the type: to be 0
    orphan(bytes(broken))
    broken = bytearray(long_slots(name, short % 20))
    broken[32 + 26] = 7  # the start cluster: to be 0
    orphan(bytes(broken))
    broken = bytearray(long_slots(name, short % 21))
    broken[32 + 13] ^= 1  # one slot of other checksum
    orphan(bytes(broken))
    volume.root.append(long_slots("at the very end", b"NOWHERE TXT"))
    yield "odd-names-orphans", volume
    volume = Volume(16)
    volume.add(b"SAME    TXT", b"first")
    volume.add(b"SAME    TXT", b"second")
    volume.add(b"SAME    TXT", b"third", nt_bits=0x18)
    volume.long("Long.txt", b"LONG1   TXT", b"first")
    volume.long("long.TXT", b"LONG2   TXT", b"second")
    volume.long("SAME.TXT", b"OTHER   TXT", b"fourth")
    volume.long("OTHER2.txt", b"SHADOW  TXT", b"owner of the long name")
    volume.add(b"OTHER2  TXT", b"owner of the short name")
    volume.add(b"SHADOWED   ", b"a")
    volume.long("shadowed", b"SHADOW~1   ", b"b")
    volume.long("tail", b"TAIL1      ", b"1")
    volume.long("tail.", b"TAIL2      ", b"2")
    volume.long("tail..", b"TAIL3      ", b"3")
    volume.directory(b"BOTH       ", [])
    volume.add(b"BOTH       ", b"file")
    yield "odd-names-equal", volume


def entries():
    for bits in (12, 16, 32):
        volume = Volume(bits)
        for attributes in range(256):
            if attributes & 0x3f == 0x0f or attributes & 0x10:
                continue
            volume.add(b"ATTR%02X  TXT" % attributes, b"%02x" % attributes, attributes=attributes)
        yield "odd-fat%d-attributes" % bits, volume
        volume = Volume(bits)
        for number, attributes in enumerate((0x10, 0x11, 0x12, 0x16, 0x18, 0x30, 0x50, 0x90, 0x37)):
            volume.directory(b"DIR%02X      " % attributes, [short_entry(b"INNER   TXT")], attributes=attributes,
                             size=number)
        volume.directory(b"NODOTS     ", [short_entry(b"INNER   TXT")], dots=False)
        volume.directory(b"ONEDOT     ", [short_entry(b".          ", 0x10, 5), short_entry(b"INNER   TXT")], dots=False)
        volume.directory(b"TWODIRS    ", [short_entry(b"EMPTY1     ", 0x10, 0), short_entry(b"EMPTY2     ", 0x10, 0),
                                          short_entry(b"INNER   TXT")], dots=False)
        volume.directory(b"LABELLED   ", [short_entry(b".          ", 0x18, 5), short_entry(b"..         ", 0x18, 0)], dots=False)
        volume.directory(b"DOTSBEHIND ", [short_entry(b"BEFORE  TXT"), bytes(32), short_entry(b".          ", 0x10, 5),
                                          short_entry(b"..         ", 0x10, 0)], dots=False)
        volume.directory(b"ZEROES     ", [bytes(32)], dots=False)
        volume.directory(b"EMPTY      ", [])
        volume.directory(b"WITHSIZE   ", [short_entry(b"INNER   TXT")], size=12345)
        volume.directory(b"DOTSLATER  ", [short_entry(b"INNER   TXT"), short_entry(b".          ", 0x10, 5),
                                          short_entry(b"..         ", 0x10, 0), short_entry(b"AFTER   TXT")], dots=False)
        volume.directory(b"BEHIND0    ", [short_entry(b"BEFORE  TXT"), bytes(32), short_entry(b"BEHIND  TXT")])
        volume.directory(b"HOLES      ", [short_entry(b"\xe5GONE1  TXT") + short_entry(b"THERE%03dTXT" % n) for n in range(40)])
        volume.directory(b"MANY       ", [short_entry(b"FILE%04dTXT" % n) for n in range(200)])
        volume.directory(b"ALLOCATED  ", [short_entry(b"ONE     TXT")], room=4096)
        volume.directory(b"NOSTART    ", [], start=0)
        volume.directory(b"START1     ", [], start=1)
        volume.directory(b"FAR        ", [], start=0xfff0)
        inner = volume.directory(b"INTOLAST   ", [short_entry(b"A       TXT")] * 40)
        volume.table[volume.chain(inner)[-1]] = 0
        inner = volume.directory(b"INTOBAD    ", [short_entry(b"A       TXT")] * 40)
        volume.table[volume.chain(inner)[-1]] = 0xffffff7
        inner = volume.directory(b"LOOPS      ", [short_entry(b"A       TXT")] * 40)
        volume.table[volume.chain(inner)[-1]] = inner
        slots = [short_entry(b"DEEPEST TXT")]
        below = 0
        for depth in range(9):
            into = slots if depth == 0 else [short_entry(b"DEEPER     ", 0x10, below), short_entry(b"BESIDE  TXT")]
            body = b"".join(into)
            below = volume.place(short_entry(b".          ", 0x10, volume.next) +
                                 short_entry(b"..         ", 0x10, 0) + body)
        volume.add(b"DEEP       ", b"", start=below, attributes=0x10)
        yield "odd-fat%d-directories" % bits, volume
        volume = Volume(bits)
        for number, (date, time) in enumerate((
                (0, 0), (0x21, 0), (0xffff, 0xffff), (0x279f, 0xbf7d), (0xff9f, 0xbf7d), (0x5800 | 0 << 5 | 10, 0),
                (0x5800 | 13 << 5 | 10, 0), (0x5800 | 15 << 5 | 31, 0), (0x5800 | 2 << 5 | 29, 0), (0x5800 | 2 << 5 | 31, 0),
                (0x5600 | 2 << 5 | 29, 0), (0x5921, 24 << 11), (0x5921, 31 << 11), (0x5921, 60 << 5), (0x5921, 63 << 5),
                (0x5921, 30), (0x5921, 31), (0x5921, 23 << 11 | 59 << 5 | 29), (0x5800 | 1 << 5, 0), (0x21, 1),
                (120 << 9 | 2 << 5 | 28, 0), (120 << 9 | 2 << 5 | 29, 0), (120 << 9 | 3 << 5 | 1, 0), (20 << 9 | 2 << 5 | 29, 0),
                (20 << 9 | 3 << 5 | 1, 0), (117 << 9 | 12 << 5 | 31, 0), (127 << 9 | 12 << 5 | 31, 0xbf7d))):
            volume.add(b"TIME%02d  TXT" % number, b"x", date=date, time=time, created=(date, time, 199))
        yield "odd-fat%d-times" % bits, volume


def more_than_a_byte():
    volume = Volume(32)
    for number in range(100):  # the root takes several clusters, not one after the other
        volume.long("a long name for number %d" % number, b"LONG%04dTXT" % number)
    yield "odd-fat32-root-of-many-clusters", volume
    volume = sound(16)
    image = volume.write()
    yield "odd-fat16-cut-in-the-data", image[:volume.data_at() + 3 * 512]
    yield "odd-fat16-cut-in-the-root", image[:volume.root_at() + 512]
    yield "odd-fat16-cut-in-the-fat", image[:volume.fat_at() + 512]
    yield "odd-fat16-boot-sector-alone", image[:512]
    yield "odd-fat16-odd-length", image[:-100]
    yield "odd-fat12-on-4096", sound(12, sector=4096).write()
    yield "odd-fat32-on-4096", sound(32, sector=4096).write()
    yield "odd-fat12-sector512-on-4096", sound(12, sector=512, cluster_sectors=8).write()
    # A partition that is smaller, or larger, than the volume in it.
    for name, sectors in (("smaller", 100), ("larger", 8192)):
        table = bytearray(512)
        struct.pack_into("<B3sB3sII", table, 446, 0, b"", 0xc, b"", 64, sectors)
        table[510:] = b"\x55\xaa"
        yield "odd-partition-%s" % name, bytes(table) + bytes(63 * 512) + sound(12).write() + bytes(8192 * 512)


# --- mutants -------------------------------------------------------------------------

def mutants(count, seed):
    for number in range(count):
        rng = random.Random("%s-%d" % (seed, number))
        bits = rng.choice((12, 16, 32))
        volume = sound(bits)
        inner = [long_slots("name number %d of them" % n, b"NAME%04dTXT" % n) +
                 short_entry(b"NAME%04dTXT" % n, start=volume.place(b"%d" % n * 700), size=700 * len(str(n)))
                 for n in range(12)]
        volume.directory(b"INNER      ", inner)
        image = bytearray(volume.write())
        used = [volume.cluster_at(cluster) for cluster in volume.content]
        for _ in range(rng.choice((1, 2, 4, 8))):
            where = rng.random()
            if where < .1:
                at = rng.randrange(64)
            elif where < .5:
                at = volume.fat_at() + rng.randrange(2 * volume.next * bits // 8)
            elif where < .7:
                at = (volume.cluster_at(2) if bits == 32 else volume.root_at()) + rng.randrange(320)
            else:
                at = rng.choice(used[-20:]) + rng.randrange(volume.cluster_bytes)
            image[at] = rng.choice((0, 1, 0xff, 0x0f, 0x10, 0xe5, image[at] ^ 1 << rng.randrange(8), rng.randrange(256)))
        yield "mutant-%s-%03d" % (seed, number), bytes(image)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("corpus")
    parser.add_argument("--mutants", type=int, default=60)
    parser.add_argument("--seed", default="1")
    args = parser.parse_args()
    for makers in (add_corpora(args.directory, args.corpus), shapes(), boots(), tables(), names(), entries(),
                   more_than_a_byte(), mutants(args.mutants, args.seed)):
        for name, image in makers:
            image = image if isinstance(image, bytes) else image.write()
            with open(os.path.join(args.directory, name + ".img"), "wb") as out:
                for at in range(0, len(image), HOLE):  # what is empty is a hole
                    if image[at:at + HOLE].strip(b"\0"):
                        out.seek(at)
                        out.write(image[at:at + HOLE])
                out.truncate(len(image))


if __name__ == "__main__":
    main()
