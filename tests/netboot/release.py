"""The boot software of a board, release by release, and all that was ever published of it.

Every release differs in every file that it brings; the kernel carries its number in its own
header, the initramfs in a file, the command line as gen=, so that a running board can say
which of each it was started with (see board-init).
"""
import hashlib
import io
import os
import random
import struct
import subprocess
import tarfile

KERNEL, INITRAMFS, DTB, CMDLINE = "vmlinuz", "initramfs.img", "bcm2711-rpi-4-b.dtb", "cmdline.txt"
OVERLAY = "overlays/vc4-kms-v3d.dtbo"
NAMES = [KERNEL, INITRAMFS, DTB, OVERLAY, CMDLINE]
ROOT_DEVICE_FIELD = 508  # of a bzImage: two bytes, used only without an initramfs

# cmdline.txt is in the firmware's own dialect, so that it makes the kernel's command line.
# The device tree comes to the kernel as a file: this firmware passes none.
SCRIPT = b"""#!ipxe
chain cmdline.txt || goto refused
imgfree cmdline.txt || goto refused
kernel vmlinuz ${cmdline} ip=${ip} || goto refused
initrd initramfs.img || goto refused
initrd cmdline.txt /cmdline.txt || goto refused
initrd bcm2711-rpi-4-b.dtb /board.dtb || goto refused
boot || goto refused
:refused
echo
echo @refused
"""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def cpio(files):
    """An archive in the form that the kernel unpacks, of {path: bytes} and their directories."""
    out = io.BytesIO()
    directories = sorted({os.path.dirname(path) for path in files} - {""})
    entries = [(path, 0o40755, b"") for path in directories] + [(path, 0o100644, data) for path, data in files.items()]
    for number, (path, mode, data) in enumerate(entries + [("TRAILER!!!", 0, b"")], 1):
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + name)
        out.write(bytes(-out.tell() % 4) + data)
        out.write(bytes(-out.tell() % 4))
    return out.getvalue()


class Releases:
    def __init__(self, directory, kind, disk, export, seed):
        with open(os.path.join(directory, "kernel"), "rb") as file:
            self.kernel = file.read()
        with open(os.path.join(directory, "initramfs." + kind), "rb") as file:
            self.initramfs = file.read()
        # no_timer_check: on a busy machine an emulated timer looks broken to the kernel.
        self.arguments = "console=ttyS0 quiet panic=-1 nokaslr no_timer_check disk=%s:%s name=%s" % (kind, disk, export)
        self.rng = random.Random(seed)
        self.known = {}  # (name, sha256): release
        self.number = 0

    def next(self, names):
        """{name: bytes} of the next release, which brings these."""
        self.number += 1
        makers = {KERNEL: self.make_kernel, INITRAMFS: self.make_initramfs, CMDLINE: self.make_cmdline,
                  DTB: lambda: self.ballast(20000, 60000), OVERLAY: lambda: self.ballast(1000, 4000)}
        files = {name: makers[name]() for name in names}
        for name, data in files.items():
            self.known[name, sha256(data)] = self.number
        return files

    def ballast(self, least, most):
        return self.rng.randbytes(self.rng.randrange(least, most))

    def make_kernel(self):
        kernel = bytearray(self.kernel)
        struct.pack_into("<H", kernel, ROOT_DEVICE_FIELD, self.number)
        return bytes(kernel) + self.ballast(1000, 200000)

    def make_initramfs(self):
        """What is this release's goes first, so that nothing is where it was."""
        ballast = self.ballast(10000, 400000)
        return cpio({"etc/release": b"%d\n" % self.number, "etc/ballast": ballast,
                     "etc/ballast.sha256": sha256(ballast).encode() + b"\n"}) + self.initramfs

    def make_cmdline(self):
        return ("#!ipxe\nset cmdline %s gen=%d\n" % (self.arguments, self.number)).encode()


def package(files):
    """What the board downloads."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def run(*command, **keywords):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **keywords)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(command), done.stdout.decode(errors="replace")))
    return done.stdout


BOOT_MIB, ROOT_MIB = 136, 64


def make_image(path, files, root, boot_mib=BOOT_MIB, root_mib=ROOT_MIB):
    """A disk with `files` in its boot partition and the tree `root` in its second one."""
    with open(path, "wb") as file:
        file.truncate((1 + boot_mib + root_mib) << 20)
    table = "label: dos\nstart=2048, size=%d, type=c\nstart=%d, type=83\n" % (boot_mib << 11, (1 + boot_mib) << 11)
    run("sfdisk", "-q", path, input=table.encode())
    run("mkfs.fat", "-F", "32", "-s", "4", "--offset", "2048", path, str(boot_mib << 10))
    put(path, files)
    run("mkfs.ext4", "-q", "-F", "-d", root, "-E", "offset=%d,lazy_itable_init=0" % ((1 + boot_mib) << 20),
        path, "%dM" % root_mib)


def put(path, files):
    """With mtools, into the boot partition; the host's own way."""
    at = path + "@@1M"
    for directory in sorted({os.path.dirname(name) for name in files} - {""}):
        subprocess.run(["mmd", "-D", "s", "-i", at, "::" + directory], check=False,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for name, data in files.items():
        run("mcopy", "-o", "-Q", "-i", at, "-", "::" + name, input=data)


def check_boot_partition(path, scratch):
    """fsck.fat, which knows no offsets; what it changed is written to the image."""
    copy, chunk = os.path.join(scratch, "boot-partition"), 1 << 16
    with open(path, "r+b") as image:
        image.seek(1 << 20)
        before = image.read(BOOT_MIB << 20)
        with open(copy, "wb") as file:
            file.write(before)
        subprocess.run(["fsck.fat", "-a", "-w", copy], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(copy, "rb") as file:
            after = file.read()
        os.unlink(copy)
        for at in range(0, len(before), chunk):
            if before[at:at + chunk] != after[at:at + chunk]:
                image.seek((1 << 20) + at)
                image.write(after[at:at + chunk])


def on_disk(path, name):
    """What mtools makes of a file: bytes, or None when it finds none or none that is whole."""
    done = subprocess.run(["mtype", "-i", path + "@@1M", "::" + name], check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout if done.returncode == 0 else None
