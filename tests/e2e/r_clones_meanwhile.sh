#!/bin/bash
# C2: r_clones_meanwhile.sh xfs|btrfs: while a board's blocks are read in the page cache of another one, that other one is
# written, at any moment between the steps in which it is made sure that the blocks are the same: the board's bytes are
# its own. The steps take longer here than they do (slow_steps.c), else no writer would come in between.
. "$(dirname "$0")/../lib.sh"
ROUNDS=${ROUNDS:-20}
shim=$(dirname "$IMAGEFS")/tests/tools/libslow_steps.so
[ -e "$shim" ] || skip "needs $shim"

reflink_storage disk "$1"
make_image "$SRC/template.img" 8 12 -s 8 -R 8
head -c 1M /dev/urandom >"$T/file"
put "@$T/file" "$SRC/template.img" /kernel8.img
for ((i = 1; i <= 2 * ROUNDS; i++)); do cp --reflink=always "$SRC/template.img" "$SRC/board$i.img"; done
[ -x "$IMAGEFS" ] || fail "$IMAGEFS is not built"
requires fuse
LD_PRELOAD=$shim "$IMAGEFS" ${CHANGES:+-o "changes=$CHANGES"} "$SRC" "$MNT" 2>>"$T/imagefs.log"
at_rest() { [ $(($(date +%s) - $(stat -c %Z "$SRC/board$((2 * ROUNDS)).img"))) -ge 4 ]; }
wait_until 10 at_rest

# Each round takes two boards that were not read yet: one reads for the other, and is written meanwhile.
"$PYTHON" - "$SRC" "$MNT" "$ROUNDS" "$T/file" <<'PY'
import errno, mmap, os, random, sys, threading, time
source, mount, rounds, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3]), open(sys.argv[4], "rb").read()
with open(f"{source}/template.img", "rb") as image:
    at = image.read().find(wanted)
ours = mmap.mmap(-1, 4096)
ours.write(b"not yours" + bytes(4087))

def read(name):
    with open(f"{mount}/{name}/kernel8.img", "rb", buffering=0) as file:
        got = b""
        while piece := file.read(1 << 20):
            got += piece
    return got

def overwrite(name, flags):
    fd = os.open(f"{source}/{name}.img", os.O_WRONLY | flags)
    for block in range(len(wanted) // 4096):
        os.pwritev(fd, [ours], at + block * 4096)
    os.close(fd)

got, refused = [], 0
def reader(name):
    global refused
    for _ in range(20):
        try:
            got.append(read(name) == wanted)
            return
        except OSError as error: # a machine that has no time for it
            refused += 1
            if error.errno not in (errno.EIO, errno.ESTALE):
                raise
for turn in range(rounds):
    first, second = f"board{2 * turn + 1}", f"board{2 * turn + 2}"
    if read(first) != wanted:
        sys.exit(f"{first}: other bytes")
    thread = threading.Thread(target=reader, args=(second,))
    thread.start()
    time.sleep(0.3 * turn / rounds) # at another moment in each round
    overwrite(first, os.O_DIRECT if turn % 2 else 0)
    thread.join()
    overwrite(second, 0) # so that it reads for nobody either
print(f"read while another was written: {len(got)}, with other bytes: {got.count(False)}; refused: {refused}")
sys.exit(0 if len(got) == rounds and all(got) else 1)
PY
