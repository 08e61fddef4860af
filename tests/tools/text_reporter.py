"""One who writes to an image and reports it himself, in the text form of imagefs-control(7).

  from text_reporter import TextReporter, patiently
"""
import os
import time

LIMIT = 20  # seconds; for what has no bound of its own


def patiently(call):
    """What it returns, as soon as it is not refused: when all is settled."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            return call()
        except OSError:
            assert time.monotonic() < deadline, "refused for ever"


class TextReporter:
    """Of the place in the image where these bytes are now."""

    def __init__(self, control, image, content):
        self.control = control
        self.report, self.writer = os.open(control, os.O_WRONLY), os.open(image, os.O_RDWR)
        with open(image, "rb") as file:
            self.start = file.read().index(content)

    def status(self, name):
        with open(self.control, encoding="ascii") as file:
            return next(line for line in file if line.startswith(name + ": "))[len(name) + 2:].strip()

    def write(self, offset, data):
        os.write(self.report, b"write %d %d 1\n" % (self.start + offset, len(data)))
        os.pwrite(self.writer, data, self.start + offset)
        os.write(self.report, b"done 1\n")

    def until_exact(self):
        """After a first word, of the image's first byte: that is not written."""
        deadline = time.monotonic() + LIMIT
        os.write(self.report, b"write 0 1 1\ndone 1\n")
        while self.status("reports") != "exact":
            assert time.monotonic() < deadline, self.status("reports")
