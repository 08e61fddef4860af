"""table: what was measured, for people."""
import os

from figure import NULL


def number(value, unit):
    if value is None:
        return "-"
    if unit == "s" and value < 1:
        value, unit = value * 1e3, "ms"
    if unit == "ms" and value < 1:
        value, unit = value * 1e3, "us"
    if unit == "us" and value >= 1000:
        value, unit = value / 1e3, "ms"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return "%.*f%s%s" % (digits, value, " " if unit else "", unit)


def ratio(value):
    return "-" if value is None else "%.*f" % (2 if value < 10 else 1 if value < 100 else 0, value)


def row(figure):
    """Figure, ours, peer, ratio, least and most, target."""
    unit = figure["unit"]
    peer = number(figure["peer"], unit)
    if figure["peer"] is not None or figure["peer_is"]:
        peer = "%s (%s)" % (peer, figure["peer_is"]) if figure["peer"] is not None else figure["peer_is"]
    if figure["ratio"] is not None:
        span = "%s - %s" % (ratio(figure["ratio_min"]), ratio(figure["ratio_max"]))
    else:
        span = "%s - %s" % (number(figure["ours_min"], unit), number(figure["ours_max"], unit))
    target = figure["target"]
    if target and figure["met"] is not None:
        target += " (met)" if figure["met"] else " (not met)"
    return [figure["text"], number(figure["ours"], unit), peer, ratio(figure["ratio"]), span, target]


def machine_lines(machine):
    before, others = machine["before"], machine["others_percent"]
    yield "%s, Linux %s, %s, %d CPUs%s, %d MiB, %s on %s, %s." % (
        machine["imagefs"], machine["kernel"], machine["cpu"], machine["cpus"],
        " of a virtual machine" if machine["virtual"] else "", machine["memory_mib"], machine["filesystem"],
        machine["device"], machine["date"])
    yield "Before: load %.2f, %.0f %% idle, %.0f %% stolen. It took %.0f s; load %.2f to %.2f." % (
        before["load"], before["idle"], before["steal"], machine["elapsed_seconds"], machine["load"]["min"],
        machine["load"]["max"])
    named = ", ".join("%s %.1f %%" % item for item in others.items())
    yield "Others ran meanwhile, of all CPUs: %s." % (named or "nothing of note")
    if sum(share for name, share in others.items() if name != "kernel") > 5 or before["idle"] < 90 or before["steal"] > 2:
        yield "**This machine was busy: do not compare these figures with others.**"


HEAD = ["figure", "ours", "peer or limit", "ratio", "least - most", "target"]
README_HEAD = ["", "ours", "beside", "ratio (least - most)"]


def markdown(rows):
    return "".join("| %s |\n" % " | ".join(cells) for cells in (rows[0], ["---"] * len(rows[0]), *rows[1:]))


def write(result, out):
    out.write(markdown([HEAD, *map(row, result["figures"])]) + "\n")
    out.write("Medians; the ratio is that of the pairs, each of ours and the peer's taken in turn.\n\n")
    for line in machine_lines(result["machine"]):
        out.write(line + "\n")
    for skipped in result["skipped"]:
        out.write("Skipped: %s\n" % skipped)


def readme_rows(figures):
    for figure in figures:
        if figure["main"]:
            text, ours, peer, middle, span, _ = row(figure)
            yield [text, ours, peer, "%s (%s)" % (middle, span) if figure["ratio"] is not None else "-"]


README_TEXT = """Each beside a peer or a limit, in turn with it, by `sudo tools/bench`; medians. All figures, and what they should be, are in
[docs/performance.md](docs/performance.md).

%s
%s
"""
BEGIN, END = "<!-- by tools/bench --docs -->\n", "<!-- until here -->\n"


def into_readme(result, path):
    """Between its two marks."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    lines = list(machine_lines(result["machine"]))
    new = README_TEXT % (markdown([README_HEAD, *readme_rows(result["figures"])]), " ".join(lines))
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + new + END + after)


DOCS_TEXT = """# Performance

By `sudo tools/bench --docs`; what each group measures says `tools/bench --list`.

## What no FUSE filesystem can meet

Beside a local directory: the time to the first answer by TFTP, `ls -l` of many files, images and links, an open three deep.
A link that was rewritten and an image that was replaced have to show at the next look (imagefs(8), COHERENCE), so the kernel
may keep no name. Each component of each path is a request to the daemon, at each use; `ls -l DIRECTORY` asks for the whole
path of each name. A request takes 7 us where the daemon runs on its reader's CPU, and 40 in a virtual machine whose other CPU
sleeps and has to be woken, and then the reader's again. A local name takes 0.3.

The rows beside *%s* say what that alone comes to: it answers from memory, without a look at anything, with our timeouts, flags
and threads. Where the device has to be read, the peer reads the same bytes with O_DIRECT, no more. What we take beyond these rows is
ours to lower: in most requests two system calls that ask whether a name in SOURCE, or the image, has changed.

A warm read asks the daemon nothing: its ratio says where in memory the pages happen to be. A writer of an image that nobody looks
at still has the kernel ask whether anybody listens: a quarter of a microsecond for each write.

## Figures

"""


def into_docs(result, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(DOCS_TEXT % NULL)
        write(result, file)
