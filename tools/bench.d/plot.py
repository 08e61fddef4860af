"""plot: a CSV and an SVG of each series, and a page that shows them.

gnuplot draws them; without it there are the CSVs. An SVG has four panels: times, memory, threads and
descriptors, wakeups.
"""
import csv
import os
import re
import shutil
import subprocess
import sys

import growth
import table

SIZE = (900, 620)
COMMON = """set terminal svg size %d,%d font 'sans,11' background 'white' noenhanced
set output '%s'
set datafile separator ','
set key autotitle columnhead
unset mxtics
unset mytics
set multiplot layout 2,2 title '%s'
set logscale x
set format x '%%.0f'
set xlabel '%s'
set grid
set style data linespoints
set pointsize 0.5
"""


def quoted(text):
    return text.replace("'", "''")


def panel(path, title, label, columns, series, logarithmic):
    lines = ["%sset logscale y" % ("" if logarithmic else "un"), "set ylabel '%s'" % quoted(label),
             "set title '%s'" % quoted(title), "set key below" if len(columns) > 1 else "unset key",
             "set yrange [%s:*]" % ("*" if logarithmic else "0")]
    plots = ["'%s' using 1:%d title '%s'" % (path, series["columns"].index(name) + 1, quoted(name.replace("_", " ")))
             for name in columns]
    return "\n".join([*lines, "plot " + ", ".join(plots)]) + "\n"


def script(series, data, svg):
    text = COMMON % (*SIZE, svg, quoted(series["title"]), quoted(series["label"]))
    text += panel(data, "time", series["unit"], series["times"], series, True)
    text += panel(data, "memory", "MiB", ["memory_mib"], series, False)
    text += panel(data, "threads and descriptors", "", ["threads", "descriptors"], series, True)
    text += panel(data, "wakeups at rest", "in a second", ["wakeups_per_second"], series, False)
    return text + "unset multiplot\n"


def smaller(path):
    """Without what an SVG viewer assumes anyway, and without what draws nothing: less than half is left."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"<(desc|title|filter)\b.*?</\1>", "", text, flags=re.S)
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", text)
    text = text.replace(' stroke-linecap="butt" stroke-linejoin="miter"', "").replace(' stroke-width="1.00"', "")
    text = text.replace('<g fill="none" ', "<g ").replace('<g id="gnuplot_canvas"', '<g id="gnuplot_canvas" fill="none"')
    text = text.replace(' font-family="sans" font-size="11.00" ', "").replace(
        'id="gnuplot_canvas"', 'id="gnuplot_canvas" font-family="sans" font-size="11"')
    empty = re.compile(r"<g[^>]*>\s*</g>\s*")
    while empty.search(text):
        text = empty.sub("", text)
    with open(path, "w", encoding="utf-8") as file:
        file.write(re.sub(r"\n\n+", "\n", text))


def draw(series, out):
    data, svg = (os.path.join(out, series["name"] + ending) for ending in (".csv", ".svg"))
    with open(data, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(series["columns"])
        writer.writerows(series["rows"])
    if not shutil.which("gnuplot"):
        print("bench: %s: no plot: needs gnuplot (tools/install-deps bench)" % series["name"], file=sys.stderr)
        return
    subprocess.run(["gnuplot"], input=script(series, data, svg), text=True, check=True)
    smaller(svg)


PAGE = """# How it grows

By `sudo tools/bench --growth`. Each plot has its data beside it. Times are of one try where they say "first", else medians; threads
and descriptors are those of both of the daemon's processes. The machine, when it was last run:

"""


def page(result, out):
    """README.md of all series that are there, also from before."""
    names = [name for name in growth.SERIES if os.path.exists(os.path.join(out, name + ".csv"))]
    with open(os.path.join(out, "README.md"), "w", encoding="utf-8") as file:
        file.write(PAGE)
        for line in table.machine_lines(result["machine"]):
            file.write(line + "\n")
        for skipped in result["skipped"]:
            file.write("Not measured: %s\n" % skipped)
        for name in names:
            file.write("\n## %s\n\n![%s](%s.svg)\n\n[%s.csv](%s.csv)\n" % (growth.SERIES[name].TITLE, name, name, name, name))


def write(result, out):
    os.makedirs(out, exist_ok=True)
    for series in result["series"]:
        draw(series, out)
    page(result, out)
    for skipped in result["skipped"]:
        print("Skipped: %s" % skipped)
    print("bench: %s" % out)
