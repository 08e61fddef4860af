#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a boot of many boards from many heads asks of each part, and which part is the first that cannot.

  docs/farm/farm.py                    10,000 boards, 100 heads: the table
  docs/farm/farm.py --boards 64 --heads 4 --osds 3
  docs/farm/farm.py --plot             and farm.csv, and farm.svg (gnuplot), beside this file

All boards are switched on at once (a power failure). Each part is taken by itself: the time that it needs for all of its work
if nothing else were slow. The longest of them is the least time of the whole, and its part is what to buy more of. No queues,
no losses: a bound from below, not a forecast. Figures with [m] were measured (docs/many-heads.md says how), the others are
assumed, from data sheets: put yours there: each is an option.
"""
import argparse
import math
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))

# A Pi 4's list of tests/data/firmware/pi4.txt, files as in Raspberry Pi OS.
FIGURES = {
    # name: (default, what it is)
    "boards": (10000, "boards, all at once"),
    "heads": (100, "heads"),
    "osds": (60, "OSDs of the cluster"),
    "stores": (20, "machines with a block server, where it is no cluster"),
    "requests": (29, "TFTP requests of a boot [m]"),
    "bytes_mb": (23.3, "MB of a boot by TFTP: kernel, initramfs, firmware"),
    "block": (1468, "bytes of a TFTP block: no window, one round trip for each"),
    "round_trip_us": (400, "round trip of a block, board to head and back, on a gigabit network"),
    "board_mbit": (1000, "network of a board, Mbit/s"),
    "head_mbit": (10000, "network of a head, Mbit/s, both ways alike"),
    "tftp_mb": (227, "MB/s of one dnsmasq, one core [m]"),
    "dhcp_packets": (4, "DHCP packets of a boot"),
    "dhcp_per_s": (2000, "DHCP packets for each second of one server"),
    "dhcp_servers": (1, "DHCP servers"),
    "settle_ms": (200, "what is seen for the first time waits so long"),
    "reads_plain": (1575, "reads of the store for a first boot, it tells nothing [m]"),
    "mb_plain": (166, "MB of them [m]"),
    "first_files": (8, "files that are fetched, each of which waits for the settle time where it tells nothing"),
    "reads_told": (319, "reads of the store for a first boot, it has NAME@writes [m]"),
    "mb_told": (23.9, "MB of them [m]"),
    "looks": (50, "reads of NAME@writes among them: those of a boot of which nothing has changed [m]"),
    "look_versions": (13, "objects whose versions imagefs-rbd asks for at each of these: those that a boot reads, and 3"),
    "own_reads": (0.1, "part of the data's reads that is a clone's own"),
    "own_mb": (0.02, "part of the bytes that is a clone's own"),
    "osd_ops": (5000, "reads for each second of an OSD"),
    "osd_versions": (20000, "versions of objects for each second of an OSD"),
    "osd_mb": (400, "MB/s of an OSD"),
    "store_mb": (1100, "MB/s of a block server's machine: its network"),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, (default, what) in FIGURES.items():
        parser.add_argument("--" + name.replace("_", "-"), type=float, default=default, metavar="N",
                            help="%s (%g)" % (what, default))
    parser.add_argument("--plot", action="store_true", help="farm.csv and farm.svg beside this file")
    return parser.parse_args()


def parts(a, told, cloned):
    """(what, how much of it, of how many, seconds) of each part. `cloned`: boards of one template, whose blocks a head reads
    once for all of them (RBD clones): only what is a board's own is read for each."""
    per_head = a.boards / a.heads
    reads, mb = (a.reads_told, a.mb_told) if told else (a.reads_plain, a.mb_plain)
    # Of a board of a template: its page, its FAT and directories, and its own files are few reads.
    data_reads = reads - (a.looks if told else 0)
    from_store_reads = data_reads * (a.heads + a.own_reads * a.boards) if cloned else data_reads * a.boards
    from_store_mb = mb * (a.heads + a.own_mb * a.boards) if cloned else mb * a.boards
    # imagefs-rbd: a look at the page is one at each object's version; what a clone has no object for is found out by asking for it,
    # and for two versions more, also when its bytes are in memory.
    versions = a.boards * (a.looks * a.look_versions if told else 0) + a.boards * (3 * data_reads if cloned else 0)
    blocks = math.ceil(a.bytes_mb * 1e6 / a.block)
    # A TFTP server with one thread waits for each open that waits.
    waits = per_head * (1 if told else a.first_files) * a.settle_ms / 1e3
    head_mb = a.head_mbit / 8
    return [
        ("DHCP", a.boards * a.dhcp_packets, "packets", a.boards * a.dhcp_packets / a.dhcp_per_s / a.dhcp_servers),
        ("a board's round trips", blocks, "blocks", blocks * a.round_trip_us / 1e6),
        ("a board's network", a.bytes_mb, "MB", a.bytes_mb * 8 / a.board_mbit),
        ("a head's network, out", per_head * a.bytes_mb, "MB", per_head * a.bytes_mb / head_mb),
        ("a head's network, in", from_store_mb / a.heads, "MB", from_store_mb / a.heads / head_mb),
        ("a head's TFTP server, bytes", per_head * a.bytes_mb, "MB", per_head * a.bytes_mb / a.tftp_mb),
        ("a head's TFTP server, first looks", per_head * (1 if told else a.first_files), "waits", waits),
        ("Ceph: reads", from_store_reads, "reads", from_store_reads / (a.osds * a.osd_ops)),
        ("Ceph: versions", versions, "versions", versions / (a.osds * a.osd_versions)),
        ("Ceph: bytes", from_store_mb, "MB", from_store_mb / (a.osds * a.osd_mb)),
        ("or block servers: bytes", from_store_mb, "MB", from_store_mb / (a.stores * a.store_mb)),
    ]


