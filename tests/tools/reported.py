"""A client's writes to an image are reported, understood and believed.

usage: reported.py STATUS-JSON IMAGE FORM URI [SECONDS]
"""
import json
import sys
import time

import nbd as libnbd

status, image, form, uri = sys.argv[1:5]
deadline = time.monotonic() + int((sys.argv[5:] or ["20"])[0])


def in_time(what):
    assert time.monotonic() < deadline, what
    time.sleep(0.05)


def connected():
    while True:
        nbd = libnbd.NBD()
        try:
            nbd.connect_uri(uri)
            return nbd
        except libnbd.Error as error:
            in_time(error)


def reports():
    with open(status) as file:
        return next(each["reports"] for each in json.load(file)["images"] if each["name"] == image)


client = connected()
assert client.can_flush() and client.can_fua() and client.can_trim(), uri
client.pwrite(client.pread(512, 0), 0, libnbd.CMD_FLAG_FUA)
client.trim(4096, client.get_size() - 4096)
client.flush()
while True:
    now = reports()
    if now["writes"] >= 2 and now["in_flight"] == 0 and now["exact"]:
        break
    in_time(now)
assert now["reporters"][0]["form"] == form, now
print(image, now)
client.shutdown()
