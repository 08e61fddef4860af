# What the firmware tests share; sourced after lib.sh. Bash.
# shellcheck shell=bash

# A small image with all that the sequences ask for, also for a Pi 5's ramdisk.
make_firmware_image() {
	"$TOP/tools/make-pi-image" --small --size 64 "$1"
	head -c 700000 /dev/urandom >"$T/boot.img"
	put "@$T/boot.img" "$1@@4M" /boot.img
	sha256sum "$T/boot.img" | cut -d' ' -f1 | put @/dev/stdin "$1@@4M" /boot.sig
	put 'not the real one' "$1@@4M" /overlays/bcm2712d0.dtbo
}

# shellcheck disable=SC2034 # port is for the test
start_firmware_server() {
	case $1 in
	dnsmasq) start_dnsmasq "$MNT" && port=69 ;;
	tftpd-hpa) start_tftpd "$MNT" && tftpd_answers && port=6969 ;;
	*) fail "no such server: $1" ;;
	esac
}

# dnsmasq keeps a log of its own; tftpd-hpa's goes to syslog, which a namespace has not.
say_what_the_server_said() {
	[ "$1" = dnsmasq ] || return 0
	echo "in the log of dnsmasq:"
	sed -E 's/^.*dnsmasq(-tftp)?\[[0-9]+\]: //; s#/tmp/[^ ]*/mnt/#ROOT/#; s#ROOT/.*/[^/ ]* (not found|to)#ROOT/... \1#' "$T/dnsmasq.log" |
		sed -E 's/ (from|to|for) 127[0-9.]*//; s#(sent|sending) ROOT/.*#\1 ROOT/...#' | sort | uniq -c | sort -rn | head -n 8
}
