#!/usr/bin/python3
"""Tells when the reports of an image were believed and when not, until it is told to stop.

  watch_reports.py STATUS-FILE IMAGE

Looks at the status every few milliseconds; a line for each change, and a summary at
SIGTERM.
"""
import json
import signal
import sys
import time


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    last, changes, looks, begun = None, 0, 0, time.monotonic()
    away = 0.0
    while not stop:
        try:
            with open(sys.argv[1], encoding="utf-8") as file:
                images = json.load(file)["images"]
            reports = next(image["reports"] for image in images if image["name"] == sys.argv[2])
            now = reports["exact"], reports["why_not"], reports["stranger_seconds"] is not None, reports["lost"]
        except (OSError, ValueError, StopIteration, KeyError) as error:
            now = False, str(error), None, None
        looks += 1
        if now != last:
            changes += last is not None
            print("%.3f (%.3f): exact %s, why not: %s, stranger: %s, lost: %s" % (
                time.monotonic() - begun, time.monotonic(), *now), flush=True)
            last = now
        time.sleep(0.01)
        away += 0 if now[0] else 0.01
    print("%d looks, %d changes, not exact for %.1f of %.1f s" % (looks, changes, away, time.monotonic() - begun))


if __name__ == "__main__":
    main()
