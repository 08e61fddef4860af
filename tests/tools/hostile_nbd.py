#!/usr/bin/python3
"""A block server that lies.

  hostile_nbd.py SOCKET IMAGE

Listens on the unix socket; the name of the export that a client asks for says in which way it lies (WAYS). Everything else is
as doc/proto.md says, with the bytes of IMAGE. Of the names in PAGES the image is the truth, and NAME@writes (imagefs-writes(7))
is not.
"""
import os
import socket
import struct
import sys
import threading
import time

GO, INFO, STRUCTURED = 7, 6, 8
ACK, INFO_REPLY = 1, 3
WAYS = """silence close garbage endless-options huge-option wrong-option size-0 size-1000 size-half size-double size-2^63 size-2^64
	block-32K wrong-magic wrong-handle short-read short-and-close error trickle no-reply chunk-beyond chunk-huge chunk-none
	chunk-garbage many-replies""".split()
PAGES = """page-random page-moving page-in-flight page-busy page-back page-version page-slots page-error page-no-reply page-short
	page-zero page-true""".split()


def exactly(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


def option_reply(option, kind, data=b"", length=None):
    return struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data) if length is None else length) + data


def size_of(way, true):
    return {"size-0": 0, "size-1000": 1000, "size-half": true // 2, "size-double": true * 2, "size-2^63": 2**63 - 512,
            "size-2^64": 2**64 - 512, "page-short@writes": 40}.get(way, true)


def negotiate(sock, true_size):
    """(the way, is the reply structured?)"""
    sock.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
    exactly(sock, 4)
    structured = False
    while True:
        _, option, length = struct.unpack(">8sII", exactly(sock, 16))
        data = exactly(sock, length)
        if option == STRUCTURED:
            structured = True
            sock.sendall(option_reply(option, ACK))
            continue
        if option not in (GO, INFO):
            sock.sendall(option_reply(option, 0x80000001))
            continue
        name = data[4:4 + struct.unpack(">I", data[:4])[0]].decode()
        if name == "silence":
            time.sleep(1000)
        if name == "close":
            raise ConnectionError
        if name == "garbage":
            sock.sendall(os.urandom(100000))
        if name == "huge-option":
            sock.sendall(option_reply(option, INFO_REPLY, b"x" * 1000, 0xFFFFFFFF))
            time.sleep(1000)
        if name == "wrong-option":
            sock.sendall(option_reply(99, ACK))
        if name == "endless-options":
            # Its reader finds more there whenever it looks. (SO_SNDBUFFORCE)
            sock.setsockopt(socket.SOL_SOCKET, 32, 1 << 25)
            endless = option_reply(option, INFO_REPLY, struct.pack(">H", 1) + b"name") * 100000
            while True:
                sock.sendall(endless)
        if name == "block-32K":
            sock.sendall(option_reply(option, INFO_REPLY, struct.pack(">HIII", 3, 1 << 15, 1 << 15, 1 << 25)))
        sock.sendall(option_reply(option, INFO_REPLY, struct.pack(">HQH", 0, size_of(name, true_size), 1)))
        sock.sendall(option_reply(option, ACK))
        return name, structured


def chunk(handle, kind, data, flags=1, length=None):
    return struct.pack(">IHHQI", 0x668E33EF, flags, kind, handle, len(data) if length is None else length) + data


def answer(sock, way, structured, handle, offset, data):
    if way == "no-reply":
        return
    if way == "wrong-magic":
        sock.sendall(struct.pack(">IIQ", 0x12345678, 0, handle) + data)
    elif way == "wrong-handle":
        sock.sendall(chunk(handle ^ 1, 1, struct.pack(">Q", offset) + data))
    elif way == "short-read":
        sock.sendall(chunk(handle, 1, struct.pack(">Q", offset) + data[:512]))
    elif way == "short-and-close":
        sock.sendall(chunk(handle, 1, struct.pack(">Q", offset) + data)[:1000])
        raise ConnectionError
    elif way == "error" and not structured:
        sock.sendall(struct.pack(">IIQ", 0x67446698, 5, handle))
    elif way == "error":
        sock.sendall(chunk(handle, 0x8001, struct.pack(">IH", 5, 0)))
    elif way == "trickle":
        for byte in chunk(handle, 1, struct.pack(">Q", offset) + data):
            sock.sendall(bytes([byte]))
            time.sleep(0.2)
    elif way == "chunk-beyond":
        sock.sendall(chunk(handle, 1, struct.pack(">Q", offset + len(data)) + data))
    elif way == "chunk-huge":
        sock.sendall(chunk(handle, 1, struct.pack(">Q", offset) + data, length=0xFFFFFFF0))
    elif way == "chunk-none":
        sock.sendall(chunk(handle, 0, b""))
    elif way == "chunk-garbage":
        sock.sendall(chunk(handle, 0x7777, os.urandom(100)))
    elif way == "many-replies":
        sock.sendall(chunk(handle, 1, struct.pack(">Q", offset) + data) * 3)
    elif structured:
        sock.sendall(chunk(handle, 1, struct.pack(">Q", offset) + data))
    else:
        sock.sendall(struct.pack(">IIQ", 0x67446698, 0, handle) + data)


def page(way, turn):
    """The first bytes of NAME@writes, when it is read for the `turn`th time."""
    instance = os.urandom(16) if way == "page-moving" else b"i" * 16
    begun = {"page-busy": turn, "page-back": 1000000 - turn, "page-zero": 0}.get(way, 5)
    ended = 4 if way == "page-in-flight" else begun
    slots = 0xFFFFFFFF if way == "page-slots" else 28
    magic = b"imgfsWR9" if way == "page-version" else b"imgfsWR1"
    header = magic + struct.pack("<II", 512, 20) + instance + struct.pack("<QQQII", 0, begun, ended, slots, 0)
    if way == "page-in-flight":
        header += struct.pack("<QQ", 0, 1 << 40)
    counters = struct.pack("<II", begun, ended) * 448
    return os.urandom(4096) if way == "page-random" else header.ljust(512, b"\0") + counters


def answer_page(sock, way, turn, handle, length):
    if way == "page-error":
        sock.sendall(struct.pack(">IIQ", 0x67446698, 5, handle))
    elif way != "page-no-reply":
        sock.sendall(struct.pack(">IIQ", 0x67446698, 0, handle) + page(way, turn)[:length].ljust(length, b"\0"))


turns = 0


def serve(sock, image):
    global turns
    try:
        way, structured = negotiate(sock, os.path.getsize(image))
        with open(image, "rb") as file:
            while True:
                _, _, kind, handle, offset, length = struct.unpack(">IHHQQI", exactly(sock, 28))
                if kind == 2:
                    return
                if way.startswith("page-") and way.endswith("@writes"):
                    turns += 1
                    answer_page(sock, way.partition("@")[0], turns, handle, length)
                    continue
                file.seek(offset)
                answer(sock, way, structured, handle, offset, file.read(length).ljust(length, b"\0"))
    except (OSError, ValueError):
        pass
    finally:
        sock.close()


def main():
    if len(sys.argv) == 1:
        print(*WAYS)
        print(*PAGES)
        return
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(64)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], sys.argv[2]), daemon=True).start()


main()
