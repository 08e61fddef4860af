"""A board without a disk, played by qemu: its firmware is iPXE, its console is ours.

It asks for an address, fetches a script and what that names over TFTP, and starts it. Two
things make this take seconds instead of half a minute: dnsmasq announces that no other
server has a say (encapsulated option 176), and answers the router solicitation for which
iPXE otherwise waits 17 s.
"""
import json
import os
import re
import select
import socket
import subprocess
import time


class BoardFailed(Exception):
    pass


class Board:
    BOOT_SECONDS, COMMAND_SECONDS = 150, 150

    def __init__(self, scratch, tap, mac):
        self.scratch, self.tap, self.mac = scratch, tap, mac
        self.console, self.process, self.said = b"", None, ""
        self.log = open(os.path.join(scratch, "console.log"), "ab")

    def power_on(self):
        qmp = os.path.join(self.scratch, "qmp")
        if os.path.exists(qmp):
            os.unlink(qmp)
        self.console = b""
        self.process = subprocess.Popen(
            ["qemu-system-x86_64"] + os.environ.get("QEMU_ACCEL", "-accel tcg").split() +
            ["-m", "256", "-nographic", "-nodefaults", "-monitor", "none", "-serial", "stdio",
             "-qmp", "unix:%s,server=on,wait=off" % qmp,
             "-netdev", "tap,id=n0,ifname=%s,script=no,downscript=no" % self.tap,
             "-device", "virtio-net-pci,netdev=n0,bootindex=0,mac=" + self.mac],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, bufsize=0)

    def power_off(self):
        """As by pulling the plug: nothing that was not sent is sent any more."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def tell_qemu(self, *commands):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(os.path.join(self.scratch, "qmp"))
            replies = sock.makefile("rb")
            replies.readline()
            for command, arguments in (("qmp_capabilities", {}),) + commands:
                sock.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
                while b'"return"' not in replies.readline():
                    pass

    def restart(self):
        """It resets itself. For qemu that is its end, because a kernel that takes the place of
        another in the same emulated memory starts several seconds slower."""
        self.tell_qemu(("set-action", {"reboot": "shutdown"}))
        self.start("echo b >/proc/sysrq-trigger")
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired as late:
            raise BoardFailed("no reset by sysrq") from late
        self.power_on()

    def reset(self):
        """The reset button, in the same emulated machine."""
        self.tell_qemu(("system_reset", {}))
        self.console = b""

    def read_line(self, deadline):
        while b"\n" not in self.console:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise BoardFailed("says nothing more; the last was: " + self.said[-300:])
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                raise BoardFailed("its power went: " + self.said[-300:])
            self.log.write(part)
            self.log.flush()
            self.console += part
        line, _, self.console = self.console.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r") + "\n"

    def wait_for(self, word, seconds):
        """The rest of the line that has the word; what came before is in self.said."""
        deadline, self.said = time.monotonic() + seconds, ""
        while True:
            line = self.read_line(deadline)
            for failure in ("@broken", "@refused", "No bootable device", "Kernel panic", "Failed to execute"):
                if failure in line:
                    raise BoardFailed(line.strip() + ": " + self.said[-600:])
            if word in line:
                return line.partition(word)[2].strip()
            self.said += line

    def come_up(self):
        """{what the board says of itself: value}, when it has started."""
        return dict(re.findall(r"(\w+)=(\S*)", self.wait_for("@up ", self.BOOT_SECONDS)))

    def start(self, command):
        assert "\n" not in command and len(command) < 4000, "the console takes lines"
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def finish(self):
        status = int(self.wait_for("@done ", self.COMMAND_SECONDS))
        if status != 0:
            raise BoardFailed("status %d: %s" % (status, self.said[-600:]))
        return self.said

    def is_done(self):
        """Whether the command is over; does not wait."""
        while select.select([self.process.stdout], [], [], 0)[0]:
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                return True
            self.log.write(part)
            self.console += part
        return b"@done " in self.console

    def run(self, command):
        self.start(command)
        return self.finish()
