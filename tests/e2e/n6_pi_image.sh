#!/bin/bash
# N6, C2: every file of a realistic Pi image, about 100 MB, has the name, size, time
# and bytes that mtools reads; the overlays directory takes many clusters.
. "$(dirname "$0")/../lib.sh"
[ -e "${PI_IMAGE:=$T/pi.img}" ] || "$TOP/tools/make-pi-image" --fast "$PI_IMAGE" # run by hand
ln -s "$PI_IMAGE" "$SRC/jammy.img"
extract "$PI_IMAGE@@4M" "$T/want"
[ "$(ls "$T/want/overlays" | wc -l)" -gt 300 ] || fail "too few overlays to mean anything"
[ "$(du -sm "$T/want" | cut -f1)" -gt 70 ] || fail "too small to be realistic"
mount_imagefs
same_tree "$T/want" "$MNT/jammy"

# Empty files are served as empty files: some boards' set-ups depend on them.
is "size of ssh" "$(stat -c %s "$MNT/jammy/ssh")" 0
is "bytes of ssh" "$(cat "$MNT/jammy/ssh" | wc -c)" 0
# Reads at any place and of any length, also past the end, and through mmap.
"$PYTHON" - "$T/want/kernel8.img" "$MNT/jammy/kernel8.img" <<'PY'
import mmap, os, random, sys
want = open(sys.argv[1], "rb").read()
got = os.open(sys.argv[2], os.O_RDONLY)
rng = random.Random(1)
for _ in range(2000):
    at, length = rng.randrange(len(want) + 5000), rng.choice([1, 512, 1468, 4096, 70000, 1 << 20])
    assert os.pread(got, length, at) == want[at:at + length], (at, length)
with mmap.mmap(got, 0, prot=mmap.PROT_READ) as view:
    assert view[:] == want
PY
# statfs says something true.
df "$MNT/jammy" >/dev/null
