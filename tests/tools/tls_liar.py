#!/usr/bin/env python3
"""tls_liar.py - a block server that offers TLS and means no good

usage: tls_liar.py DIRECTORY FIRST-PORT

Serves each of the ways below on a port of its own of 127.0.0.1, from FIRST-PORT on, and
prints their names in that order. DIRECTORY has ca-cert.pem, server-cert.pem and
server-key.pem.
"""
import socket
import ssl
import struct
import sys
import threading
import time

GREETING = b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3)
REPLY = 0x3E889045565A9


def reply(option, kind, data=b"", length=None):
    return struct.pack(">QIII", REPLY, option, kind, len(data) if length is None else length) + data


def receive(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def begin(connection):
    connection.sendall(GREETING)
    receive(connection, 4 + 16)


def secret(connection):
    begin(connection)
    connection.sendall(reply(5, 1))
    return context.wrap_socket(connection, server_side=True)


def option(connection):
    _, number, length = struct.unpack(">QII", receive(connection, 16))
    receive(connection, length)
    return number


def until_options(connection):
    within = secret(connection)
    option(within)
    within.sendall(reply(5, 0x80000003, b"once is enough"))
    option(within)
    return within


def silent(connection):
    time.sleep(1000)


def noise(connection):
    connection.sendall(bytes(range(256)) * 16)


def old_style(connection):
    connection.sendall(b"NBDMAGIC" + struct.pack(">QQI", 0x00420281861253, 1 << 20, 1) + bytes(124))


def drop_by_drop(connection):
    for byte in GREETING * 100:
        connection.sendall(bytes([byte]))
        time.sleep(0.2)


def refuse(connection):
    begin(connection)
    connection.sendall(reply(5, 0x80000001, b"no"))


def long_refusal(connection):
    begin(connection)
    connection.sendall(reply(5, 0x80000001, length=0xFFFFFFFF))
    for _ in range(100000):
        connection.sendall(bytes(65536))


def no_tls_after_all(connection):
    begin(connection)
    connection.sendall(reply(5, 1) + reply(7, 1))
    connection.sendall(bytes(65536))


def part_of_tls(connection):
    begin(connection)
    connection.sendall(reply(5, 1))
    receive(connection, 100)
    connection.sendall(b"\x16\x03\x03\x40\x00" + bytes(100))
    time.sleep(1000)


def silent_within(connection):
    within = secret(connection) # noqa: F841 - kept open
    time.sleep(1000)


def long_answer(connection):
    within = secret(connection)
    option(within)
    within.sendall(reply(5, 0x80000003, length=0xFFFFFFF0))
    for _ in range(100000):
        within.sendall(bytes(65536))


def noise_within(connection):
    within = until_options(connection)
    for _ in range(100000):
        within.sendall(bytes(65536))


def information_for_ever(connection):
    within = until_options(connection)
    for _ in range(10000000):
        within.sendall(reply(7, 3, struct.pack(">HI", 77, 0)) * 1000)


def ends_within(connection):
    until_options(connection).close()


WAYS = [silent, noise, old_style, drop_by_drop, refuse, long_refusal, no_tls_after_all, part_of_tls, silent_within, long_answer,
        noise_within, information_for_ever, ends_within]


def serve_one(way, connection):
    try:
        way(connection)
    except (OSError, EOFError):
        pass
    connection.close()


def serve(way, listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve_one, args=(way, connection), daemon=True).start()


directory, port = sys.argv[1], int(sys.argv[2])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(directory + "/server-cert.pem", directory + "/server-key.pem")
for number, one in enumerate(WAYS):
    at = socket.create_server(("127.0.0.1", port + number))
    threading.Thread(target=serve, args=(one, at), daemon=True).start()
print("\n".join(one.__name__ for one in WAYS), flush=True)
time.sleep(1000)
