#!/usr/bin/python3
"""A random but repeatable tree of files, to be copied into a FAT.

  mktree.py SEED DIRECTORY CLUSTER_BYTES BUDGET_BYTES

Names of all kinds that FAT knows (case bits, long, Unicode, spaces, dots,
many with the same beginning), none equal to another in the same directory
when case is ignored; sizes around the bounds of clusters; empty files and
directories; one directory of several clusters.
"""
import os
import random
import sys

ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "abcXYZ019-_ .+,;=[]!#$%&'()@^`{}",
    "äöüßéèñøåÅŒœçÇ",
    "абвгдеЖЗИ",
    "日本語漢字かな",
    "ΑΒΓαβγ€™–“”",
]


def short_name(rng):
    base = "".join(rng.choices(ALPHABETS[0], k=rng.randint(1, 8)))
    extension = "".join(rng.choices(ALPHABETS[0], k=rng.randint(0, 3)))
    name_case, extension_case = rng.choice([(0, 0), (1, 0), (0, 1), (1, 1)])
    base = base.upper() if name_case else base
    extension = extension.upper() if extension_case else extension
    return base + ("." + extension if extension else "")


# mtools lets a directory grow by one cluster for one name: names end where it gives up.
LONGEST = 200


def long_name(rng):
    alphabet = rng.choice(ALPHABETS)
    length = rng.choice([1, 5, 12, 13, 14, 25, 26, 27, 39, 60, 120, 200])
    length = min(length, LONGEST)
    if not alphabet.isascii():  # short, they would be short names of a code page: see fat/
        length = max(length, 9)
    name = "".join(rng.choices(alphabet, k=length))
    while len(name.encode()) > 250:  # the host's names end at 255 bytes
        name = name[:-1]
    return name


def make_name(rng, used):
    while True:
        kind = rng.randrange(10)
        if kind < 3:
            name = short_name(rng)
        elif kind < 5:
            name = "bcm2711-rpi-%d-%s.dtb" % (rng.randrange(100), rng.choice("abcdef"))
        elif kind < 6:
            name = "." + short_name(rng)
        else:
            name = long_name(rng)
        name = name.strip(" ").rstrip(". ")  # FAT drops what trails
        if name in ("", ".", "..", "-"):  # mcopy reads "-" from stdin
            continue
        # Devices of old systems; mtools renames them.
        if name.split(".")[0].lower() in ("con", "aux", "nul", "prn", "clock$"):
            continue
        if name.casefold() not in used:
            used.add(name.casefold())
            return name


def main():
    seed, top, cluster, budget = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    rng = random.Random(seed)
    global LONGEST
    LONGEST = 120 if cluster <= 512 else 200
    directories = [top]
    used = {top: set()}
    for _ in range(8):
        parent = rng.choice([d for d in directories if d.count("/") - top.count("/") < 3])
        path = os.path.join(parent, make_name(rng, used[parent])[:60].rstrip(". "))
        if os.path.exists(path):
            continue
        os.mkdir(path)
        directories.append(path)
        used[path] = set()

    sizes = [0, 1, 511, 512, 513, cluster - 1, cluster, cluster + 1,
             2 * cluster - 1, 2 * cluster, 2 * cluster + 1, 5 * cluster + 7, 17 * cluster]
    # 1980 and 2107 are the ends of FAT's calendar; mtools stops in 2038 on some hosts.
    times = [315532800, 951782400, 1710506096, 2147483646, 1709164798]

    def add(directory, size, name=None):
        path = os.path.join(directory, name or make_name(rng, used[directory]))
        with open(path, "wb") as file:
            file.write(rng.randbytes(size))
        time = rng.choice(times) & ~1
        os.utime(path, (time, time))
        return -(-size // cluster) * cluster

    for size in sizes:
        budget -= add(rng.choice(directories), size)
    crowd = os.path.join(top, "several clusters of names")
    os.mkdir(crowd)
    used[crowd] = set()
    for _ in range(max(40, cluster // 16)):
        budget -= add(crowd, rng.choice([0, 1, 100]))
        if budget < 20 * cluster:
            break
    while budget > 20 * cluster:
        budget -= add(rng.choice(directories),
                      rng.choice([rng.randrange(0, 20 * cluster), rng.choice(sizes)]))


if __name__ == "__main__":
    main()
