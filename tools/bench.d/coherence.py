"""coherence: how long readers wait, and how often they are refused, while images are rewritten without a pause"""
import os
import re
import shutil
import subprocess

from figure import LESS
from world import NbdServer

EXTRA = True
SECONDS = 90
IMAGES = 16


def run(world):
    """The tests' own client: each image goes from state to state, and at each reply its files are opened."""
    world.needs("nbd-server", "mkfs.fat", "mcopy", "sfdisk")
    states, source = world.directory("states"), world.directory("src")
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    subprocess.run(["/usr/bin/python3", "-B", os.path.join(top, "tests/tools/mkstates.py"), states], check=True,
                   stdout=subprocess.DEVNULL)
    socket, config, targets = world.path("nbd.sock"), world.path("nbd.conf"), []
    with open(config, "w", encoding="utf-8") as file:
        file.write("[generic]\nunixsock = %s\nallowlist = true\nuser = root\ngroup = root\n" % socket)
        for number in range(IMAGES):
            image = os.path.join(source, "board%d.img" % number)
            shutil.copy(os.path.join(states, "0.img"), image)
            file.write("[board%d]\nexportname = %s\n" % (number, image))
            targets += ["nbd:nbd+unix:///board%d?socket=%s" % (number, socket), world.path("mnt/board%d" % number)]
    with world.mount(source), NbdServer(config, socket, world.path("nbd.pid")):
        text = subprocess.run([world.tool("coherence/fresh"), "-s", str(world.size(60, 10)), states, *targets],
                              stdout=subprocess.PIPE, text=True, check=True).stdout
    world.say(text.strip())
    opens, stale, refused = (int(re.search(r"(\d+) %s" % word, text).group(1)) for word in ("opens", "stale", "refused"))
    if stale:
        raise RuntimeError("stale files: %s" % text)
    numbers = re.search(r"changed ([\d.]+) ([\d.]+) [\d.]+, unchanged ([\d.]+) ([\d.]+)", text).groups()
    for what, value, bound in zip(("changed", "changed, 99.9 %", "unchanged", "unchanged, 99.9 %"), numbers,
                                  (None, 450, None, 450)):
        figure = world.figure("open of a file of %d images that are rewritten, %s" % (IMAGES, what), "ms", LESS,
                              target=("ours", bound) if bound else None)
        figure.ours = [float(value)]
        world.report(figure)
    figure = world.figure("opens refused meanwhile", "%", LESS)
    figure.ours = [100 * refused / opens]
    world.report(figure)
