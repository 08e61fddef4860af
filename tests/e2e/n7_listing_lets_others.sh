#!/bin/bash
# C6, N7: while a listing of SOURCE takes long (slow storage, a hundred thousand names), the directory is free again and again: who wants to
# create a name, for which the kernel locks the directory, is refused, and behind him a name that nobody has asked for before is found,
# before the listing is whole. The listing, by `ls`, after rewinddir as well, has all names, each once.
. "$(dirname "$0")/../lib.sh"
requires root netns strace
export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 # which cannot be had under strace
for ((n = 100; n < 120; n++)); do board "$SRC/$n.img" $n; done
for ((n = 1000; n < 1600; n++)); do ln -s "$((100 + n % 20)).img" "$SRC/b$n"; done
{
	seq 100 119
	seq -f 'b%.0f' 1000 1599
} >"$T/want"
mount_imagefs "$SRC" "$MNT" -o control=none
pid=$(daemon_pid)
# A look at each link is slow: all of them take ten times what another request is given.
: >"$T/strace.log"
strace -f -qq -o /dev/null -e trace=readlinkat -e inject=readlinkat:delay_enter=10ms -p "$pid" 2>"$T/strace.log" &
strace=$!
PIDS+=("$strace")
wait_until 10 grep -q "^TracerPid:[[:space:]]*$strace$" "/proc/$pid/status"

"$PYTHON" - "$MNT" "$T/want" <<'PY'
import ctypes, errno, os, sys, threading
mnt, want = sys.argv[1], sorted(open(sys.argv[2]).read().split())
libc = ctypes.CDLL(None, use_errno=True)
libc.fdopendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.fdopendir.argtypes = [ctypes.c_int]
libc.readdir.argtypes = libc.rewinddir.argtypes = [ctypes.c_void_p]
stream = libc.fdopendir(os.open(mnt, os.O_RDONLY | os.O_DIRECTORY))
failed = []

def in_readdir(thread):
    with open("/proc/self/task/%d/stack" % thread) as stack:
        return "fuse_readdir" in stack.read()

class Lister(threading.Thread):
    """Reads the stream to its end."""
    names = ()
    def run(self):
        libc.rewinddir(stream)
        names = []
        while at := libc.readdir(stream):
            names.append(ctypes.string_at(at + 19).decode())
        self.names = sorted(name for name in names if name not in (".", ".."))

def ask(name):
    try:
        os.mkdir(os.path.join(mnt, "new"))
        failed.append("created")
    except OSError as error:
        if error.errno != errno.EROFS:
            failed.append("create: %s" % error)
    os.lstat(os.path.join(mnt, name))

for again in range(2):
    lister = Lister()
    lister.start()
    while lister.is_alive() and not in_readdir(lister.native_id):
        pass
    for n in range(3):
        ask("b%d" % (1590 + 3 * again + n))
        if not lister.is_alive():
            failed.append("listing %d: all others waited for its end" % again)
            break
    lister.join()
    if lister.names != want:
        failed.append("listing %d: %d names of %d, %s" % (again, len(lister.names), len(want), sorted(set(lister.names) ^ set(want))[:5]))
if failed:
    sys.exit("\n".join(failed))
PY
kill $strace
wait $strace || true
ls "$MNT" | sort >"$T/got" # of what was just listed
sort "$T/want" | cmp - "$T/got"
