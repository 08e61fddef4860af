#!/bin/bash
# C4, C3: after one warm read, a hundred opens and reads of a file that did not change
# are no READ request and no read of the image, while other images are being written;
# and it keeps its inode number.
. "$(dirname "$0")/../lib.sh"
if [ -z "${STATES:-}" ]; then
	STATES=$T/states
	mkdir "$STATES"
	"$PYTHON" "$TOOLS/mkstates.py" "$STATES"
fi
for name in steady other another; do cp --sparse=always "$STATES/0.img" "$SRC/$name.img"; done
[ -x "$IMAGEFS" ] || fail "$IMAGEFS is not built"
requires fuse
# Through libfuse's own trace of requests, which -d turns on.
"$IMAGEFS" -d ${CHANGES:+-o "changes=$CHANGES"} "$SRC" "$MNT" 2>"$T/trace" >&2 &
PIDS+=($!)
wait_until 10 is_mounted

# The others change all the time, for a thousand seconds or until the end.
for name in other another; do
	"$PYTHON" - "$SRC/$name.img" <<'PY' &
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
for i in range(200000):
    os.pwrite(fd, os.urandom(512), (5 << 20) + i % 1000 * 512)
    time.sleep(0.005)
PY
	PIDS+=($!)
done
# At rest: older than the time in which a change is not yet believed to be the last.
at_rest() { [ $(($(date +%s) - $(stat -c %Z "$SRC/steady.img"))) -ge 4 ]; }
wait_until 10 at_rest

coproc ACCESSES { exec "$PYTHON" "$TOOLS/accesses.py" "$SRC/steady.img"; }
PIDS+=("$ACCESSES_PID")
read -r line <&"${ACCESSES[0]}"
is "the counter" "$line" ready
accesses() { echo >&"${ACCESSES[1]}"; read -r count <&"${ACCESSES[0]}"; echo "$count"; }

fetch_often() {
	opens=$(requests OPEN)
	accesses >/dev/null
	for i in {1..100}; do cat "$MNT/steady/$file" >/dev/null; done
	image_reads=$(accesses)
}

files=(kernel8.img config.txt overlays/vc4-kms-v3d.dtbo)
for file in "${files[@]}"; do
	wanted=$(mcopy -Q -i "$SRC/steady.img@@1M" "::$file" - | sha256sum)
	is "the first read of $file" "$(sha256sum <"$MNT/steady/$file")" "$wanted"
	inode=$(stat -c %i "$MNT/steady/$file")
	cat "$MNT/steady/$file" >/dev/null
	without_reads "for $file, warm" fetch_often
	is "reads of the image for $file, warm" "$image_reads" 0
	[ $(($(requests OPEN) - opens)) -ge 100 ] || fail "the trace does not show what is asked"
	is "the inode number of $file" "$(stat -c %i "$MNT/steady/$file")" "$inode"
done
# Both counts do count: with its pages dropped, it is read.
reads=$(requests READ)
dd if="$MNT/steady/kernel8.img" iflag=nocache count=0 status=none
cat "$MNT/steady/kernel8.img" >/dev/null
[ $(($(requests READ) - reads)) -gt 0 ] || fail "a read without pages was not counted"
# Where the kernel announces writes the daemon reads through descriptors that raise no events.
[ "${CHANGES:-}" != events ] || [ "$(accesses)" -gt 0 ] || fail "a read of the image was not counted"
echo "3 files, 100 warm opens and reads of each: 0 READ requests, 0 reads of the image"
