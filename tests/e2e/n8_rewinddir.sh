#!/bin/bash
# N8: rewinddir lists anew, also what has another image's name now; telldir's offsets stay
# good within one listing, and a failed rewinddir leaves an error, not the old names.
. "$(dirname "$0")/../lib.sh"
make_image "$SRC/a.img" 4 12
mmd -i "$SRC/a.img@@1M" ::d
for i in $(seq -w 200); do put x "$SRC/a.img" "/d/file-with-a-long-name-$i.txt"; done
make_image "$T/new" 4 12
mmd -i "$T/new@@1M" ::d
put x "$T/new" /d/only-new.txt
mount_imagefs
"$PYTHON" - "$MNT" "$SRC" "$T" <<'P'
import ctypes, errno, os, subprocess, sys

mnt, src, top = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
libc.fdopendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.fdopendir.argtypes = [ctypes.c_int]
libc.readdir.argtypes = libc.rewinddir.argtypes = libc.telldir.argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]

def entry(stream):
    ctypes.set_errno(0)
    at = libc.readdir(stream)
    if not at and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), "readdir")
    return ctypes.string_at(at + 19).decode() if at else None

def rest(stream):
    return [name for name in iter(lambda: entry(stream), None)]

def names(stream):
    libc.rewinddir(stream)
    return sorted(name for name in rest(stream) if name not in (".", ".."))

def opened(path):
    return libc.fdopendir(os.open(path, os.O_RDONLY | os.O_DIRECTORY))

image = src + "/a.img@@1M"
inside, root = opened(mnt + "/a/d"), opened(mnt)
first = names(inside)
assert len(first) == 200, first
assert names(root) == ["a"], names(root)

# Within one listing: every offset leads to what was behind it, whatever happens to the directory.
libc.rewinddir(inside)
places = []
for _ in range(202):
    places.append((libc.telldir(inside), entry(inside)))
subprocess.run(["mdel", "-i", image, "::d/file-with-a-long-name-001.txt"], check=True)
for offset, name in [places[100], places[7], places[201]]:
    libc.seekdir(inside, offset)
    assert entry(inside) == name, (offset, name)

assert names(inside) == first[1:], "rewinddir shows what was there before"
late = opened(mnt + "/a/d")  # opened now, read first when all has changed
os.rename(top + "/new", src + "/a.img")
os.symlink("a.img", src + "/board")
assert names(inside) == ["only-new.txt"], names(inside)
assert sorted(set(rest(late)) - {".", ".."}) == ["only-new.txt"], "a descriptor that was not read before"
assert names(root) == ["a", "board"], names(root)
os.unlink(src + "/a.img")
try:
    raise SystemExit(f"names of an image that is not there: {names(inside)}")
except OSError as error:
    assert error.errno in (errno.ENOENT, errno.ESTALE), error
assert names(root) == ["board"], names(root)
P
