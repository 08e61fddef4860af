#!/bin/bash
# The examples of the manual pages, run as they stand, each in a system that has what they
# speak of. Lines that need what no test has (a zpool) are named here, and only these are not run.
. "$(dirname "$0")/../lib.sh"
requires root netns fuse dnsmasq groff
mount -t tmpfs tmpfs /srv
# Whose mounts were there before is not seen in here: `imagefsctl status` is about the only one.
awk '$3 ~ /^fuse\.imagefs/ { print $2 }' /proc/self/mounts | while read -r point; do umount -l "$(printf %b "$point")"; done
mount -t tmpfs tmpfs /etc/imagefs 2>/dev/null || true
export HOME=$T/home
mkdir -p "$T/bin" /srv/images /srv/boot "$HOME/mnt"
for program in "$IMAGEFS" "$(dirname "$IMAGEFS")"/imagefs{ctl,-prep} "$TOP/tools/nobodd-boards"; do ln -s "$program" "$T/bin/"; done
export PATH=$T/bin:$PATH VISUAL=true
for name in jammy noble; do board /srv/images/$name.img $name; done
printf 'label: dos\nstart=2048, size=6144, type=c\nstart=8192, size=2048, type=83\nstart=10240, size=6144, type=c\n' >"$T/three"
rm /srv/images/jammy.img && truncate -s 8M /srv/images/jammy.img && sfdisk -q /srv/images/jammy.img <"$T/three"
make_fat /srv/images/jammy.img 2048 3072 12
make_fat /srv/images/jammy.img 10240 3072 12
for sector in 2048 10240; do mcopy -o -Q -i "/srv/images/jammy.img@@$((sector * 512))" - ::/config.txt <<<"jammy $sector"; done
put "root=/dev/mmcblk0p2 quiet" /srv/images/jammy.img@@1M /cmdline.txt
ln -s jammy.img /srv/images/89025d75

# What stands in the EXAMPLES of a page, as somebody would copy it from the terminal.
examples() {
	groff -man -Tascii -rLL=200n -P-cbou "$1" | sed -n '/^EXAMPLES/,/^[A-Z]/p' | sed -n 's/^       *\([a-z].*\)/\1/p' |
		grep -E '^(imagefs|imagefsctl|imagefs-prep|nobodd-boards|dnsmasq|ln|ls|cat|fusermount3|umount|mkdir|zfs|printf|systemctl) '
}
run() { # run COMMAND: as it stands, with what lasts in the background
	echo "+ $1"
	case $1 in
	dnsmasq*) # its own port and files are this test's
		bash -c "exec $1 --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --log-facility=$T/dnsmasq.log" &
		PIDS+=($!)
		wait_until 10 udp_bound 69
		tftp get 127.0.0.1 69 jammy/config.txt --out "$T/got" >/dev/null
		is "by dnsmasq" "$(cat "$T/got")" "jammy 2048" ;;
	zfs*|systemctl*|printf*etc/imagefs*) echo "  (not run here)" ;; # the latter two: inst_systemd, contrib_pages
	nobodd-boards*) (cd "$T" && bash -c "${1//\/etc\/nobodd\//$T/}") ;;
	imagefsctl\ check*) # what it finds is not the point: this image is no Pi's
		status=0
		bash -c "$1" >"$T/out" || status=$?
		[ $status -le 1 ] && [ -s "$T/out" ] || fail "$1: exit $status" ;;
	*jq*) command -v jq >/dev/null || return 0; bash -e -o pipefail -c "$1" ;;
	*ln\ -s\ *) bash -ec "${1/ln -s /ln -sfn }" ;; # the board is there already
	*~*) (cd /srv/images && bash -ec "$1") ;;
	*) (cd /srv/images && bash -e -o pipefail -c "$1" >"$T/out") || fail "$1: exit $?" ;;
	esac
}
printf '[board:10000000abcd1234]\nimage = /srv/images/noble.img\n' >"$T/nobodd.conf"
for page in fuse/imagefs.8 tools/imagefsctl.8 tools/imagefs-prep.8 tools/nobodd-boards.1; do
	echo "== $page"
	examples "$TOP/$page" >"$T/commands"
	[ "$(wc -l <"$T/commands")" -ge 2 ] || fail "$page: no examples found"
	[ $page = fuse/imagefs.8 ] || is_mounted /srv/boot || mount_imagefs /srv/images /srv/boot
	while read -r -u 9 command; do run "$command"; done 9<"$T/commands"
done
is "nobodd's board" "$(cat /srv/boot/abcd1234/config.txt)" noble
umount /srv/boot
not_mounted "$HOME/mnt" || fail "~/mnt is still mounted"
