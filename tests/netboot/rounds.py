#!/usr/bin/python3
"""A board that netboots, upgrades itself, is reset or loses power, and netboots again.

  rounds.py make SERVER PARTS IMAGE
  rounds.py run  SERVER PARTS IMAGE MOUNT BOARD ROUNDS

PARTS is what make-board left, IMAGE what SERVER exports, MOUNT/BOARD where imagefs shows it
and from where dnsmasq on $ADDRESS serves it. The first rounds are as in PLAN, what comes
after is drawn. While the board works others fetch its files; judge.py says what is right.
Whatever happened, in the end it must come up, with exactly those releases of each file that
the view showed while it was off.

  CONTROL    where the control files are
  SEED       of everything that is drawn (1)
  SETTLE     in ms, as imagefs has it (200)
  ON_GROWN   a command that tells the server that the image is larger
"""
import http.server
import json
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import release as rel  # noqa: E402
from board import Board, BoardFailed  # noqa: E402
from judge import Judge  # noqa: E402
from view import Readers, View, Writes  # noqa: E402

SETTLE = int(os.environ.get("SETTLE", "200")) / 1e3
ADDRESS = os.environ.get("ADDRESS", "10.77.0.1")
BOOT, NEW = "/boot/firmware", "/var/cache/new"
SERVES = {"nbd-server": ("nbd", 10809, "board"), "nbd-server-reporting": ("nbd", 10809, "board"),
          "nbdkit-filter": ("nbd", 10809, "board.img"), "tgt": ("iscsi", 3260, "iqn.2024-01.test:board")}
REPORTING = ("nbd-server-reporting", "nbdkit-filter")

# What is done for each file $f that the release in $n brings; then `sync`.
CAREFUL = "fsync and rename"
WAYS = {
    CAREFUL: "cp $n/$f $f.new && sync $f.new && mv $f.new $f && sync $(dirname $f)",
    "cp over it": "cp $n/$f $f",
    "the same clusters": "dd if=$n/$f of=$f bs=64k conv=notrunc 2>/dev/null && truncate -s $(stat -c %s $n/$f) $f",
    "remove and copy": "rm -f $f && cp $n/$f $f",
    "keep a backup": "cp $n/$f $f.new && mv $f $f.bak && mv $f.new $f",
}
PLAN = [  # (way, how it ends, whether the partition table grows as well)
    (CAREFUL, "sysrq", False),
    ("cp over it", "power loss", False),
    ("keep a backup", "sysrq", True),
    (CAREFUL, "power loss", False),
    ("remove and copy", "reset button", False),
    ("the same clusters", "power loss", False),
    ("cp over it", "sysrq", False),
]


class Failed(Exception):
    pass


class Mirror(http.server.BaseHTTPRequestHandler):
    """Where the board downloads its packages from."""
    package = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.package)))
        self.end_headers()
        self.wfile.write(self.package)

    def log_message(self, *_):
        pass


