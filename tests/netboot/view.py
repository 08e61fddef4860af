"""What others see of a board's boot partition while it works: fetches and their verdicts.

A fetch of a file is one of
  a release's number   the bytes are what that release brought under that name
  "refused"            an error that says so (EIO, ESTALE; over TFTP any but "not found")
  "absent" "EMPTY" "OTHER"
"""
import collections
import ctypes
import errno
import hashlib
import os
import select
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tools"))
import tftp  # noqa: E402

IN_MODIFY = 2

Fetch = collections.namedtuple("Fetch", "name start end got sha how")


class Writes:
    """The times at which an image is written to, however that comes."""

    def __init__(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0 or libc.inotify_add_watch(self.fd, os.fsencode(path), IN_MODIFY) < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self.times, self.path = [], path
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        while True:
            select.select([self.fd], [], [])
            data, now, at = os.read(self.fd, 1 << 16), time.monotonic(), 0
            while at < len(data):
                _, _, _, length = struct.unpack_from("iIII", data, at)
                at += 16 + length
                self.times.append(now)

    def silences(self, since, until, least):
        """[(start, end)] between the first and the last write of that time, `until` for a last."""
        times = [when for when in self.times if since <= when < until] + [until]
        return [(a, b) for a, b in zip(times, times[1:]) if b - a >= least]

    def first(self, since):
        return next((when for when in self.times if when >= since), None)

    def wait_for_count(self, count, since, deadline, over):
        """True when that many came, False when `over` says that no more will."""
        while len(self.times) - since < count:
            if over() or time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        return True

    def wait_for_rest(self, seconds):
        """Until nothing has been written for that long."""
        deadline = time.monotonic() + 60
        while time.time() - os.stat(self.path).st_mtime < seconds:
            if time.monotonic() > deadline:
                raise TimeoutError("%s is never at rest" % self.path)
            time.sleep(0.02)


class View:
    """The directory in which imagefs shows the image, through it and through a TFTP server."""

    def __init__(self, directory, tftp_server, prefix, known):
        self.directory, self.tftp_server, self.prefix, self.known = directory, tftp_server, prefix, known

    def verdict(self, name, sha, size):
        if size == 0:
            return "EMPTY"
        return self.known.get((name, sha), "OTHER")

    def read(self, name):
        start = time.monotonic()
        try:
            with open(os.path.join(self.directory, name), "rb") as file:
                data = file.read()
            sha = hashlib.sha256(data).hexdigest()
            got = self.verdict(name, sha, len(data))
        except FileNotFoundError:
            sha, got = "", "absent"
        except OSError as error:
            if error.errno not in (errno.EIO, errno.ESTALE):
                raise
            sha, got = "", "refused"
        return Fetch(name, start, time.monotonic(), got, sha, "file")

    def fetch(self, name):
        start = time.monotonic()
        try:
            got = tftp.fetch(self.tftp_server, 69, self.prefix + "/" + name, blksize=1468)
            sha = got.hash.hexdigest()
            got = self.verdict(name, sha, got.size)
        except tftp.Refused as refusal:
            sha, got = "", "absent" if refusal.code == 1 else "refused"
        return Fetch(name, start, time.monotonic(), got, sha, "TFTP")

    def tree(self):
        """{name: sha256}; raises OSError when something is refused."""
        found = {}

        def refused(error):
            raise error

        for directory, _, names in os.walk(self.directory, onerror=refused):
            for name in names:
                path = os.path.join(directory, name)
                with open(path, "rb") as file:
                    found[os.path.relpath(path, self.directory)] = hashlib.sha256(file.read()).hexdigest()
        return found


class Readers:
    """One opens files in the mount all the time, one fetches them as a board would."""

    def __init__(self, view, names):
        self.view, self.names = view, names
        self.fetches, self.errors, self.over = [], [], threading.Event()
        self.threads = [threading.Thread(target=self.go_on, args=(way,)) for way in (view.read, view.fetch)]
        for thread in self.threads:
            thread.start()

    def go_on(self, way):
        number = 0
        try:
            while not self.over.is_set():
                self.fetches.append(way(self.names[number % len(self.names)]))
                number += 1
                self.over.wait(0.01)  # the board needs the processor too
        except Exception as error:  # told by stop(), in the thread that asks
            self.errors.append(error)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise self.errors[0]
        return self.fetches
