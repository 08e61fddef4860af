#!/usr/bin/python3
"""blocks.py PAGE: the commands of a Markdown page, those of its ```sh blocks, on stdout.

What installs packages is left out: a test has them already.
"""
import sys

inside = False
for line in open(sys.argv[1], encoding="utf-8"):
    if line.startswith("```"):
        inside = line.strip() == "```sh"
    elif inside and not line.startswith("apt-get "):
        sys.stdout.write(line)
