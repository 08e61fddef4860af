"""A guest whose kernel writes, driven over its serial console (see make-guest)."""
import os
import select
import subprocess
import sys
import tempfile


class Guest:
    """files: {path in the guest: bytes}. Its 10.0.2.2 is this machine's loopback.
    trees: directories whose content is in its root. devices: more options for qemu."""

    def __init__(self, directory, files, scratch, devices=(), trees=(), memory_mib=256):
        overlay = os.path.join(scratch, "files")
        for path, data in files.items():
            place = os.path.join(overlay, path.lstrip("/"))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as file:
                file.write(data)
            os.chmod(place, 0o755)
        initrd = os.path.join(scratch, "initrd")
        with open(initrd, "wb") as out:
            with open(os.path.join(directory, "initrd"), "rb") as base:
                out.write(base.read())
            for tree in [overlay, *trees]:
                out.seek(0, os.SEEK_END)
                out.write(bytes(-out.tell() % 512))  # each archive begins on a grid
                out.flush()
                names = subprocess.run(["find", "."], cwd=tree, check=True, stdout=subprocess.PIPE)
                subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, check=True,
                               input=names.stdout, stdout=out)
        self.console = b""
        self.log = tempfile.TemporaryFile(dir=scratch)
        self.process = subprocess.Popen(
            ["qemu-system-x86_64"] + os.environ.get("QEMU_ACCEL", "-accel tcg").split() +
            ["-m", str(memory_mib), "-nographic", "-no-reboot", "-nodefaults", "-monitor", "none",
             "-serial", "stdio", "-kernel", os.path.join(directory, "kernel"), "-initrd", initrd,
             "-append", "console=ttyS0 quiet panic=-1",
             "-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0,romfile="] + list(devices),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, bufsize=0)
        self.wait_for(b"@ready")

    def wait_for(self, word):
        said = []
        while True:
            line = self.read_line()
            if not line:
                self.log.seek(0)
                sys.exit("guest: it ended: %s %s" % (b"".join(said[-20:]).decode(errors="replace"),
                                                    self.log.read().decode(errors="replace")))
            if line.startswith(word):
                self.said = b"".join(said).decode(errors="replace")
                return line[len(word):].strip()
            said.append(line)

    def read_line(self):
        """One line of the console; nothing when the guest is gone, or says nothing for a minute."""
        while b"\n" not in self.console:
            if not select.select([self.process.stdout], [], [], 60)[0]:
                return b""
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                return b""
            self.console += part
        line, _, self.console = self.console.partition(b"\n")
        return line + b"\n"

    def start(self, command):
        assert "\n" not in command
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def run(self, command):
        """Returns as soon as the guest says that the command is over."""
        self.start(command)
        status = int(self.wait_for(b"@done"))
        if status != 0:
            sys.exit("guest: %s: status %d: %s" % (command, status, self.said))

    def connect(self, number, port, name):
        """An NBD export of this machine as /dev/nbdN, its first partition mounted on /bootN."""
        self.run("nbd-client 10.0.2.2 %d /dev/nbd%d -N %s -b 512 >/tmp/nbd.log 2>&1 || "
                 "{ cat /tmp/nbd.log; false; }" % (port, number, name or '""'))
        self.run("blockdev --rereadpt /dev/nbd%d 2>/dev/null; mkdir -p /boot%d; n=0; "
                 "until [ -e /dev/nbd%dp1 ]; do n=$((n+1)); [ $n -lt 500 ]; usleep 10000; done"
                 % (number, number, number))

    def mount(self, number, options="rw"):
        self.run("mount -t vfat -o %s /dev/nbd%dp1 /boot%d" % (options, number, number))

    def umount(self, number):
        self.run("umount /boot%d" % number)

    def end(self):
        self.start("poweroff -f")
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
