#!/bin/bash
# C5, C1: writers of an image that nobody looks at wake nobody. While 2,000 writes are made through a descriptor
# that is held, the daemon's threads are not woken but for their own clocks, and the kernel holds no watch that each
# write would have to tell; what was written is there at the next open, whoever wrote it, and so are all writes after that.
# Images: never looked at; looked at, and let alone since; behind a link to elsewhere; all by write(2), and with O_DIRECT.
# usage: c5_nobody_looks.sh kernel|events
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../reports.sh"
CHANGES=$1 WRITES=2000
[ "$CHANGES" != kernel ] || kernel_tells
mkdir "$T/elsewhere"
names=(never looked linked linked_looked)
for name in "${names[@]}"; do
	directory=$SRC
	[[ $name != linked* ]] || directory=$T/elsewhere
	board "$directory/$name.img"
	head -c 4096 /dev/urandom >"$T/block.$name"
	put "@$T/block.$name" "$directory/$name.img" /block.bin
	[ "$directory" = "$SRC" ] || ln -s "$directory/$name.img" "$SRC/$name.img"
done
mount_imagefs
pid=$(daemon_pid)
mapfile -t processes < <(echo "$pid" && pgrep -P "$pid")

woken() { for process in "${processes[@]}"; do cat "/proc/$process/task/"*/status; done | awk '$1 == "voluntary_ctxt_switches:" { n += $2 } END { print n }'; }
# inotify's watches of the image, "ONCE EVERY"; fdinfo says hexadecimal inodes.
watches() { cat "/proc/$pid/fdinfo/"* 2>/dev/null | awk -v inode="ino:$(printf %x "$(stat -L -c %i "$SRC/$1.img")")" '
	/^inotify/ && $3 == inode { if ($5 ~ /^mask:8/) once++; else every++ }
	END { print once + 0, every + 0 }'; }
# Ignored by fanotify or not asked for, or (not yet written to since it was mounted) never heard of.
is_heeded() { cat "/proc/$pid/fdinfo/"* 2>/dev/null | grep -qE "^fanotify ino:$(printf %x "$(stat -L -c %i "$SRC/$1.img")") .* mask:100003 ignored_mask:(0|20000) "; }
at_rest() { [ "$(watches "$1")" = "1 0" ] && { [ "$CHANGES" = events ] || ! is_heeded "$1"; }; }

# write_often IMAGE HOW: over what $T/block.IMAGE holds, again and again; it holds what was written last then.
write_often() {
	"$PYTHON" - "$SRC/$1.img" "$T/block.$1" "$2" "$WRITES" <<'PY'
import mmap, os, sys
image, block, how, writes = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
with open(image, "rb") as file, open(block, "rb") as content:
    at = file.read().index(content.read())
fd = os.open(image, os.O_RDWR | (os.O_DIRECT if how == "direct" else 0))
data = mmap.mmap(-1, 4096)
for i in range(writes):
    data[:] = (b"%-16d" % i) * 256
    assert os.pwrite(fd, data, at) == 4096
with open(block, "wb") as content:
    content.write(data)
PY
}

look() { sha256sum <"$MNT/$1/block.bin"; }
wanted() { sha256sum <"$T/block.$1"; }
for name in looked linked_looked; do is "$name" "$(look "$name")" "$(wanted "$name")"; done
for name in looked linked_looked; do wait_until 60 at_rest "$name"; done

for how in buffered direct; do
	for name in "${names[@]}"; do
		before=$(woken)
		write_often "$name" "$how"
		after=$(woken)
		[ $((after - before)) -le $((WRITES / 4)) ] || fail "$name, $how: $((after - before)) times woken by $WRITES writes"
		is "watches of $name while $how writes are made" "$(watches "$name")" "0 0"
		is "$name after $how writes" "$(look "$name")" "$(wanted "$name")"
		for i in 1 2; do # awake again: each write is told
			printf '%-4096s' "$name, $how, $i" >"$T/block.$name"
			put "@$T/block.$name" "$(readlink -f "$SRC/$name.img")" /block.bin
			is "$name, written while it is looked at" "$(look "$name")" "$(wanted "$name")"
		done
	done
	for name in "${names[@]}"; do wait_until 60 at_rest "$name"; done
done
