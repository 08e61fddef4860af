"""What a Raspberry Pi's boot ROM asks by DHCP, and what it is offered for TFTP.

usage: dhcp_offer.py INTERFACE [SECONDS]
Prints: the server's address, the vendor class, siaddr (next-server) and option 66 (tftp-server-name), and the boot menu's
words; fails after 20 s. With SECONDS: all offers that come in that time, a line each, asked once a second; fails if there is none.
A Pi goes on to TFTP when that class is PXEClient and one of the words is "Raspberry Pi Boot".
"""
import fcntl
import os
import socket
import struct
import sys
import time

interface = sys.argv[1]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    SIOCGIFHWADDR = 0x8927  # netdevice(7)
    mac = fcntl.ioctl(sock, SIOCGIFHWADDR, struct.pack("256s", interface.encode()))[18:24]
transaction = os.urandom(4)
options = bytes([53, 1, 1, 55, 4, 43, 60, 66, 67])
for number, value in (
    (93, b"\0\0"),
    (94, b"\1\2\1"),
    (97, b"\0RPi4" + mac + bytes(6)),
    (60, b"PXEClient:Arch:00000:UNDI:002001"),
):
    options += bytes([number, len(value)]) + value
discover = struct.pack("!BBBB4sHH16s16s192x4s", 1, 1, 6, 0, transaction, 0, 0x8000, bytes(16), mac + bytes(10), b"\x63\x82\x53\x63")
discover += options + b"\xff"


def options_of(packet):
    found, at = {}, 240
    while at + 1 < len(packet) and packet[at] != 255:
        if packet[at] == 0:
            at += 1
            continue
        length = packet[at + 1]
        found[packet[at]] = packet[at + 2 : at + 2 + length]
        at += 2 + length
    return found


with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    sock.bind(("", 68))
    sock.settimeout(1)
    deadline = time.monotonic() + (float(sys.argv[2]) if len(sys.argv) > 2 else 20)
    offers, asked = 0, 0
    while time.monotonic() < deadline:
        if time.monotonic() >= asked + 1:
            sock.sendto(discover, ("255.255.255.255", 67))
            asked = time.monotonic()
        try:
            packet = sock.recv(2048)
        except socket.timeout:
            continue
        offer = options_of(packet)
        if packet[4:8] == transaction and offer.get(53) == b"\2":
            offers += 1
            print(
                socket.inet_ntoa(offer[54]),
                offer.get(60, b"").decode(),
                "siaddr=%s" % socket.inet_ntoa(packet[20:24]),
                "tftp=%s" % offer.get(66, b"").rstrip(b"\0").decode(),
                repr(offer.get(43, b"")),
            )
            if len(sys.argv) == 2:
                sys.exit(0)
if offers == 0:
    sys.exit("no offer")
