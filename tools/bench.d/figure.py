"""figure: one line of the table: samples of ours and of a peer, taken in turn."""
import statistics

LESS, MORE = "less", "more"

# Peers: tests/tools/null_fs.c; with -d or -r.
NULL = "a FUSE daemon that does nothing"
NULL_READS = "a FUSE daemon that reads with O_DIRECT, no more"


class Figure:
    """`better`: whether LESS or MORE is. `target`: ("ratio" or "ours", bound), in the figure's unit. `main`: it is one
    of the few that README.md shows."""

    def __init__(self, text, unit, better, peer_is="", target=None, main=False):
        self.text, self.unit, self.better, self.peer_is, self.target, self.main = text, unit, better, peer_is, target, main
        self.ours, self.peer = [], []

    def ratios(self):
        return [a / b for a, b in zip(self.ours, self.peer) if b]

    def ratio(self):
        """The median of the pairs', because each pair met the machine in one state."""
        return statistics.median(self.ratios()) if self.ratios() else None

    def target_text(self):
        if not self.target:
            return ""
        what, bound = self.target
        sign = "at most" if self.better == LESS else "at least"
        return "%s %g%s" % (sign, bound, "" if what == "ratio" else " " + self.unit)

    def met(self):
        if not self.target:
            return None
        what, bound = self.target
        value = self.ratio() if what == "ratio" else statistics.median(self.ours)
        if value is None:
            return None
        return value <= bound if self.better == LESS else value >= bound

    def summary(self):
        ratios = self.ratios()
        return {"text": self.text, "unit": self.unit, "better": self.better, "peer_is": self.peer_is,
                "main": self.main,
                "ours": statistics.median(self.ours), "ours_min": min(self.ours), "ours_max": max(self.ours),
                "peer": statistics.median(self.peer) if self.peer else None,
                "ratio": self.ratio(), "ratio_min": min(ratios, default=None), "ratio_max": max(ratios, default=None),
                "target": self.target_text(), "met": self.met(), "samples": [self.ours, self.peer]}
