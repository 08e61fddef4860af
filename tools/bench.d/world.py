"""world: where a group measures: its directory, imagefs and servers started and ended, samples taken in turn."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import figure as figures
import machine


WHOLE_SECONDS = 840  # a quarter of an hour, less what the end takes


class Skip(Exception):
    """What is missing."""


def brief(error):
    """Of a command that failed its name: its arguments are of this machine."""
    if isinstance(error, subprocess.CalledProcessError):
        words = [os.path.basename(str(word)) for word in error.cmd]
        return "%s: exit status %d" % (" ".join(words[:2]), error.returncode)
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def wait_until(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("never came true: %s" % what)
        time.sleep(0.005)


class Daemon:
    """A process in the foreground that ends with `with`."""

    def __init__(self, words, ready, what, end=signal.SIGTERM, **how):
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, **how)
        self.pid, self.end = self.process.pid, end

        def is_ready():
            if self.process.poll() is not None:
                raise RuntimeError("%s ended: %s" % (what, " ".join(map(str, words))))
            return ready()

        wait_until(is_ready, what)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(self.end)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class NbdServer:
    """nbd-server in the background: in the foreground it serves one client only."""

    def __init__(self, config, socket, pid_file):
        for path in (socket, pid_file):
            if os.path.exists(path):
                os.unlink(path)
        subprocess.run(["nbd-server", "-C", config, "-p", pid_file], check=True, stdin=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(socket) and machine.read(pid_file).strip(), "nbd-server")
        self.pid = int(machine.read(pid_file))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGTERM)
        with contextlib.suppress(ChildProcessError):  # we are the init of our namespace, so it is our child
            os.waitpid(self.pid, 0)


class Mount(Daemon):
    """A FUSE daemon on a mountpoint."""

    def __init__(self, words, point, **how):
        self.point = point
        os.makedirs(point, exist_ok=True)
        # That of another user we may not look at; and a request waits until the daemon answers.
        super().__init__(words, lambda: " %s " % point in machine.read("/proc/self/mounts"), "the mount %s" % point, **how)

    def stop(self):
        subprocess.run(["umount", self.point], check=False, stderr=subprocess.DEVNULL)
        super().stop()

    def family(self):
        """The daemon's processes."""
        found = {pid: parent for (pid, _), (_, _, parent) in machine.processes().items()}
        mine = {self.pid}
        while True:
            more = {pid for pid, parent in found.items() if parent in mine} - mine
            if not more:
                return sorted(mine)
            mine |= more

    def resources(self):
        """Memory in MiB that is its own, threads, descriptors, and how often it was woken since it began."""
        total = {"memory_mib": 0.0, "threads": 0, "descriptors": 0, "wakeups": 0}
        for pid in self.family():
            for line in machine.read("/proc/%d/smaps_rollup" % pid).splitlines():
                if line.startswith("Pss:"):
                    total["memory_mib"] += int(line.split()[1]) / 1024
            with contextlib.suppress(OSError):
                total["descriptors"] += len(os.listdir("/proc/%d/fd" % pid))
                for task in os.listdir("/proc/%d/task" % pid):
                    total["threads"] += 1
                    for line in machine.read("/proc/%d/task/%s/status" % (pid, task)).splitlines():
                        if line.startswith("voluntary_ctxt_switches:"):
                            total["wakeups"] += int(line.split()[1])
        return total