class Session:
    def __init__(self, server, parts, image):
        kind, port, export = SERVES[server]
        self.server, self.parts, self.image = server, parts, image
        self.rng = random.Random(os.environ.get("SEED", "1"))
        self.releases = rel.Releases(parts, kind, "%s:%d" % (ADDRESS, port), export, self.rng.random())
        self.first = self.releases.next(rel.NAMES)
        self.untouched = {"boot.ipxe": rel.SCRIPT, "start4.elf": self.rng.randbytes(2250000)}
        self.releases.known.update(((name, rel.sha256(data)), 0) for name, data in self.untouched.items())

    def make(self):
        rel.make_image(self.image, {**self.first, **self.untouched}, os.path.join(self.parts, "root"))

    def open(self, mount, board):
        scratch = os.path.dirname(mount)
        self.dnsmasq_log, self.served = os.path.join(scratch, "dnsmasq.log"), 0
        self.board = Board(scratch, "tap0", "52:54:00:77:00:01")
        self.view = View(os.path.join(mount, board), ADDRESS, board, self.releases.known)
        self.writes = Writes(self.image)
        reports = self.server in REPORTING
        self.judge = Judge(self.view, self.image, SETTLE, reports, lambda: reports and not self.why_not_relied_on(), self.say)
        self.judge.publish({**self.first, **self.untouched})
        self.judge.untouched = list(self.untouched)
        self.counts, self.begun, self.sectors, self.grown = self.judge.counts, time.monotonic(), 0, False
        self.bytes_per_write = 128 << 10
        httpd = http.server.ThreadingHTTPServer((ADDRESS, 8000), Mirror)
        threading.Thread(target=httpd.serve_forever, daemon=True).start()

    def say(self, text):
        print("%7.1f  %s" % (time.monotonic() - self.begun, text), flush=True)

    def release_of(self, name):
        return self.releases.known[name, self.judge.shas[name]]

    @staticmethod
    def reports():
        """What imagefs says of the server's reports."""
        with open(os.path.join(os.environ["CONTROL"], "status.json"), encoding="utf-8") as file:
            images = json.load(file)["images"]
        return next(image["reports"] for image in images if image["name"] == "board")

    def why_not_relied_on(self):
        """None: imagefs relies on the server's reports."""
        reports = self.reports()
        return None if reports["exact"] else reports["why_not"] or "nobody reports"

    def trusted(self):
        if not self.judge.reports:
            return ""
        why_not = self.why_not_relied_on()
        self.counts["updates", "with reports in doubt" if why_not else "with reports relied on"] += 1
        return "; imagefs does not rely on the reports: " + why_not if why_not else "; imagefs relies on the reports"

    # --- the board starts ---------------------------------------------------------

    def firmware_fetched(self):
        """What dnsmasq has logged since last time; its other clients are on this machine."""
        with open(self.dnsmasq_log, encoding="utf-8", errors="replace") as log:
            log.seek(self.served)
            lines = log.readlines()
            self.served = log.tell()
        sent = [line.split(": sent ")[1].rsplit(" to ", 1) for line in lines if ": sent " in line]
        names = [os.path.basename(path) for path, to in sent if to.strip() != ADDRESS]
        asked = [line.split()[-2] for line in lines if "DHCPACK" in line]
        self.say("  DHCP: %s; TFTP: %s" % (", ".join(asked) or "nothing", ", ".join(names) or "nothing"))
        return names

    def start_up(self):
        """A firmware that is refused a file begins again; once may be, when a server that
        the board left behind has just gone, and what it wrote last is looked at anew."""
        try:
            return self.board.come_up()
        except BoardFailed as failure:
            if "@refused" not in str(failure):
                raise
        self.firmware_fetched()
        self.say("  refused a file; it begins again")
        self.counts["board", "refused at first"] += 1
        self.board.power_off()
        self.board.power_on()
        return self.board.come_up()

    def come_up(self):
        """With what the view shows."""
        started = time.monotonic()
        try:
            said = self.start_up()
        except BoardFailed as failure:
            self.firmware_fetched()
            raise Failed("the board does not come up: %s" % failure) from failure
        fetched = self.firmware_fetched()
        known = self.releases.known
        runs = {rel.KERNEL: int(said["kernel"]), rel.INITRAMFS: int(said["initramfs"]),
                rel.CMDLINE: known.get((rel.CMDLINE, said["cmdline_txt"])), rel.DTB: known.get((rel.DTB, said["dtb"]))}
        self.say("  up in %.1f s with %s; root is partition 2 (%d MiB), boot partition checked: %s" % (
            time.monotonic() - started, ", ".join("%s %s" % pair for pair in runs.items()),
            int(said["part2"]) >> 11, said["fsck"]))
        for name, number in runs.items():
            if name not in fetched:
                self.judge.is_wrong("%s did not come over TFTP" % name)
            if number != self.release_of(name):
                self.judge.is_wrong("it runs %s of release %s, the view showed %s" % (name, number, self.release_of(name)))
        if int(said["cmdline"]) != self.release_of(rel.CMDLINE):
            self.judge.is_wrong("its kernel has the command line of release %s" % said["cmdline"])
        self.counts["board", "netboots"] += 1
        if self.grown:
            self.board.run("resize2fs ${board_part}2 >/tmp/log 2>&1 || { cat /tmp/log; false; }")
            size = int(self.board.run("echo $(($(stat -f -c '%b * %S' /) >> 20))"))
            self.say("  partition 2 is now %d MiB, its filesystem %d MiB instead of %d" % (
                int(said["part2"]) >> 11, size, int(said["root"]) >> 20))
            if int(said["part2"]) <= self.sectors or size <= int(said["root"]) >> 20:
                self.judge.is_wrong("partition 2 has not grown")
            self.grown = False
        self.sectors = int(said["part2"])

    # --- the board works ----------------------------------------------------------

    def update_command(self, way, names, number):
        """One line for the console. It first takes away what an update left that never ended;
        a power loss can leave a file without its long name."""
        return ("cd %s && rm -f *.new *.bak *.REC *~* overlays/*.new overlays/*.bak overlays/*~* && n=%s && for f in %s; do %s || break; done && "
                "touch boot.ipxe && rm -f overlays/extra-* && cp $n/%s overlays/extra-%d.dtbo && sync" % (
                    BOOT, NEW, " ".join(names), WAYS[way], rel.DTB, number))

    def download(self, files):
        Mirror.package = rel.package(files)
        self.board.run("cd / && rm -rf %s && mkdir %s && wget -q -O - http://%s:8000/ | tar x -C %s && sync" % (
            NEW, NEW, ADDRESS, NEW))

    def update(self, way, new, number):
        """To its end; what it took and what others saw."""
        readers, begun, before = Readers(self.view, list(self.judge.shas)), time.monotonic(), len(self.writes.times)
        try:
            self.board.run(self.update_command(way, new, number))
        finally:
            synced = time.monotonic()
            fetches = readers.stop()
        self.bytes_per_write = sum(map(len, new.values())) / max(1, len(self.writes.times) - before)
        self.say("  written in %.1f s; fetched meanwhile: %s" % (
            synced - begun, self.judge.during(fetches, self.writes, begun, new)))
        self.judge.publish(new)
        self.say("  " + self.judge.synced(time.monotonic(), new[rel.DTB]) + self.trusted())

    def update_without_end(self, way, new, number):
        """The plug is pulled at some write of it, or just after."""
        about = int(sum(map(len, new.values())) / self.bytes_per_write) + 2
        at = self.rng.randrange(1, about)
        readers, begun, before = Readers(self.view, list(self.judge.shas)), time.monotonic(), len(self.writes.times)
        try:
            self.board.start(self.update_command(way, new, number))
            in_time = self.writes.wait_for_count(at, before, begun + self.board.COMMAND_SECONDS, self.board.is_done)
            self.board.power_off()
            self.writes.wait_for_rest(3 * SETTLE)
        finally:
            fetches = readers.stop()
        self.say("  power lost after %.1f s, %d of about %d writes%s; fetched meanwhile: %s" % (
            time.monotonic() - begun, len(self.writes.times) - before, about, "" if in_time else ", which was its end",
            self.judge.during(fetches, self.writes, begun, new)))
        announced = self.judge.reports and self.reports()["in_flight"] > 0
        found, text = self.judge.at_rest(self.writes.times[-1], announced, new, way == CAREFUL)
        self.say("  at rest: " + text)
        if None in found.values():
            self.repair(new)
        else:
            self.judge.shas = found

    def repair(self, new):
        """By the host, since the board cannot: fsck and then what the update brought."""
        rel.check_boot_partition(self.image, self.board.scratch)
        rel.put(self.image, new)
        self.judge.publish(new)
        self.counts["board", "repaired by the host"] += 1
        self.say("  repaired on the host: fsck.fat, then mcopy of release %d" % self.releases.number)
        self.judge.before()

    def enlarge(self):
        size = os.stat(self.image).st_size + (16 << 20)
        os.truncate(self.image, size)
        if os.environ.get("ON_GROWN"):
            subprocess.run(["bash", "-c", os.environ["ON_GROWN"]], check=True)
        self.say("  the image is now %d MiB" % (size >> 20))

    def grow(self):
        self.board.run("{ echo ', +' | sfdisk -q -N 2 --no-reread --force $board_device && sync; } >/tmp/log 2>&1 || "
                       "{ cat /tmp/log; false; }")
        self.grown = True
        self.judge.before()
        self.counts["board", "partition tables grown"] += 1
        self.say("  sfdisk: partition 2 to the end of the disk; the boot partition is as before")

    def round(self, number, way, end, grow, grow_next):
        names = list(rel.NAMES)
        if number > 2 and self.rng.random() < 0.6:
            names.remove(rel.KERNEL)  # as most upgrades do
        new = self.releases.next(names)
        self.say("round %d: release %d (%d files, %.1f MiB) by: %s%s; then: %s" % (
            number, self.releases.number, len(new), sum(map(len, new.values())) / 2**20, way,
            ", and a larger partition" if grow else "", end))
        self.judge.before()
        self.download(new)
        if end == "power loss":
            self.update_without_end(way, new, number)
            if grow_next:
                self.enlarge()
            self.board.power_on()
        else:
            self.update(way, new, number)
            if grow:
                self.grow()
            if end == "sysrq":
                self.board.restart()
            else:
                self.board.reset()
        self.counts["rounds", end] += 1
        self.come_up()

    def plan(self, rounds):
        """As PLAN, then drawn; a partition only grows after the power was off. The reset button
        is the slowest (Board.restart), and to servers the same as the others: once will do."""
        plan = [(way, "sysrq" if end == "reset button" and self.server != "nbd-server" else end, grow)
                for way, end, grow in PLAN[:rounds]]
        while len(plan) < rounds:
            end = self.rng.choice(["sysrq", "reset button", "power loss", "power loss"])
            grow = plan[-1][1] == "power loss" and end != "power loss" and self.rng.random() < 0.3
            plan.append((self.rng.choice(sorted(WAYS)), end, grow))
        return plan


