#!/bin/bash
# C6, C1: a large file that was read before opens without being read, after its image was written while nobody
# listened; what was not touched, and is not large, keeps its inode; and what was touched is seen.
. "$(dirname "$0")/../lib.sh"
requires root
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
[ "${CHANGES:-}" != events ] || skip "is about what the kernel tells"
make_image "$SRC/board.img" 64 16 -s 8
head -c 16M /dev/zero | tr '\0' A >"$T/large"
put "@$T/large" "$SRC/board.img" /large
put small "$SRC/board.img" /small
export IMAGEFS_NO_IO_URING=1 # so that the kernel counts what it reads
mount_imagefs
pid=$(daemon_pid)

# Older than the time in which a change is not yet believed to be the last.
settled() { [ $(($(date +%s) - $(stat -c %Z "$SRC/board.img"))) -ge 4 ]; }
# All of it is known then, and in the kernel's cache.
look() {
	cat "$MNT/board/large" >/dev/null
	large=$(stat -c %i "$MNT/board/large") small=$(stat -c %i "$MNT/board/small")
	looked=$(date +%s)
}
# Nobody has looked for so long that the kernel is not listened to any more: at the latest from the second write on.
unheard() { [ $(($(date +%s) - looked)) -ge 7 ]; }
write_unheard() { # write_unheard BYTE TEXT
	wait_until 15 unheard
	for _ in 1 2 3; do printf %s "$2" | dd of="$SRC/board.img" bs=1 seek="$1" conv=notrunc status=none; done
	wait_until 15 settled
}
bytes_read() { awk '$1 == "rchar:" { print $2 }' "/proc/$pid/io"; }

wait_until 15 settled
look
"$IMAGEFSCTL" --control "$CONTROL" status | grep -q '^board .* kernel ' || skip "the kernel tells nothing here"
write_unheard $((60 << 20)) x
before=$(bytes_read)
exec {file}<"$MNT/board/large"
read=$(($(bytes_read) - before))
[ "$read" -lt $((4 << 20)) ] || fail "its open read $read bytes"
cmp "$T/large" - <&"$file" || fail "other content"
[ $(($(bytes_read) - before)) -ge $((16 << 20)) ] || fail "reads are not counted"
exec {file}<&-
[ "$(stat -c %i "$MNT/board/large")" != "$large" ] || fail "it was believed to be the same, and nobody had looked"
is "the small one's inode" "$(stat -c %i "$MNT/board/small")" "$small"
grep -q small "$MNT/board/small" || fail "the small one is not as it was"
is "the small one's inode once it was opened" "$(stat -c %i "$MNT/board/small")" "$small"

# Its bytes in place: no entry and no chain tells.
at=$("$PYTHON" -c 'import sys; print(open(sys.argv[1], "rb").read().index(b"A" * (1 << 20)))' "$SRC/board.img")
look
write_unheard $((at + 5000000)) B
is "the byte that was written" "$(dd if="$MNT/board/large" bs=1 skip=5000000 count=1 status=none)" B
is "those that were not" "$(head -c 5000000 "$MNT/board/large" | sha256sum)" "$(head -c 5000000 "$T/large" | sha256sum)"
