#!/bin/bash
# tftpd-hpa --secure, chrooted into the mount and running as the user tftp: the same
# requests, every byte right; relative links work inside its chroot.
. "$(dirname "$0")/../lib.sh"
requires root netns in.tftpd
"$TOP/tools/make-pi-image" --small --size 64 "$SRC/jammy.img"
extract "$SRC/jammy.img@@4M" "$T/want"
ln -s jammy.img "$SRC/89025d75"
ln -s "$SRC/jammy.img" "$SRC/dc-a6-32-01-36-c2" # absolute in SOURCE, relative in the mount
ln -s jammy/bootcode.bin "$SRC/bootcode.bin"
mount_imagefs
start_tftpd "$MNT"
for pi in pi3 pi4 pi4-old pi5; do
	for prefix in 89025d75/ dc-a6-32-01-36-c2/; do
		tftp play 127.0.0.1 6969 "$HERE/data/firmware/$pi.txt" "$T/want" --prefix "$prefix"
	done
done
tftp get 127.0.0.1 6969 89025d75/kernel8.img --blksize 1468 --parallel 10 --times 30 >"$T/got"
is "thirty fetches, ten at a time" "$(cut -d' ' -f1 "$T/got" | sort | uniq -c | awk '{ print $1, $2 }')" \
	"30 $(sha256sum <"$T/want/kernel8.img" | cut -d' ' -f1)"
for round in $(seq 10); do
	put "round $round" "$SRC/jammy.img@@4M" /config.txt
	tftp get 127.0.0.1 6969 89025d75/config.txt --out "$T/config" >/dev/null
	is "after a change" "$(cat "$T/config")" "round $round"
done
