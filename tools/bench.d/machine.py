"""machine: what it is, and what it was doing while something was measured."""
import os
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def cpu_times():
    """Seconds of all CPUs together, by kind, since the machine began."""
    words = read("/proc/stat").split("\n", 1)[0].split()[1:]
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    return {name: int(word) / TICK for name, word in zip(names, words)}


class Span:
    """CPU time between its making and shares(): percent of all CPUs."""

    def __init__(self):
        self.start = cpu_times()

    def shares(self):
        now = cpu_times()
        spent = {name: now[name] - self.start[name] for name in now}
        total = sum(spent.values()) or 1
        return {name: round(100 * spent[name] / total, 1) for name in ("idle", "iowait", "steal")}


def processes():
    """(pid, start): (its name, seconds of CPU, parent)."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        text = read("/proc/%s/stat" % pid)
        if ")" not in text:
            continue
        name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        found[int(pid), int(rest[19])] = (name, (int(rest[11]) + int(rest[12])) / TICK, int(rest[1]))
    return found


class Watcher(threading.Thread):
    """Looks from outside every two seconds at what else runs: the processes that are not below this one."""

    def __init__(self):
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.others, self.last = {}, {}
        self.before = self.sample_before()
        self.begun, self.loads = time.monotonic(), []
        self.start()

    @staticmethod
    def sample_before():
        """A second of doing nothing ourselves."""
        span = Span()
        time.sleep(1)
        return dict(span.shares(), load=float(read("/proc/loadavg").split()[0]))

    @staticmethod
    def ours(found):
        mine, grew = {os.getpid()}, True
        while grew:
            more = {pid for (pid, _), (_, _, parent) in found.items() if parent in mine} - mine
            mine |= more
            grew = bool(more)
        return mine

    def look(self):
        found = processes()
        mine = self.ours(found)
        for key, (name, seconds, parent) in found.items():
            spent = seconds - self.last.get(key, (name, 0 if self.last else seconds, parent))[1]
            if key[0] not in mine and spent > 0:
                name = "kernel" if parent == 2 or key[0] == 2 else name
                self.others[name] = self.others.get(name, 0) + spent
        self.last = found
        self.loads.append(float(read("/proc/loadavg").split()[0]))

    def run(self):
        while True:
            self.look()
            if self.over.wait(2):
                return

    def end(self):
        self.over.set()
        self.join()
        self.look()
        elapsed = time.monotonic() - self.begun
        percent = {name: round(100 * seconds / elapsed / os.cpu_count(), 1) for name, seconds in self.others.items()}
        busiest = sorted((item for item in percent.items() if item[1] >= 0.1), key=lambda item: -item[1])
        return {"before": self.before, "load": {"min": min(self.loads), "max": max(self.loads)},
                "elapsed_seconds": round(elapsed, 1), "others_percent": dict(busiest[:8])}


def cpu_model():
    for line in read("/proc/cpuinfo").splitlines():
        if line.startswith(("model name", "Model", "Hardware")):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def about(directory):
    """Filesystem and device below `directory`, and what the machine is."""
    best = ("", "?", "?")
    for line in read("/proc/self/mounts").splitlines():
        device, point, kind = line.split()[:3]
        if (directory + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
            best = (point, kind, device)
    memory = int(read("/proc/meminfo").split()[1]) // 1024
    return {"kernel": os.uname().release, "cpu": cpu_model(), "cpus": os.cpu_count(), "memory_mib": memory,
            "filesystem": best[1], "device": best[2], "virtual": "hypervisor" in read("/proc/cpuinfo"),
            "date": time.strftime("%Y-%m-%d")}
