#!/usr/bin/python3
"""Holds imagefs against the kernel's own vfat, over a directory of images.

  vfat.py GUEST WORK IMAGES MOUNT LISTER DIFFERENCES [--all]

The images IMAGES/NAME.img become the disks of a guest (tests/guest), whose kernel reads
their partition tables and mounts every partition, and every disk as a whole, with vfat;
LISTER lists what it finds there, and here what imagefs shows under MOUNT:

  MOUNT/NAME:N   must be partition N, for every N that the kernel has
  MOUNT/NAME     must be the whole disk if that is what vfat mounts, else one of NAME:N;
                 if vfat mounts nothing, nothing

A disagreement that is written down in DIFFERENCES (see there) is counted, any other fails;
as does a line there that nothing fits any more. --all prints them all.
"""
import argparse
import collections
import concurrent.futures
import fnmatch
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "guest")]
from guest import Guest  # noqa: E402
from vfat_explain import Image  # noqa: E402

RESULT_BYTES = 64 << 20
DISKS = 120  # of one guest; with 300 its BIOS and kernel take minutes
SECTOR = 512
PLACE = "\\place"  # where the partition is

Seen = collections.namedtuple("Seen", "type size mtime content spellings")
Disagreement = collections.namedtuple("Disagreement", "image part path what vfat imagefs reason")


def disk_sector(image):
    return 4096 if "4096" in os.path.basename(image) else SECTOR


def parse(text):
    """{key: {path: Seen}}; a directory's own error is at its path + '/'."""
    trees = {}
    for line in text.splitlines():
        key, path, kind, size, mtime, content, spellings = line.split("\t")
        tree = trees.setdefault(key, {})
        seen = Seen(kind, int(size), int(mtime), content, spellings)
        place = {"x": path + "/", "m": path + "/", "p": PLACE}.get(kind, path)
        # A name twice: the second is told apart, as vfat lists such.
        while place in tree:
            place += "\\again"
        tree[place] = seen
    return trees


def list_in_guest(guest_directory, work, images, lister):
    """What vfat shows: {"LUN:PART": tree}, LUNs counting from 0."""
    result = os.path.join(work, "result")
    with open(result, "wb") as file:
        file.truncate(RESULT_BYTES)
    devices = ["-boot", "strict=on",  # the BIOS need not look into all of them
               "-device", "virtio-scsi-pci,id=s0"]
    for lun, (path, sector) in enumerate([(image, disk_sector(image))
                                          for image in images] + [(result, SECTOR)]):
        devices += ["-drive", "if=none,id=d%d,format=raw,file.locking=off,file=%s%s" % (
            lun, path, "" if path == result else ",read-only=on"),
            "-device", "scsi-hd,bus=s0.0,channel=0,scsi-id=0,lun=%d,drive=d%d,logical_block_size=%d,physical_block_size=%d"
            % (lun, lun, sector, sector)]
    with open(lister, "rb") as file:
        guest = Guest(guest_directory, {"lister": file.read()}, work, devices)
    print("  a guest with %d disks is up" % len(images), flush=True)
    guest.run("n=0; until r=$(ls /sys/bus/scsi/devices/0:0:0:%d/block 2>/dev/null); do n=$((n+1)); [ $n -lt 3000 ] || break; "
              "usleep 20000; done; /lister disks %d >/dev/$r && sync" % (len(images), len(images)))
    guest.end()
    with open(result, "rb") as file:
        text = file.read().split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
    if not text.endswith("end\n"):
        sys.exit("vfat.py: the guest's list has no end: %r" % text[-200:])
    return parse(text[:-len("end\n")])


def list_here(lister, mount, name):
    done = subprocess.run([lister, "tree", name, os.path.join(mount, name)], check=True, timeout=120,
                          stdout=subprocess.PIPE)
    return parse(done.stdout.decode("utf-8", "surrogateescape"))[name]


def is_there(tree):
    return "" in tree


def same_tree(a, b):
    """But for sizes of directories, which depend on who has read them."""
    a, b = ({path: seen if seen.type == "f" else seen._replace(size=0) for path, seen in tree.items()} for tree in (a, b))
    return a == b


def brief(seen):
    if seen is None:
        return "absent"
    if seen.type == "f":
        return "f %s" % ("whole" if len(seen.content) == 64 else seen.content)
    return " ".join(part for part in (seen.type, seen.content) if part)


def compare(name, part, vfat, imagefs, explain):
    """The disagreements of two trees. What is below a directory that only one shows is not told."""
    told = set()
    for path in sorted((set(vfat) | set(imagefs)) - {PLACE}):
        ours, theirs = imagefs.get(path), vfat.get(path)
        if any(path.startswith(above) for above in told):
            continue

        def differ(what, a, b):
            return Disagreement(name, part, path, what, str(a), str(b),
                                explain.why(what, path, ours, theirs, imagefs, vfat, explain.mount))
        if ours is None or theirs is None or brief(ours) != brief(theirs):
            if path not in ("", "/"):
                told.add(path.rstrip("/") + "/")
            yield differ("entry", brief(theirs), brief(ours))
            continue
        if path == "":
            continue  # a root has no entry, and so no time
        if ours.type in "fd" and ours.size != theirs.size:
            yield differ("size", theirs.size, ours.size)
        if ours.type in "fd" and ours.mtime != theirs.mtime:
            yield differ("mtime", theirs.mtime, ours.mtime)
        if ours.type == "f" and ours.content != theirs.content:
            yield differ("bytes", theirs.content, ours.content)
        if ours.spellings != theirs.spellings:
            yield differ("spellings", theirs.spellings, ours.spellings)


