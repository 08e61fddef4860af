"""A page of NAME@writes, taken apart as imagefs-writes(7) says."""
import struct

import nbd as libnbd

FIRST_READ, SLOTS = 4096, 64


def connect(uri):
    client = libnbd.NBD()
    client.connect_uri(uri)
    return client


class Page:
    def __init__(self, client):
        data = bytes(client.pread(FIRST_READ, 0))
        (self.magic, self.header, self.shift, self.instance, self.size, self.begun, self.ended, count,
         self.unlisted) = struct.unpack_from("<8sII16sQQQII", data)
        slots = struct.iter_unpack("<QQ", data[SLOTS:SLOTS + 16 * count])
        self.slots = sorted((offset, length) for offset, length in slots if length)
        self.units = self.counters(data[self.header:])
        assert self.magic == b"imgfsWR1", self.magic
        assert len(self.slots) + self.unlisted == self.begun - self.ended, vars(self)

    @staticmethod
    def counters(data, first=0):
        """{unit: (begun, ended)} of those that were written to."""
        return {first + i: counter for i, counter in enumerate(struct.iter_unpack("<II", data)) if any(counter)}

    def further(self, client, unit):
        """The counters of the 512 units from there on."""
        return self.counters(client.pread(4096, self.header + 8 * unit), unit)

    def quiet(self):
        return self.begun == self.ended
