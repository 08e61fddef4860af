"""For r_rbd_torture.sh, as a part of its Python."""
import random
M = 1 << 20
OBJECT = 4 * M
ANY = None  # an image that is being removed
print("seed", seed)
rng = random.Random(seed)

# Of each of the two objects: what it had, in order; from settled on it may still have it.
had = {0: [ANY], 1: [ANY]}
settled = {0: 0, 1: 0}
stop = False
wrong, counts = [], {"accepted": 0, "rejected": 0, "errors": 0}


def change(values, what, *arguments):
    """A call that makes the objects have these, begun and ended."""
    for index, value in values.items():
        had[index].append(value)
    what(*arguments)
    for index in values:
        settled[index] = len(had[index]) - 1


class Reader:
    def __init__(self):
        self.pages = self.data = None

    def open(self):
        pages = connect(uri("kid@writes"))
        self.instance = Page(pages).instance
        self.data = connect(uri("kid"))
        if Page(pages).instance == self.instance:
            self.pages = pages

    def look(self):
        """What was read, or None."""
        if self.pages is None:
            self.open()
            return None
        before = Page(self.pages)
        counters = before.further(self.pages, 0)
        got = [bytes(self.data.pread(4096, at)) for at in (0, 2 * M, OBJECT, OBJECT + 2 * M)]
        after = Page(self.pages)
        if before.instance != self.instance or after.instance != self.instance:
            self.pages = None
            return None
        return got if after.further(self.pages, 0) == counters else None

    def run(self):
        while not stop and not wrong:
            since = dict(settled)
            try:
                got = self.look()
            except libnbd.Error:
                self.pages = None
                counts["errors"] += 1
                continue
            except BaseException as error:  # a page that is none
                wrong.append(repr(error))
                return
            if got is None:
                counts["rejected"] += 1
                continue
            counts["accepted"] += 1
            self.judge(got, since)

    def judge(self, got, since):
        for index in had:
            first, second = got[2 * index], got[2 * index + 1]
            possible = had[index][since[index]:]
            if ANY in possible:
                continue
            if first != second or len(set(first)) != 1 or first[:1] not in possible:
                wrong.append((index, first[:1], second[:1], possible))


def write(kid, now, index):
    letter = bytes([rng.randrange(97, 123)])
    change({index: letter}, kid.write, letter * OBJECT, index * OBJECT)
    now[index] = letter


def discard(kid, now, index):
    change({index: b"\0"}, kid.discard, index * OBJECT, OBJECT)
    now[index] = b"\0"


def live(kid):
    """One generation."""
    now, snapshots = {0: b"T", 1: b"T"}, []
    change(now, lambda: None)
    flat = False
    for _ in range(rng.randrange(8)):
        what = rng.choice(["write", "write", "discard", "flatten", "snapshot", "rollback"])
        if what == "write":
            write(kid, now, rng.randrange(2))
        elif what == "discard":
            discard(kid, now, rng.randrange(2))
        elif what == "flatten" and not flat:
            kid.flatten()
            flat = True
        elif what == "snapshot":
            snapshots.append(dict(now))
            kid.create_snap(str(len(snapshots) - 1))
        elif what == "rollback" and snapshots:
            number = rng.randrange(len(snapshots))
            now = dict(snapshots[number])
            change(now, kid.rollback_to_snap, str(number))
    for number in range(len(snapshots)):
        kid.remove_snap(str(number))


librbd.create(pool, "template", 2 * OBJECT)
with rbd.Image(pool, "template") as template:
    template.write(b"T" * (2 * OBJECT), 0)
    template.create_snap("s")
    template.protect_snap("s")
threads = [threading.Thread(target=Reader().run) for _ in range(3)]
for thread in threads:
    thread.start()
try:
    for _ in range(generations):
        librbd.clone(pool, "template", "s", pool, "kid")
        with rbd.Image(pool, "kid") as kid:
            live(kid)
        change({0: ANY, 1: ANY}, librbd.remove, pool, "kid")
        if wrong:
            break
finally:
    stop = True
    for thread in threads:
        thread.join()
print(counts)
assert not wrong, wrong
assert counts["accepted"] > 0