class Comparison:
    """One image: how much of it was compared, and all disagreements."""

    def __init__(self, path, parts, lister, mount):
        self.path, self.name = path, os.path.basename(path)[:-len(".img")]
        self.parts, self.mount = parts, mount
        self.found, self.entries, self.mounted = [], 0, 0
        here = {part: list_here(lister, mount, "%s:%d" % (self.name, part)) for part in parts if part}
        main_tree = list_here(lister, mount, self.name)
        for part, vfat in sorted(parts.items()):
            if part:
                self.one(part, vfat, here[part], "%s:%d" % (self.name, part))
        if is_there(parts[0]):
            self.one(0, parts[0], main_tree, self.name)
        elif is_there(main_tree) and not any(same_tree(main_tree, tree) for tree in here.values()):
            self.one(0, parts[0], main_tree, self.name)
        elif not is_there(main_tree) and any(map(is_there, here.values())):
            self.found.append(Disagreement(self.name, 0, "", "choice", "a partition", brief(main_tree.get("/")), None))

    def one(self, part, vfat, imagefs, shown):
        place = vfat.get(PLACE)
        sector = disk_sector(self.path)
        explain = Image(self.path, place.size if place else 0,
                        place.mtime if place else os.path.getsize(self.path) // sector * sector, sector)
        explain.mount = os.path.join(self.mount, shown)
        if is_there(vfat) and is_there(imagefs):
            self.mounted += 1
            self.entries += len(vfat)
            self.found += compare(self.name, part, vfat, imagefs, explain)
        elif is_there(vfat) or is_there(imagefs):
            theirs, ours = (brief(tree.get("", tree.get("/"))) for tree in (vfat, imagefs))
            self.found.append(Disagreement(self.name, part, "", "mount", theirs, ours,
                                           explain.why_not_mounted(theirs, ours)))


class Differences:
    """What no reason of vfat_explain.py covers. Lines of `IMAGE PART PATH WHAT VFAT -> IMAGEFS  # rule`, with shell patterns."""

    def __init__(self, path):
        self.rules = []
        with open(path, encoding="utf-8") as file:
            for line in file:
                line, _, rule = line.partition("  # ")
                if not line.strip() or line.startswith("#"):
                    continue
                head, _, ours = line.strip().partition(" -> ")
                words = re.split(r" +", head, maxsplit=4)
                self.rules.append([words + [ours], rule.strip(), 0])

    def known(self, disagreement):
        if disagreement.reason:
            return disagreement.reason
        image, part, path, what, vfat, imagefs = map(str, disagreement[:6])
        for rule in self.rules:
            words = rule[0]
            if all(fnmatch.fnmatchcase(text, pattern) for text, pattern in
                   zip((image, part, path or "/", what, vfat, imagefs), words)):
                rule[2] += 1
                return rule[1]
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("guest", "work", "images", "mount", "lister", "differences"):
        parser.add_argument(name)
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    images = [os.path.join(args.images, name) for name in sorted(os.listdir(args.images)) if name.endswith(".img")]
    images = [path for path in images if os.path.getsize(path) >= SECTOR]
    names = [os.path.basename(path)[:-len(".img")] for path in images]
    start = time.monotonic()
    disks = {name: {} for name in names}
    for first in range(0, len(images), DISKS):
        for key, tree in list_in_guest(args.guest, args.work, images[first:first + DISKS], args.lister).items():
            lun, _, part = key.partition(":")
            disks[names[first + int(lun)]][int(part)] = tree
    print("  guests have listed %d disks in %.0f s" % (len(images), time.monotonic() - start), flush=True)
    differences = Differences(args.differences)
    known, unknown, mounted, entries, refused = collections.Counter(), [], 0, 0, 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in pool.map(lambda path, name: Comparison(path, disks[name], args.lister, args.mount), images, names):
            mounted += done.mounted
            entries += done.entries
            refused += done.mounted == 0
            for disagreement in done.found:
                rule = differences.known(disagreement)
                if rule is None:
                    unknown.append(disagreement)
                else:
                    known[rule] += 1
                if args.all or rule is None and len(unknown) <= 60:
                    print("  %s: %s:%s /%s: %s: vfat %s, imagefs %s" % ((rule or "NEW",) + tuple(disagreement[:6])))
    print("  %d images, %d filesystems that both mount, %d images that have none for either, %d entries compared" % (
        len(images), mounted, refused, entries))
    for rule, count in sorted(known.items()):
        print("  written down: %-22s %d" % (rule, count))
    stale = [" ".join(rule[0]) for rule in differences.rules if rule[2] == 0]
    for line in stale:
        print("  NOTHING FITS ANY MORE: %s" % line)
    print("  %d disagreements are new" % len(unknown))
    sys.exit(1 if unknown or stale else 0)


if __name__ == "__main__":
    main()
