#!/bin/bash
# C8, C2: the image is truncated, replaced, overwritten or removed while files of it are
# open: each open file ends whole or with an error, never with other bytes; the daemon
# and the neighbours go on.
. "$(dirname "$0")/../lib.sh"
fresh_image() {
	make_image "$SRC/a.img" 24 16 -s 4
	put "@$T/kernel" "$SRC/a.img" /kernel8.img
}
head -c 15M /dev/urandom >"$T/kernel"
board "$SRC/neighbour.img" neighbour
mount_imagefs
for what in truncate-to-zero truncate-half replace remove zero-out format; do
	fresh_image
	exec 7<"$MNT/a/kernel8.img"
	head -c 100000 <&7 | cmp -n 100000 - "$T/kernel"
	case $what in
	truncate-to-zero) truncate -s 0 "$SRC/a.img" ;;
	truncate-half) truncate -s 8M "$SRC/a.img" ;;
	replace) board "$T/new" 'new image'; mv "$T/new" "$SRC/a.img" ;;
	remove) rm "$SRC/a.img" ;;
	zero-out) dd if=/dev/zero of="$SRC/a.img" bs=1M count=24 conv=notrunc status=none ;;
	format) make_image "$SRC/a.img" 24 16 -s 8 ;;
	esac
	"$PYTHON" - "$T/kernel" 7 "$what" <<'PY'
import errno, os, sys
want, fd = open(sys.argv[1], "rb").read(), int(sys.argv[2])
got, end = b"", "whole"
try:
    while part := os.pread(fd, 1 << 16, len(got)):
        got += part
except OSError as error:
    end = errno.errorcode[error.errno]
    if error.errno not in (errno.EIO, errno.ESTALE):
        sys.exit("%s: %s" % (sys.argv[3], end))
print("%s: %d bytes, %s" % (sys.argv[3], len(got), end))
if not want.startswith(got):
    sys.exit("%s: foreign bytes" % sys.argv[3])
if end == "whole" and got != want:
    sys.exit("%s: a short end without an error" % sys.argv[3])
PY
	exec 7<&-
	is "neighbour during $what" "$(cat "$MNT/neighbour/config.txt")" neighbour
	case $what in
	replace) is "the new image" "$(cat "$MNT/a/config.txt")" 'new image' ;;
	remove) refuses ENOENT cat "$MNT/a/kernel8.img" ;;
	truncate-*) refuses '' cat "$MNT/a/kernel8.img" ;;
	format) is "formatted" "$(ls "$MNT/a")" '' ;;
	esac
	rm -f "$SRC/a.img"
done