class World:
    def __init__(self, top, args):
        self.top, self.quick, self.imagefs, self.build = top, args["quick"], args["imagefs"], args["build"]
        self.figures, self.skipped, self.series = [], [], []
        self.root, self.end, self.name = top, 0, ""
        self.deadline = time.monotonic() + WHOLE_SECONDS * (2 if args["growth"] else 1)

    # --- groups

    def measure(self, name, group):
        """Runs it in an empty directory; what is missing or goes wrong is said, and is not the end."""
        self.name, self.root = name, os.path.join(self.top, name)
        self.end = time.monotonic() + getattr(group, "SECONDS", 60) * (0.5 if self.quick else 1)
        if time.monotonic() > self.deadline:
            self.skip("no time left: this machine is slow, or busy; name the group")
            return
        os.mkdir(self.root)
        os.chmod(self.root, 0o755)
        start, span = time.monotonic(), machine.Span()
        self.say("%s ..." % name)
        try:
            self.needs(*getattr(group, "NEEDS", ()))
            group.run(self)
        except Skip as reason:
            self.skipped.append("%s: %s" % (name, reason))
        except (OSError, RuntimeError, subprocess.SubprocessError, ValueError, IndexError) as error:
            self.skip("failed: %s" % brief(error))
            self.say("%s failed: %s" % (name, error))
        self.clean()
        self.say("%s: %.0f s, %s" % (name, time.monotonic() - start,
                                     ", ".join("%s %.0f %%" % item for item in span.shares().items())))

    def clean(self):
        with open("/proc/self/mounts", encoding="utf-8") as file:
            points = [line.split()[1] for line in file]
        for point in reversed(points):
            if point.startswith(self.root + "/"):
                subprocess.run(["umount", "-l", point], check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    @staticmethod
    def say(text):
        print("bench: %s" % text, file=sys.stderr, flush=True)

    def needs(self, *programs):
        for program in programs:
            if not shutil.which(program) and not os.path.exists(program):
                raise Skip("needs %s (tools/install-deps bench)" % os.path.basename(program))

    def skip(self, what):
        self.skipped.append("%s: %s" % (self.name, what))

    def size(self, full, quick):
        return quick if self.quick else full

    # --- places and programs

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def directory(self, *parts):
        path = self.path(*parts)
        os.makedirs(path, exist_ok=True)
        return path

    def tool(self, name):
        path = os.path.join(self.build, "tests/tools", name)
        if not os.path.exists(path):
            raise Skip("needs %s: built with the tests, if its libraries are there" % name)
        return path

    @property
    def storm(self):
        return os.path.join(self.build, "tftp-storm")

    @staticmethod
    def output(*words, **how):
        return subprocess.run([str(word) for word in words], check=True, stdout=subprocess.PIPE, text=True,
                              **how).stdout

    def timed(self, way, path, count, prefix=()):
        """Median, 99 % and worst in microseconds."""
        words = self.output(*prefix, self.tool("timed"), way, path, count).split()
        return tuple(float(word) for word in words)

    # --- daemons

    def mount(self, source, point=None, options=(), prefix=()):
        words = [*prefix, self.imagefs, "-f"]
        for option in options:
            words += ["-o", option]
        log = open(self.path("imagefs.log"), "ab")
        with log:
            return Mount([*words, source, point or self.path("mnt")], point or self.path("mnt"), stderr=log)

    def null_fs(self, *options, directory=None, point=None, prefix=()):
        """A FUSE daemon that does nothing, of the names below the directory; options as null_fs.c says."""
        point = point or self.path("null")
        os.makedirs(point, exist_ok=True)
        words = [*prefix, self.tool("null_fs"), *map(str, options), point, *([directory] if directory else [])]
        return Mount(words, point, stdout=subprocess.DEVNULL)

    @staticmethod
    def bound(port):
        return lambda: any(line.split()[1].endswith(":%04X" % port) for line in
                           (machine.read("/proc/net/udp") + machine.read("/proc/net/udp6")).splitlines()
                           if ":" in line.split()[0])

    def dnsmasq(self, root):
        self.needs("dnsmasq")
        log = self.path("dnsmasq.log")
        return Daemon(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--port=0",
                       "--enable-tftp", "--tftp-max=2000", "--tftp-root=%s" % root, "--log-facility=%s" % log,
                       "--pid-file="], self.bound(69), "dnsmasq")

    def tftpd(self, root):
        self.needs("in.tftpd")
        return Daemon(["in.tftpd", "-L", "-4", "-a", ":6969", "--secure", root], self.bound(6969), "in.tftpd",
                      stderr=subprocess.DEVNULL)

    # --- samples

    def pairs(self, figure, ours, peer=None, count=9):
        """Takes samples in turn, who goes first in turn, until there are enough or the time is over: that of the group when
        there are three, that of all whatever there is."""
        self.among(ours, [(figure, peer)], count)

    def among(self, ours, peers, count=9):
        """The same with several peers, [(figure, how a sample of its peer is taken)]: each figure has the same samples of ours."""
        first = peers[0][0]
        for number in range(self.size(count, min(count, 3))):
            order = [(None, ours), *((figure, take) for figure, take in peers if take)]
            got = {figure: self.sample(figure or first, take) for figure, take in (order if number % 2 == 0 else reversed(order))}
            if all(value is not None for value in got.values()):
                for figure, _ in peers:
                    figure.ours.append(got[None])
                    if figure in got:
                        figure.peer.append(got[figure])
            if (time.monotonic() > self.end and number >= 2) or time.monotonic() > self.deadline:
                break
        for figure, _ in peers:
            self.report(figure)

    def sample(self, figure, take):
        """None: it failed thrice. A machine that lets nobody run for half a second makes imagefs refuse (C6)."""
        for _ in range(3):
            try:
                return take()
            except (subprocess.CalledProcessError, OSError) as error:
                self.skip("%s: a sample failed: %s" % (figure.text, brief(error)))
        return None

    def report(self, figure):
        if figure.ours:
            self.figures.append(dict(figure.summary(), group=self.name))

    def figure(self, *words, **more):
        return figures.Figure(*words, **more)


def forget(*paths):
    """Takes files out of the page cache; what is dirty is written first."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        with contextlib.suppress(OSError):
            os.fdatasync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def random_file(path, size):
    with open(path, "wb") as file:
        for at in range(0, size, 1 << 20):
            file.write(os.urandom(min(1 << 20, size - at)))
    return path


def first_byte(path):
    """Milliseconds of open and of the first byte."""
    start = time.monotonic_ns()
    fd = os.open(path, os.O_RDONLY)
    os.pread(fd, 1, 0)
    took = time.monotonic_ns() - start
    os.close(fd)
    return took / 1e6
