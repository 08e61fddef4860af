#!/bin/bash
# dnsmasq's TFTP server on the mount: the requests of Pi 3, 4 and 5 firmware, under a
# serial, a MAC and with no prefix, several at once; every byte right.
. "$(dirname "$0")/../lib.sh"
requires root netns dnsmasq
"$TOP/tools/make-pi-image" --small --size 64 "$SRC/jammy.img"
extract "$SRC/jammy.img@@4M" "$T/want"
ln -s jammy.img "$SRC/89025d75"
ln -s jammy.img "$SRC/dc-a6-32-01-36-c2"
ln -s jammy/bootcode.bin "$SRC/bootcode.bin" # what the Pi 3's ROM asks for
mount_imagefs
start_dnsmasq "$MNT" --tftp-secure # root owns everything, so "secure" serves it
for pi in pi3 pi4 pi4-old pi5; do
	for prefix in 89025d75/ dc-a6-32-01-36-c2/; do
		tftp play 127.0.0.1 69 "$HERE/data/firmware/$pi.txt" "$T/want" --prefix "$prefix"
	done
done
tftp get 127.0.0.1 69 89025d75/kernel8.img --blksize 1468 --parallel 10 --times 30 >"$T/got"
is "thirty fetches, ten at a time" "$(cut -d' ' -f1 "$T/got" | sort | uniq -c | awk '{ print $1, $2 }')" \
	"30 $(sha256sum <"$T/want/kernel8.img" | cut -d' ' -f1)"
# Empty files and directories: the one is served empty, the other refused.
is "an empty file" "$(tftp get 127.0.0.1 69 89025d75/start4.sig | cut -d' ' -f2)" 0
refuses 'error' tftp get 127.0.0.1 69 89025d75/overlays
refuses 'error' tftp get 127.0.0.1 69 89025d75
refuses 'error 1' tftp get 127.0.0.1 69 89025d75/no-such-file
refuses 'error 1' tftp get 127.0.0.1 69 ffffffff/start4.elf
refuses 'error' tftp get 127.0.0.1 69 ../src/jammy.img

# Changed behind the mount's back between two requests.
for round in $(seq 10); do
	put "round $round" "$SRC/jammy.img@@4M" /config.txt
	tftp get 127.0.0.1 69 89025d75/config.txt --out "$T/config" >/dev/null
	is "after a change" "$(cat "$T/config")" "round $round"
done
