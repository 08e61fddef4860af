#!/usr/bin/python3
"""Boards that boot by U-Boot (qemu, arm64), all at once, each at its own tap device.

  uboot.py U-BOOT.bin SCRATCH BOARD...

BOARD is NAME,TAP,MAC[,COMMAND]: with COMMAND a person stops U-Boot's autoboot and gives this
as bootcmd; without, nobody is there and U-Boot does what it does of itself: look for a disk,
then ask DHCP and fetch boot.scr.uimg. A board is through when its script says @end.

Prints what the board said that matters, as "NAME: LINE": lines of its script that begin with
an @, what was fetched, and "NAME: crc32 FILE SIZE SUM" for each crc32 after a file.
"""
import os
import re
import select
import subprocess
import sys
import threading
import time

BOOT_SECONDS = 150  # 1 to 4 s when the machine is idle


class Board(threading.Thread):
    def __init__(self, firmware, scratch, word):
        super().__init__()
        self.name, tap, mac, *command = word.split(",", 3)
        self.command = command[0] if command else None
        self.console, self.error, self.file, self.size = b"", None, None, None
        self.log = open(os.path.join(scratch, "uboot-%s.log" % self.name), "wb")
        self.process = subprocess.Popen(
            ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57", "-m", "512", "-nodefaults",
             "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot", "-bios", firmware,
             "-netdev", "tap,id=n0,ifname=%s,script=no,downscript=no" % tap,
             # Its virtio driver takes the first byte of a MAC for all six.
             "-device", "e1000,netdev=n0,mac=%s,romfile=" % mac],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, bufsize=0)
        self.deadline = time.monotonic() + BOOT_SECONDS

    def until(self, word):
        """All that the console says up to and with `word`."""
        while word not in self.console:
            left = self.deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise TimeoutError("%s: never said %r" % (self.name, word.decode()))
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                raise EOFError("%s: qemu ended" % self.name)
            self.log.write(part)
            self.log.flush()
            self.console += part
        said, _, self.console = self.console.partition(word)
        return said.decode(errors="replace")

    def tell(self, line):
        fetched = re.match(r"Filename '(.*)'", line)
        size = re.match(r"Bytes transferred = (\d+)", line)
        checked = re.match(r"crc32 for \w+ \.\.\. \w+ ==> (\w{8})", line)
        if fetched:
            self.file = fetched[1]
        elif size:
            self.size = size[1]
            print("%s: fetched %s, %s bytes" % (self.name, self.file, self.size), flush=True)
        elif checked:
            print("%s: crc32 %s %s %s" % (self.name, self.file, self.size, checked[1]), flush=True)
        elif line.startswith("@") or "error" in line.lower() or line.startswith("DHCP client bound"):
            print("%s: %s" % (self.name, line), flush=True)

    def run(self):
        try:
            if self.command:
                self.until(b"Hit any key")
                self.process.stdin.write(b" ")
                self.until(b"=> ")
                self.process.stdin.write(b"setenv bootcmd '%s'\n" % self.command.encode())
                self.until(b"=> ")
                self.process.stdin.write(b"boot\n")
            line = ""
            while not line.startswith("@end"):
                line = self.until(b"\n").strip()
                self.tell(line)
        except (TimeoutError, EOFError) as error:
            self.error = error
        finally:
            self.process.kill()
            self.process.wait()


def main():
    firmware, scratch = sys.argv[1:3]
    boards = [Board(firmware, scratch, word) for word in sys.argv[3:]]
    for board in boards:
        board.start()
    for board in boards:
        board.join()
    errors = [str(board.error) for board in boards if board.error]
    sys.exit("; ".join(errors) if errors else 0)


if __name__ == "__main__":
    main()
