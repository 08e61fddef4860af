"""Verdicts on what a board's boot partition looked like, and how many there were of each.

A fetch is judged by what was going on (see rounds.py):

  before the update    the old release
  during it            old, new, or refused
  after sync returned  new. Refused is what begins while the image is not at rest yet, and
                       with reports hardly any of that: what the server of other clients has
                       just waited for in vain it is refused again for a moment, instead of
                       waiting once more. The next try brings what is new.
  after a loss of power, at rest: old, new, or refused. Anything else must be byte for byte
                       what is on the disk (mtools says so): a half-written file that is sound
                       in itself, which imagefs(8) says nobody can know. After the careful way
                       (temporary file, fsync, rename, fsync of the directory) not even that.
  what is never written is right all the time, and at rest never refused

During an update a half-written file is forgiven, and counted, where the board had been silent
for the settle time (it was served as what was there), and without reports also when the writing
had gone on for two seconds; both are in imagefs(8).
"""
import collections
import time

import release as rel


# Who was refused is refused again, without a wait, for 60 ms (fuse/process/wait_share.c); and a bit.
REFUSED_AGAIN = 0.1

# With reports: a write that was announced is waited for so long, done or not (cache/changes/trust.c).
ANNOUNCED = 5

# Without reports: what lasted for that many settle times is believed (cache/tree/settle.c); and a wait.
LASTING, WAIT = 10, 0.5


