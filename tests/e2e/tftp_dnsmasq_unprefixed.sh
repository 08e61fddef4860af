#!/bin/bash
# A board whose prefix is not there: the firmware drops it and asks for plain names, from
# a mount of a single image (N5) as the server's root.
. "$(dirname "$0")/../lib.sh"
requires root netns dnsmasq
"$TOP/tools/make-pi-image" --small --size 64 "$T/jammy.img"
extract "$T/jammy.img@@4M" "$T/want"
mount_imagefs "$T/jammy.img" "$MNT"
start_dnsmasq "$MNT"
for pi in pi3 pi4 pi5; do
	tftp play 127.0.0.1 69 "$HERE/data/firmware/$pi.txt" "$T/want" --prefix 89025d75/ --unprefixed
done