VARIANTS = (("tells nothing", False, False), ("NAME@writes", True, False), ("NAME@writes, clones", True, True))


def number(value):
    return "{:,.0f}".format(value)


def table(a):
    columns = [parts(a, told, cloned) for _, told, cloned in VARIANTS]
    print("%d boards, %d heads, %d OSDs. All boards together: %d TFTP requests, %.0f GB. At least so many seconds, by part:" % (
        a.boards, a.heads, a.osds, a.boards * a.requests, a.boards * a.bytes_mb / 1e3))
    print()
    print("| part | " + " | ".join("store %s" % name for name, _, _ in VARIANTS) + " |")
    print("| --- |" + " --- |" * len(VARIANTS))
    for row in zip(*columns):
        print("| %s | " % row[0][0] + " | ".join("%s %s: %.1f s" % (number(cell[1]), *cell[2:]) for cell in row) + " |")
    longest = [max(column, key=lambda part: part[3]) for column in columns]
    print("| **first** | " + " | ".join("**%s: %.0f s**" % (part[0], part[3]) for part in longest) + " |")


def plot(a):
    """The least time of the whole, over the number of heads."""
    data = os.path.join(HERE, "farm.csv")
    with open(data, "w", encoding="utf-8") as file:
        file.write("heads," + ",".join(name.replace(", ", " and ") for name, _, _ in VARIANTS) + "\n")
        for heads in (5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 500):
            a.heads = heads
            file.write("%d,%s\n" % (heads, ",".join("%.2f" % max(part[3] for part in parts(a, told, cloned))
                                                     for _, told, cloned in VARIANTS)))
    if not shutil.which("gnuplot"):
        raise SystemExit("farm.py: no gnuplot: farm.csv is there, farm.svg is as it was")
    script = """set terminal svg size 640,400 background "white"
set output "%s"
set datafile separator ","
set key top right
set logscale xy
set xlabel "heads"
set ylabel "seconds until %d boards have booted, at least"
set grid
plot for [i=2:%d] "%s" using 1:i with linespoints title columnheader(i)
""" % (os.path.join(HERE, "farm.svg"), a.boards, len(VARIANTS) + 1, data)
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def main():
    args = arguments()
    table(args)
    if args.plot:
        plot(args)


if __name__ == "__main__":
    main()