class Judge:
    def __init__(self, view, image, settle, reports, relied_on, say):
        """reports: does the server; relied_on(): does imagefs, just now?"""
        self.view, self.image, self.settle, self.reports, self.relied_on, self.say = (
            view, image, settle, reports, relied_on, say)
        self.shas = {}  # {name: sha256} of what is to be there
        self.untouched = []  # those that no update brings
        self.counts, self.wrong = collections.Counter(), 0

    def is_wrong(self, text):
        self.wrong += 1
        self.say("WRONG: " + text)

    def publish(self, files):
        """From now on this is what is to be seen."""
        self.shas.update((name, rel.sha256(data)) for name, data in files.items())

    def patient(self, way, name, deadline):
        """(the answer, the times at which those began that were refused before)"""
        refused = []
        while (got := way(name)).got == "refused" and time.monotonic() < deadline:
            refused.append(got.start)
            time.sleep(REFUSED_AGAIN)
        return got, refused

    def before(self):
        for name in self.shas:
            got, refused = self.patient(self.view.read, name, time.monotonic() + 10)
            if got.sha != self.shas[name]:
                self.is_wrong("%s before the update: %s" % (name, got.got))
            self.counts["before updates", "refused at first" if refused else "old"] += 1

    def during(self, fetches, writes, begun, new):
        """A line that says what they got."""
        ended = max((fetch.end for fetch in fetches), default=begun)
        first = writes.first(begun)
        silences = writes.silences(begun, ended, 0.9 * self.settle)
        new = {name: rel.sha256(data) for name, data in new.items()}
        counts, forgiven = collections.Counter(), collections.Counter()
        for fetch in fetches:
            if fetch.got == "refused":
                counts["refused"] += 1
            elif fetch.sha == self.shas[fetch.name]:
                counts["untouched" if fetch.name in self.untouched else "old"] += 1
            elif fetch.sha and fetch.sha == new.get(fetch.name):
                counts["new"] += 1
            elif fetch.name not in self.untouched and any(start < fetch.end for start, _ in silences):
                forgiven["%s after a silence" % fetch.got] += 1
            elif fetch.name not in self.untouched and not self.reports and first and fetch.end - first > 9 * self.settle:
                forgiven["%s that lasted" % fetch.got] += 1
            else:
                self.is_wrong("%s, %.1f s into the update, by %s: %s (%s)" % (
                    fetch.name, fetch.start - begun, fetch.how, fetch.got, fetch.sha[:8]))
        self.counts.update({("during updates", kind): count for kind, count in counts.items()})
        self.counts.update({("during updates", "half-written, " + kind): count for kind, count in forgiven.items()})
        return "%s%s%s" % (
            listed(counts), "; half-written: " + listed(forgiven) if forgiven else "",
            "; nothing was written for %s ms" % ", ".join("%.0f" % (1e3 * (b - a)) for a, b in silences[:5]) if silences else "")

    def synced(self, when, extra):
        """Every file at once, then the whole tree, which has one extra overlay with these bytes."""
        refused = 0
        for name in rel.NAMES:
            for way in (self.view.read,) if name == rel.KERNEL else (self.view.read, self.view.fetch):
                got, times = self.patient(way, name, when + 30)
                refused += len(times)
                for start in times:
                    if start - when > self.until_rest():
                        self.is_wrong("%s, %.2f s after sync, by %s: refused at rest" % (name, start - when, got.how))
                if got.sha != self.shas[name]:
                    self.is_wrong("%s after sync, by %s: %s" % (name, got.how, got.got))
                self.counts["after sync", "new" if got.sha == self.shas[name] else "not new"] += 1
        took = time.monotonic() - when
        if refused:
            self.counts["after sync", "refused before"] += refused
        self.whole_tree(rel.sha256(extra))
        return "all new within %.0f ms of sync%s" % (took * 1e3, ", %d refused before" % refused if refused else "")

    def until_rest(self):
        return REFUSED_AGAIN if self.relied_on() else LASTING * self.settle + WAIT

    def whole_tree(self, extra):
        deadline = time.monotonic() + 10
        while True:
            try:
                have = self.view.tree()
                break
            except OSError as error:
                if self.relied_on():
                    self.is_wrong("the tree after sync: refused at rest: %s" % error)
                if time.monotonic() > deadline:
                    raise
        missing = [name for name, sha in self.shas.items() if have.pop(name, None) != sha]
        more = {name: sha for name, sha in have.items() if not name.endswith(".bak")}
        if missing or list(more.values()) != [extra]:
            self.is_wrong("the tree after sync: not as it should be: %s; more than should be: %s" % (missing, sorted(more)))

    def few_refused(self):
        """With reports; to be asked in the end."""
        refused, new = self.counts["after sync", "refused before"], self.counts["after sync", "new"]
        if self.reports and refused > max(2, 0.05 * new):
            self.is_wrong("%d of %d fetches after sync were refused at first" % (refused, new))
        refused, netboots = self.counts["board", "refused at first"], self.counts["board", "netboots"]
        if refused > max(1, 0.05 * netboots):
            self.is_wrong("%d of %d netboots were refused a file at first" % (refused, netboots))

    def at_rest(self, last_write, announced, new, careful):
        """What a loss of power left: {name: sha256 or None}, and a line that says so. `announced`: a write was that
        never came."""
        found, counts, deadline = {}, collections.Counter(), last_write + (ANNOUNCED + 1 if announced else 3)
        new = {name: rel.sha256(data) for name, data in new.items()}
        for name, old in self.shas.items():
            # What is refused for good has waited; after that each is asked again, since mtools was a stranger.
            got, _ = self.patient(self.view.read, name, max(deadline, time.monotonic() + WAIT))
            found[name] = got.sha if got.sha in (old, new.get(name)) else None
            if got.sha == old:
                counts["untouched" if name in self.untouched else "old"] += 1
            elif got.sha and got.sha == new.get(name):
                counts["new"] += 1
            elif name in self.untouched:
                self.is_wrong("%s, which nobody wrote, at rest: %s" % (name, got.got))
            elif got.got == "refused":
                counts["refused"] += 1
            else:
                true = rel.on_disk(self.image, name)
                counts["half-written, as on the disk: %s" % got.got] += 1
                if careful or (rel.sha256(true) if true is not None else "") != got.sha:
                    self.is_wrong("%s at rest: %s (%s), on the disk: %s" % (
                        name, got.got, got.sha[:8], "absent" if true is None else rel.sha256(true)[:8]))
            served, _ = self.patient(self.view.fetch, name, max(deadline, time.monotonic() + WAIT))
            if served.sha != got.sha:
                self.is_wrong("%s at rest: %s, and by TFTP %s" % (name, got.got, served.got))
        self.counts.update({("after a loss of power", kind): count for kind, count in counts.items()})
        return found, listed(counts)

    def summary(self):
        for group in sorted({group for group, _ in self.counts}):
            yield "%s: %s" % (group, listed({kind: count for (of, kind), count in self.counts.items() if of == group}))


def listed(counts):
    return ", ".join("%s %d" % pair for pair in sorted(counts.items())) or "nothing"
