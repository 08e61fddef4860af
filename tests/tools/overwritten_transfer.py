#!/usr/bin/python3
"""A file that is overwritten while tftpd-hpa sends it comes whole as it was, or ends with an error (C2).

  overwritten_transfer.py PORT NAME IMAGE TRUE ROUNDS

TRUE is the content of NAME, and in one piece in IMAGE. tftpd-hpa takes a short read for the end.
"""
import random
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tftp  # noqa: E402

port, name, image, true, rounds = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])
with open(true, "rb") as file:
    content = file.read()
with open(image, "rb") as file:
    at = file.read().index(content)
rng = random.Random(1)


def overwrite(new):
    with open(image, "r+b") as file:
        file.seek(at)
        file.write(new)


def fetch(stop):
    """Fetched until an error or the end; overwritten after `stop` blocks. (how it ended, bytes)"""
    transfer, got = tftp.Transfer("127.0.0.1", port, name, 1428, tsize=True), bytearray()
    try:
        _, first = transfer.start()
        for number, block in enumerate(transfer.read_all(first)):
            got += block
            if number == stop:
                overwrite(rng.randbytes(len(content)))
            if number > stop:
                time.sleep(0.0003)  # a network's pace
        return "complete", bytes(got)
    except tftp.Refused as refusal:
        return "error %d" % refusal.code, bytes(got)
    finally:
        transfer.close()


for _ in range(rounds):
    while time.time() - os.stat(image).st_ctime < 2.5:  # longer than ctime's lag: what is open is believed
        time.sleep(0.05)
    blocks = rng.randrange(1, 2000)
    end, data = fetch(blocks)
    assert content.startswith(data), "torn after %d blocks" % blocks
    assert end != "complete" or data == content, "a short read passed for the end at %d" % len(data)
    print("overwritten after %d blocks: %s, %d bytes" % (blocks, end, len(data)), flush=True)
    with open(image, "rb") as file:
        file.seek(at)
        content = file.read(len(content))
