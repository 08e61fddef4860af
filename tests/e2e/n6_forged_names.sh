#!/bin/bash
# N6, S1: names that cannot be file names are hidden or made safe, never passed on, and
# one bad entry never hides the others.
. "$(dirname "$0")/../lib.sh"
make_image "$SRC/a.img" 8 16 -s 1
fat=$SRC/a.img
put good "$fat" /aaa-good-file.txt
n=0
forge_short() { put x "$fat" "/short$n"; edit "$fat" short "/short$n" "$1"; n=$((n + 1)); }
forge_short 2f6574632f706173737764   # "/etc/passwd" in the 11 bytes
forge_short 2e2e202020202020202020   # ".." as a file
forge_short 2e20202020202020202020             # "."
forge_short 4100422020202020202020             # a NUL within
forge_short 2020202020202020202020             # nothing but spaces
forge_short 412f422020202020202020             # "A/B"
forge_short 0141420a20202020202020             # control characters
forge_long() { # UNIT at INDEX of a long name
	put x "$fat" "/long name number $n.txt"
	edit "$fat" long "/long name number $n.txt" "$1" "$2"
	n=$((n + 1))
}
forge_long 4 0x2f       # "long/name..."
forge_long 0 0x0000     # empty at once
forge_long 2 0xd800     # half a surrogate pair
forge_long 2 0xdc00
forge_long 3 0xffff
put x "$fat" '/dot dot dot long name'
for i in 0 1; do edit "$fat" long '/dot dot dot long name' $i 0x2e || true; break; done
put x "$fat" '/bad checksum name.txt'
edit "$fat" checksum '/bad checksum name.txt'
put x "$fat" '/zz last.txt'
put last "$fat" /zzz-last-file.txt
# 255 and more characters: mtools makes the former.
long=$(printf 'n%.0s' $(seq 255))
put longest "$fat" "/$long"
board "$SRC/neighbour.img" neighbour
mount_imagefs
"$PYTHON" - "$MNT/a" <<'PY'
import os, sys
top = sys.argv[1]
names = os.listdir(os.fsencode(top))
assert b"aaa-good-file.txt" in names and b"zzz-last-file.txt" in names, names
for name in names:
    assert name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name, name
    assert len(name.decode("utf-8")) <= 255 and len(name) <= 1024, name
    os.lstat(os.path.join(os.fsencode(top), name))  # what is listed can be looked up
assert len(names) == len(set(names)), "a name twice"
print(len(names), "names")
PY
is good "$(cat "$MNT/a/aaa-good-file.txt")" good
is last "$(cat "$MNT/a/zzz-last-file.txt")" last
is longest "$(cat "$MNT/a/$long")" longest
is "the short name stands alone" "$(cat "$MNT/a/BADCHE~1.TXT")" x
is neighbour "$(cat "$MNT/neighbour/config.txt")" neighbour
