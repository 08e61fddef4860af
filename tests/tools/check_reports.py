#!/usr/bin/python3
"""check_reports.py LOG [--silence-is-fine]: does what a server reported keep to the rules?

LOG is control_log's, with lines of the plugin among them:

    plugin begin|end OFFSET LENGTH

1. What is said first to an open control file is "done", after "flush" when something
   was written that was not reported.
2. There, an ID is used once; only what is in flight is done; nothing is in flight when
   it is closed.
3. When the plugin begins, a write of just that range is in flight, and it is not done
   before the plugin ends.
With --silence-is-fine, 3 holds only while a control file is open.
"""
import sys


class Broken(Exception):
    pass


class File:
    def __init__(self):
        self.flights = {}
        self.seen = set()
        self.greeted = False


def take(file, line, running):
    words = line.split()
    if not file.greeted:
        if line == "flush":
            return 0
        if line != "done":
            raise Broken("not the first word: " + line)
        file.greeted = True
        return 0
    if words[0] == "write":
        offset, length, ident = int(words[1], 0), int(words[2], 0), int(words[3], 0)
        if ident in file.seen:
            raise Broken("used twice: " + line)
        file.seen.add(ident)
        file.flights[ident] = (offset, length)
        return 1
    if words[0] == "done":
        flight = file.flights.pop(int(words[1], 0), None)
        if flight is None:
            raise Broken("was not in flight: " + line)
        if running.get(flight, 0) > list(file.flights.values()).count(flight):
            raise Broken("the plugin still writes: " + line)
        return 0
    raise Broken("means nothing: " + line)


def main():
    silence_is_fine = "--silence-is-fine" in sys.argv
    files, running, writes, texts = {}, {}, 0, 0
    for number, text in enumerate(open(sys.argv[1]), 1):
        words = text.split(None, 4)
        try:
            if words[0] == "plugin":
                flight = (int(words[2]), int(words[3]))
                if words[1] == "begin":
                    known = [f for file in files.values() for f in file.flights.values()]
                    if flight not in known and not (silence_is_fine and not files):
                        raise Broken("nobody knew of it")
                    running[flight] = running.get(flight, 0) + 1
                else:
                    running[flight] -= 1
                continue
            name, said = (words[2], words[3]), words[4].rstrip("\n")
            if said == "open":
                files[name] = File()
            elif said == "close":
                if files.pop(name).flights:
                    raise Broken("something is in flight")
            else:
                texts += 1
                for line in said.split("; "):
                    writes += take(files[name], line, running)
        except (Broken, KeyError, ValueError, IndexError) as error:
            print("line %d: %s: %r" % (number, text.strip(), error))
            return 1
    print("%d writes in %d texts" % (writes, texts))
    return 0


sys.exit(main())