def main():
    what, server, parts, image = sys.argv[1:5]
    session = Session(server, parts, image)
    if what == "make":
        session.make()
        return 0
    mount, board, rounds = sys.argv[5:8]
    session.open(mount, board)
    print("A board has %s for a firmware server and %s for its disk, both over one image. What others fetch of it\n"
          "meanwhile is of the old or the new release, refused (EIO, or an error by TFTP), or half-written as on the disk." % (
              "dnsmasq on the mount", server))
    session.say("power on: %s, disk by %s" % (board, server))
    plan = session.plan(int(rounds))
    try:
        session.board.power_on()
        session.come_up()
        for number, (way, end, grow) in enumerate(plan, 1):
            session.round(number, way, end, grow, number < len(plan) and plan[number][2])
    except (Failed, BoardFailed) as failure:
        session.judge.is_wrong(str(failure))
    finally:
        session.board.power_off()
    if session.judge.reports and not session.counts["updates", "with reports relied on"]:
        session.judge.is_wrong("imagefs never relied on what the server reports")
    session.judge.few_refused()
    took = time.monotonic() - session.begun
    session.say("%s: %d rounds, %.1f s each" % (server, len(plan), took / len(plan)))
    for line in session.judge.summary():
        session.say("  " + line)
    session.say("  wrong: %d" % session.judge.wrong)
    return 1 if session.judge.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
