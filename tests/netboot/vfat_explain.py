"""Why imagefs and vfat differ: the reasons of tests/netboot/README, each looked up in the image.

A reason counts only if the image has what it speaks of, as read here, by neither of the two.
"""
import os
import re
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from fatedit import Fat  # noqa: E402

AGAIN = re.compile(r"(\\again)+$")
PADDING = "\uffff"
BAD = {12: 0xff7, 16: 0xfff7, 32: 0x0ffffff7}


def unescape(path):
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), path)


class Image:
    def __init__(self, path, offset, length, disk_sector):
        self.length, self.disk_sector = length, disk_sector
        with open(path, "rb") as file:
            file.seek(offset)
            self.boot = file.read(512)
        self.path, self.offset = path, offset
        try:
            self.fat = Fat(path, offset)
        except (struct.error, ZeroDivisionError, OSError):
            self.fat = None

    # --- a whole volume ---

    def why_not_mounted(self, vfat, imagefs):
        """vfat mounts it and imagefs does not, or the other way round."""
        sector, cluster_sectors, reserved, copies, root_entries, total16 = struct.unpack_from("<HBHBHH", self.boot, 11)
        fat16, = struct.unpack_from("<H", self.boot, 22)
        total32, fat32 = struct.unpack_from("<II", self.boot, 32)
        root, = struct.unpack_from("<I", self.boot, 44)
        fsinfo, = struct.unpack_from("<H", self.boot, 48)
        if not sector or not cluster_sectors:
            return None
        data = reserved + copies * (fat16 or fat32) + root_entries * 32 // sector
        total = total16 or total32
        if vfat == "r":
            if data > total:
                return "wraps-around"
            if (data if fat16 else reserved + fat32) * sector > self.length:
                return "cut-off"
            if not fat16 and not 2 <= root < (total - data) // cluster_sectors + 2:
                return "root-is-no-cluster"
        if imagefs == "r" and vfat.startswith("m"):
            if sector < self.disk_sector:
                return "small-sectors"
            if not fat16 and (fsinfo + 1) * sector > self.length:
                return "fsinfo"
        return None

    # --- entries ---

    def start_of_directory(self, path):
        """None is the root; -1: not found."""
        start = None
        for part in unescape(path).split("/") if path else []:
            for _, slot, _, name, short in self.fat.entries(start):
                if part.lower() in (name.lower(), short.lower()) and slot[11] & 0x10:
                    start = self.cluster_of(slot)
                    break
            else:
                return -1
        return start

    def cluster_of(self, slot):
        low, = struct.unpack_from("<H", slot, 26)
        high, = struct.unpack_from("<H", slot, 20)
        return low | high << 16 if self.fat.bits == 32 else low

    def slots_of(self, path):
        start = self.start_of_directory(path)
        return [] if start == -1 else list(self.fat.slots(start))

    def entry(self, path):
        parent, _, name = path.rpartition("/")
        start = self.start_of_directory(parent)
        name = unescape(name).lower()
        if start != -1:
            for _, slot, _, long, short in self.fat.entries(start):
                # As Linux shows it alone: each part up to a NUL, by code page 437.
                parts = [part.split(b"\0")[0].rstrip(b" ").decode("cp437") for part in (slot[:8], slot[8:11])]
                shown = "" if slot[11] & 0x08 else ".".join(filter(None, parts))
                if name in (long.lower(), short.lower(), shown.lower()):
                    return slot
        return None

    def why_file_refused(self, path):
        """Its content: vfat has something to show, imagefs refuses."""
        slot = self.entry(path)
        if slot is None:
            return None
        size, = struct.unpack_from("<I", slot, 28)
        cluster = self.cluster_of(slot)
        if cluster == 0 and size:
            return "start-0"
        end = self.clusters() + 2
        met = []
        count = -(-size // self.fat.cluster_bytes)
        for number in range(count):
            if not 2 <= cluster < end:  # of the first and the last vfat does not ask what follows
                return "out-of-range" if number in (0, count - 1) else None
            if cluster in met:
                return "loop"
            if self.fat.cluster_at(cluster) + self.fat.cluster_bytes > self.length:
                return "beyond-the-device"
            met.append(cluster)
            cluster = self.fat.get(cluster)
        return "last-free-or-bad" if cluster in (0, BAD[self.fat.bits]) else None

    def leads_back(self, path):
        """Is a directory one of those above it?"""
        above = [self.start_of_directory("/".join(path.split("/")[:depth])) for depth in range(path.count("/") + 1)]
        return self.start_of_directory(path) in above

    def clusters(self):
        total16, = struct.unpack_from("<H", self.boot, 19)
        total32, = struct.unpack_from("<I", self.boot, 32)
        room = ((total16 or total32) * self.fat.sector_bytes - self.fat.data_start) // self.fat.cluster_bytes
        return min(room, self.fat.fat_bytes * 8 // self.fat.bits - 2)

    def chain_end(self, path):
        """What the last entry of a directory's chain says."""
        slot = self.entry(path)
        cluster = self.cluster_of(slot) if slot else 0
        for _ in range(self.clusters()):
            if not 2 <= cluster < self.clusters() + 2:
                break
            cluster = self.fat.get(cluster)
        return cluster

    def has_dot_entries_behind_end(self, path):
        """Has it two directories in it only by counting what is behind a slot that begins with 0?"""
        slots = [slot for _, slot in self.slots_of(path)]
        end = next((at for at, slot in enumerate(slots) if slot[0] == 0), len(slots))
        before, behind = (sum(slot[0] not in (0, 0xe5) and slot[11] & 0x18 == 0x10 for slot in part)
                          for part in (slots[:end], slots[end:]))
        return before < 2 <= before + behind

    def is_behind_end(self, path):
        """Is there a slot of that name behind one that begins with 0?"""
        parent, _, name = AGAIN.sub("", path).rpartition("/")
        ended = False
        for _, slot in self.slots_of(parent):
            ended |= slot[0] == 0
            if ended and slot[0] not in (0, 0xe5):
                return True  # what it is called is hard to say of garbage
        return False

    def has_unsafe_name(self, path):
        """A name in that directory that no kernel takes from a filesystem, or that ends up as none."""
        units = []
        for _, slot in self.slots_of(path):
            if slot[0] == 0xe5:
                units = []
            elif slot[11] == 0x0f:
                units = list(struct.unpack("<13H", slot[1:11] + slot[14:26] + slot[28:32])) + units
            else:
                if not slot[11] & 8 and (b"/" in slot[:11] or not slot[:11].strip(b" ") or
                                         slot[:8].rstrip(b" ").startswith(b"\0") or slot[:8] == b" " * 8):
                    return True
                if units and (0x2f in units or units[0] in (0, 0xffff) or any(0xd800 <= unit < 0xe000 for unit in units)):
                    return True
                if units in ([0x2e, 0] + [0xffff] * 11, [0x2e, 0x2e, 0] + [0xffff] * 10, [0x2e, 0x2e] + [0xffff] * 11):
                    return True
                units = []
        return False

    def why(self, what, path, ours, theirs, imagefs, vfat, mount):
        """ours, theirs: what imagefs and vfat have at path; the trees; where imagefs shows this."""
        if not self.fat:
            return None
        parent = path.rpartition("/")[0]
        place = path.rstrip("/")
        if what == "size":
            return "directory-size" if ours.type == "d" else None
        if what != "entry":
            return None
        if theirs and path.endswith("/") and theirs.type == "x":
            return "unsafe-name" if self.has_unsafe_name(place) else None
        if ours and path.endswith("/"):
            if self.chain_end(place) == BAD[self.fat.bits]:
                return "last-free-or-bad"
            return "behind-the-end" if self.has_dot_entries_behind_end(place) else None
        if theirs and theirs.type == "e" and theirs.content == "ENOENT" and place.endswith("."):
            return "trailing-dots"
        if theirs and theirs.type == "e" and ours and ours.type == "d":
            return "broken-directory" if imagefs.get(path + "/") else None
        if ours and ours.type == "e" and theirs and theirs.type == "d":
            return "leads-back" if self.leads_back(path) else None
        if ours is None and PADDING in path or theirs is None and any(other.startswith(path + PADDING) for other in vfat):
            return "ffff-is-padding"
        if theirs is None and vfat.get((parent + "/") if parent else "/"):
            return "unsafe-name" if self.has_unsafe_name(parent) else None
        if ours is None:
            if os.path.lexists(os.path.join(mount, unescape(AGAIN.sub("", path)))):
                return "equal-names"
            return "behind-the-end" if self.is_behind_end(path) else None
        if theirs and ours.type == theirs.type == "f":
            return self.why_file_refused(path)
        return None
