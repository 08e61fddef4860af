#!/bin/bash
# N8: tftpd-hpa, chrooted into one board's directory long before its image is replaced by
# rename, serves the new image from the next request on, and no file while there is none.
. "$(dirname "$0")/../lib.sh"
requires root netns in.tftpd
image_with() {
	board "$1" "$2"
	mmd -i "$1@@1M" ::overlays
	put "$2 overlay" "$1" /overlays/x.dtbo
}
fetched() {
	rm -f "$T/got"
	tftp get 127.0.0.1 6969 "$1" --out "$T/got" >"$T/tftp.log" 2>&1 && cat "$T/got"
}
image_with "$SRC/jammy.img" old
mount_imagefs
start_tftpd "$MNT/jammy"
is "before" "$(fetched config.txt), $(fetched overlays/x.dtbo)" "old, old overlay"
for round in $(seq 5); do
	image_with "$T/new" "round $round"
	mv "$T/new" "$SRC/jammy.img"
	wait_until 5 fetched overlays/x.dtbo # at rest
	is "replaced" "$(fetched config.txt), $(fetched overlays/x.dtbo)" "round $round, round $round overlay"
done
mv "$SRC/jammy.img" "$T/away"
if fetched config.txt; then fail "a file of an image that is not there"; fi
if fetched overlays/x.dtbo; then fail "a file of an image that is not there"; fi
mv "$T/away" "$SRC/jammy.img"
is "back again" "$(fetched config.txt)" "round 5"
