#!/bin/bash
# Files of one board over an image that it shares (imagefs(8), NAMES): the board's link leads to a directory of links
# into the mount, with files of its own among them. dnsmasq follows them, and what is shared is fresh.
. "$(dirname "$0")/../lib.sh"
requires root netns dnsmasq
board "$SRC/jammy.img" first
put shared "$SRC/jammy.img" /cmdline.txt
mmd -i "$SRC/jammy.img@@1M" ::/overlays
put overlay "$SRC/jammy.img" /overlays/a.dtbo
mount_imagefs
mkdir -p "$T/boards/89025d75"
ln -s "$MNT"/jammy/* "$T/boards/89025d75/"
rm "$T/boards/89025d75/cmdline.txt"
echo own >"$T/boards/89025d75/cmdline.txt"
ln -s "$T/boards/89025d75" "$SRC/89025d75"
ln -s "$T/boards/89025d75" "$SRC/dc-a6-32-01-36-c2" # as tftp-unique-root=mac asks
ln -s jammy.img "$SRC/2a3b4c5d"
start_dnsmasq "$MNT"
fetch() { tftp get 127.0.0.1 69 "$1" --out "$T/got" >/dev/null && cat "$T/got"; }
for name in 89025d75 dc-a6-32-01-36-c2; do
	is "its own" "$(fetch $name/cmdline.txt)" own
	is "shared" "$(fetch $name/config.txt)" first
	is "below a shared directory" "$(fetch $name/overlays/a.dtbo)" overlay
done
is "another board's" "$(fetch 2a3b4c5d/cmdline.txt)" shared
put second "$SRC/jammy.img" /config.txt
is "after an update" "$(fetch 89025d75/config.txt)" second
board "$T/new.img" third
mv "$T/new.img" "$SRC/jammy.img"
is "another image" "$(fetch 89025d75/config.txt)" third
is "and its own" "$(fetch 89025d75/cmdline.txt)" own
refuses 'not found' tftp get 127.0.0.1 69 89025d75/overlays/a.dtbo --out "$T/got"
