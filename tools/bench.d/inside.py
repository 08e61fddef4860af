"""inside: what is measured runs in mount, network and PID namespaces of its own, and ends with them."""
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile

import groups
import machine
import world as worlds

PR_SET_PDEATHSIG = 1
RUN = ["unshare", "-mnpf", "--kill-child", "--mount-proc", "--propagation", "private"]


def end_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def run(args):
    """What was measured; None if that failed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through the ends of what is `with` here
    with tempfile.TemporaryDirectory(prefix="imagefs-bench.", dir=args.directory) as work:
        os.chmod(work, 0o755)  # servers that run as another user pass through
        with open(os.path.join(work, "arguments"), "w", encoding="utf-8") as file:
            json.dump(vars(args), file)
        os.mkdir(os.path.join(work, "w"))
        os.chmod(os.path.join(work, "w"), 0o755)
        process = subprocess.Popen([*RUN, sys.executable, "-B", __file__, work], preexec_fn=end_with_parent)
        try:
            process.wait()
        finally:  # also when interrupted; all of its namespaces end with it
            process.kill()
            process.wait()
        try:
            with open(os.path.join(work, "result"), encoding="utf-8") as file:
                return json.load(file)
        except OSError:
            return None


def prepare():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.makedirs("/run/imagefs", exist_ok=True)
    os.makedirs("/run/mount", exist_ok=True)
    for place in ("/run/imagefs", "/run/mount"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "imagefs-bench", place], check=True)
    os.environ.update(LC_ALL="C", MTOOLS_SKIP_CHECK="1", MTOOLSRC="/dev/null")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def main():
    work = sys.argv[1]
    with open(os.path.join(work, "arguments"), encoding="utf-8") as file:
        args = json.load(file)
    prepare()
    world = worlds.World(os.path.join(work, "w"), args)
    result = {"machine": machine.about(work), "figures": world.figures, "skipped": world.skipped, "series": world.series}
    result["machine"]["imagefs"] = subprocess.run([world.imagefs, "--version"], capture_output=True, text=True,
                                                  check=True).stdout.strip()
    known = groups.GROWTH if args["growth"] else groups.GROUPS
    for name in args["group"]:
        world.measure(name, known[name])
    with open(os.path.join(work, "result"), "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
