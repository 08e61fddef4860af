"""board: what a board does with its image: writes over a connection to the block server that lasts."""
import socket
import struct

OLD_MAGIC, OPTIONS_MAGIC = b"NBDMAGIC", b"IHAVEOPT"
EXPORT_NAME, NO_ZEROES, FIXED = 1, 2, 1
REQUEST, REPLY = 0x25609513, 0x67446698
WRITE, DISCONNECT = 1, 2


class Board:
    """An NBD client of a server on a Unix socket. A write has its reply when it returns, as after sync on a Pi."""

    def __init__(self, path, export):
        self.handle = 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        magic, options, flags = struct.unpack(">8s8sH", self.receive(18))
        if magic != OLD_MAGIC or options != OPTIONS_MAGIC:
            raise RuntimeError("no NBD server: %s" % path)
        self.socket.sendall(struct.pack(">I", flags & (FIXED | NO_ZEROES)))
        name = export.encode()
        self.socket.sendall(OPTIONS_MAGIC + struct.pack(">II", EXPORT_NAME, len(name)) + name)
        self.receive(8 + 2 + (0 if flags & NO_ZEROES else 124))

    def receive(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise RuntimeError("the NBD server is gone")
            data += more
        return data

    def write(self, offset, data):
        self.handle += 1
        self.socket.sendall(struct.pack(">IHHQQI", REQUEST, 0, WRITE, self.handle, offset, len(data)) + data)
        magic, error, handle = struct.unpack(">IIQ", self.receive(16))
        if magic != REPLY or error or handle != self.handle:
            raise RuntimeError("a write failed: %d" % error)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.sendall(struct.pack(">IHHQQI", REQUEST, 0, DISCONNECT, 0, 0, 0))
        self.socket.close()
