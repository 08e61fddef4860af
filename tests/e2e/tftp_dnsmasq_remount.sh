#!/bin/bash
# dnsmasq outlives imagefs: started before the mount (tftp-no-fail), it serves when the
# mount comes, answers "not found" while it is away, and serves again.
. "$(dirname "$0")/../lib.sh"
requires root netns dnsmasq
board "$SRC/jammy.img" jammy
ln -s jammy.img "$SRC/89025d75"
start_dnsmasq "$MNT" --tftp-no-fail
for round in 1 2 3; do
	refuses 'error 1' tftp get 127.0.0.1 69 89025d75/config.txt
	mount_imagefs
	is "bytes" "$(tftp get 127.0.0.1 69 89025d75/config.txt | cut -d' ' -f1)" \
		"$(printf jammy | sha256sum | cut -d' ' -f1)"
	unmount_imagefs
done
