#!/usr/bin/python3
"""A server that is far away: what is said to it and by it arrives later.

  far_away.py SOCKET SERVER-SOCKET MILLISECONDS

Listens on the unix socket, and connects each client to the server's. Bytes take so many milliseconds each way, however many; a
connection and its end take none.
"""
import socket
import sys
import threading
import time


def carry(source, sink, delay):
    """As it comes, each piece by its own time."""
    pieces, there = [], threading.Condition()

    def deliver():
        while True:
            with there:
                there.wait_for(lambda: pieces)
                due, piece = pieces.pop(0)
            time.sleep(max(0, due - time.monotonic()))
            try:
                if not piece:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(piece)
            except OSError:
                return

    threading.Thread(target=deliver, daemon=True).start()
    piece = b"-"
    while piece:
        try:
            piece = source.recv(1 << 18)
        except OSError:
            piece = b""
        with there:
            pieces.append((time.monotonic() + delay, piece))
            there.notify()


def main():
    delay = float(sys.argv[3]) / 1e3
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(64)
    while True:
        client, _ = listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(sys.argv[2])
        for pair in ((client, server), (server, client)):
            threading.Thread(target=carry, args=(*pair, delay), daemon=True).start()


main()
