"""updates: how soon each file is there that a board has just rewritten through its nbd-server"""
import os
import time

import fat
import writers
from board import Board
from figure import LESS
from world import first_byte, wait_until

SECONDS = 90
FILES = 12
FILE_BYTES = 65536
AGOS = (0.3, 1, 8)
WAYS = (("the kernel tells", [], False), ("the kernel tells, transactionlog", [], True),
        ("changes=events", ["changes=events"], False), ("changes=events, transactionlog", ["changes=events"], True))


class Files:
    """An image of some files, and what a board writes when it replaces their content: theirs, directory and FAT."""

    def __init__(self, image):
        volume = fat.Volume(image, 20000, 4096)
        self.names = ["file%d.bin" % number for number in range(FILES)]
        self.offsets = [volume.write(name, os.urandom(FILE_BYTES)) for name in self.names]
        self.tables = [volume.root, volume.fat]
        volume.close()
        with open(image, "rb") as file:
            self.tables = [(offset, os.pread(file.fileno(), 4096, offset)) for offset in self.tables]

    def update(self, board):
        for offset in self.offsets:
            board.write(offset, os.urandom(FILE_BYTES))
        for offset, data in self.tables:
            board.write(offset, data)


def measure(world, files, board, way):
    for ago in AGOS:
        figure = world.figure("first open of each file that a board rewrote by nbd-server %g s ago, %s" % (ago, way), "ms", LESS,
                              target=("ours", 5))
        for _ in range(1 if ago > 2 else world.size(3, 1)):
            for name in files.names:
                first_byte(world.path("mnt/image", name))
            files.update(board)
            time.sleep(ago)
            figure.ours += [first_byte(world.path("mnt/image", name)) for name in files.names]
        world.report(figure)


def run(world):
    world.needs("nbd-server")
    source, control = world.directory("src"), world.directory("control")
    image, log = os.path.join(source, "image.img"), os.path.join(control, "image")
    for way, options, is_logged in WAYS:
        files = Files(image)
        with world.mount(source, options=["control=%s" % control, *options]):
            wait_until(lambda: os.access(log, os.W_OK), log)
            server, _ = writers.nbd_server(world, image, "transactionlog = %s\n" % log if is_logged else "")
            with server, Board(world.path("nbd.sock"), "disk") as board:
                time.sleep(3)  # the image has just been made
                measure(world, files, board, way)
