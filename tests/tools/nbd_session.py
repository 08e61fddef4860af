"""An NBD client that does as it is told, one line at a time.

usage: nbd_session.py URI

  write OFFSET LENGTH [BYTE]   flush   zero OFFSET LENGTH   trim OFFSET LENGTH

Answers each line with "ok", or "failed: " and why. Ends with its input.
"""
import sys

import nbd


def execute(handle, words):
    kind, numbers = words[0], [int(word, 0) for word in words[1:]]
    if kind == "write":
        offset, length, byte = (numbers + [0])[:3]
        handle.pwrite(bytes([byte]) * length, offset)
    elif kind == "zero":
        handle.zero(numbers[1], numbers[0])
    elif kind == "trim":
        handle.trim(numbers[1], numbers[0])
    elif kind == "flush":
        handle.flush()
    else:
        raise ValueError("no such command: " + kind)


def main():
    handle = nbd.NBD()
    handle.connect_uri(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            execute(handle, line.split())
            print("ok", flush=True)
        except (nbd.Error, ValueError) as error:
            print("failed:", str(error).replace("\n", " "), flush=True)


main()
