#!/usr/bin/python3
"""blocks.py PAGE [CHOICE]: the commands of a Markdown page, those of its ```sh blocks, on stdout.

Where sections "### ..." are a choice, those whose heading does not end in CHOICE are left out.

What installs packages is left out: a test has them already.
"""
import sys

inside, chosen = False, True
for line in open(sys.argv[1], encoding="utf-8"):
    if line.startswith("```"):
        inside = line.strip() == "```sh"
    elif not inside and line.startswith("#") and sys.argv[2:]:
        chosen = not line.startswith("### ") or line.strip().endswith(" " + sys.argv[2])
    elif inside and chosen and not line.startswith("apt-get "):
        sys.stdout.write(line)
