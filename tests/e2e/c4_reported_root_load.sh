#!/bin/bash
# C4, C5: beside a boot partition whose files are read all the time, the root partition of
# the same image is written through a server that reports: 0 READ requests, 0 reads of the
# image, and no new version of any file; what is written to the boot partition shows.
# usage: c4_reported_root_load.sh nbd-server|nbdkit-filter [OPENS of each file]
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../reports.sh"
server=$1 opens=${2:-100}
MIB=1048576
truncate -s 65M "$SRC/board.img"
sfdisk -q "$SRC/board.img" <<-'TABLE'
	label: dos
	start=2048, size=32768, type=c
	start=34816, type=83
TABLE
make_fat "$SRC/board.img" 2048 16384 16 -s 4
mmd -i "$SRC/board.img@@1M" ::overlays
files=(kernel8.img config.txt overlays/vc4-kms-v3d.dtbo)
for size in 3000000 300 4096; do head -c $size /dev/urandom >"$T/$size"; done
put "@$T/3000000" "$SRC/board.img" "/${files[0]}"
put "@$T/300" "$SRC/board.img" "/${files[1]}"
put "@$T/4096" "$SRC/board.img" "/${files[2]}"

[ -x "$IMAGEFS" ] || fail "$IMAGEFS is not built"
requires fuse
options=(-o changes=events)
[ "${REPORTS:-}" != no ] || { options+=(-o control=none) && plain_control; }
# Through libfuse's own trace of requests, which -d turns on.
"$IMAGEFS" -d "${options[@]}" "$SRC" "$MNT" 2>"$T/trace" >&2 &
PIDS+=($!)
wait_until 10 is_mounted
wait_until 10 test -e "$CONTROL/board"
start_reporting "$server" "$SRC/board.img"

ask() { # ask WHOM: a line to it, and its answer's last word
	echo >"$T/$1.in"
	read -r answer <"$T/$1.out"
	echo "${answer##* }"
}
start() { # start NAME COMMAND...: that answers each line of its input
	local name=$1
	shift
	mkfifo "$T/$name.in" "$T/$name.out"
	"$@" 0<>"$T/$name.in" 1<>"$T/$name.out" &
	PIDS+=($!)
	read -r line <"$T/$name.out"
	is "the $name" "$line" ready
}
# All but the first block: what is in that tells that it is no FAT, and is looked at.
start load "$PYTHON" "$TOOLS/load.py" "$URI" $((17 * MIB + 4096)):$((48 * MIB - 4096))
start counter "$PYTHON" "$TOOLS/accesses.py" "$SRC/board.img"
writes() { ask load; }
accesses() { ask counter; }

# What was written before the server reported may land for two seconds: until then it is compared.
wait_until 10 is_exact board
steady=0
for ((try = 0; try < 200 && steady < 3; try++)); do
	accesses >/dev/null
	for file in "${files[@]}"; do cat "$MNT/board/$file" >/dev/null; done
	if [ "$(accesses)" = 0 ]; then steady=$((steady + 1)); else steady=0; fi
done
[ $steady = 3 ] || fail "files that nobody writes are read from the image again and again"

fetch_often() {
	asked=$(requests OPEN) written=$(writes)
	accesses >/dev/null
	for ((i = 0; i < opens; i++)); do cat "$MNT/board/$file" >/dev/null; done
	image_reads=$(accesses)
}

begun=$(writes)
for file in "${files[@]}"; do
	wanted=$(mcopy -Q -i "$SRC/board.img@@1M" "::$file" - | sha256sum)
	is "the first read of $file" "$(sha256sum <"$MNT/board/$file")" "$wanted"
	inode=$(stat -c %i "$MNT/board/$file")
	without_reads "for $file" fetch_often
	is "reads of the image for $file" "$image_reads" 0
	[ $(($(requests OPEN) - asked)) -ge "$opens" ] || fail "the trace does not show what is asked"
	[ $(($(writes) - written)) -ge 1 ] || fail "nothing was written meanwhile"
	is "the inode number of $file" "$(stat -c %i "$MNT/board/$file")" "$inode"
done
ended=$(writes)

# A file system's superblock is in that block, and is written now and then.
start superblock "$PYTHON" "$TOOLS/load.py" "$URI" $((17 * MIB)):4096 --sizes 4096 --pause 20
for file in "${files[@]}"; do
	inode=$(stat -c %i "$MNT/board/$file")
	without_reads "for $file beside a superblock's writes" fetch_often
	is "the inode number of $file beside a superblock's writes" "$(stat -c %i "$MNT/board/$file")" "$inode"
done
superblocks=$(ask superblock)

# All that is counted here does count: what is written to the boot partition is read.
reads=$(requests READ) inode=$(stat -c %i "$MNT/board/config.txt")
accesses >/dev/null
"$PYTHON" - "$URI" "$SRC/board.img" "$TOOLS" <<'PY'
import sys
sys.path.insert(0, sys.argv[3])
import nbd
from fatedit import Fat
fat = Fat(sys.argv[2], 1 << 20)
client = nbd.NBD()
client.connect_uri(sys.argv[1])
client.pwrite(b"new!" * 128, (1 << 20) + fat.cluster_at(fat.find("config.txt")[1]))
PY
wait_until 5 head -c 8 "$MNT/board/config.txt" # a new client is asked after for a moment
is "config.txt, written" "$(head -c 8 "$MNT/board/config.txt")" 'new!new!'
[ $(($(requests READ) - reads)) -gt 0 ] || fail "a read of new bytes was not counted"
[ "$(accesses)" -gt 0 ] || fail "a read of the image was not counted"
[ "$(stat -c %i "$MNT/board/config.txt")" != "$inode" ] || fail "new bytes, and the old inode number"
echo "$server: 3 files, $opens opens and reads of each beside $((ended - begun)) writes to the root partition:" \
	"0 READ requests, 0 reads of the image, no new version; beside $superblocks of its superblock: 0 READ requests"
