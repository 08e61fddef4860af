#!/bin/bash
# tools_tftp_storm.sh dnsmasq|tftpd: tftp-storm's boards boot from a real server; its exit status says whether
# every file was right. One byte, one name or one answer is enough for a 1, and it always ends.
. "$(dirname "$0")/../lib.sh"
requires root netns
STORM=$(dirname "$IMAGEFS")/tftp-storm
[ -x "$STORM" ] || skip "needs $STORM"
"$TOP/tools/make-pi-image" --small --size 64 "$SRC/jammy.img" >"$T/make.log"
extract "$SRC/jammy.img@@4M" "$T/want"
for board in 00000001 00000002 00000003 dc-a6-32-01-36-c2; do ln -s jammy.img "$SRC/$board"; done
ln -s jammy/bootcode.bin "$SRC/bootcode.bin"
mount_imagefs
case $1 in
dnsmasq) port=69 && start_dnsmasq "$MNT" ;;
tftpd) port=6969 && start_tftpd "$MNT" && tftpd_answers ;;
esac
count() { "$PYTHON" -c 'import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."): value = value[key]
print(value)' "$T/report" "$1"; }
# storm STATUS [options]: as JSON; what it said of what was wrong is in $T/said.
storm() {
	local want=$1 status=0
	shift
	"$STORM" --json "$@" 127.0.0.1 "$port" >"$T/report" 2>"$T/said" || status=$?
	[ "$status" = "$want" ] || { cat "$T/said" "$T/report"; fail "tftp-storm $*: exit $status, want $want"; }
}

# Right: each model, under serials and a MAC; against the files of a board, and against the server's root.
for model in 3 4 5; do
	storm 0 -m $model -n 3 -b dc-a6-32-01-36-c2 --rounds 2 --against "$T/want"
	is "boots of a Pi $model" "$(count boots)" 8
	[ "$(count absent)" -gt 0 ] && [ "$(count wrong.all)" = 0 ] || fail "$(cat "$T/report")"
done
storm 0 --boards-in "$MNT" --against "$MNT" --window 0.2
is "boards found" "$(count boards)" 5
kernel=$(stat -c %s "$T/want/kernel8.img")
for blksize in 512 1024 1468; do
	storm 0 -f kernel8.img -n 20 -p jammy -r 2 --blksize $blksize --against "$T/want"
	is "bytes of kernels" "$(count bytes)" $((40 * kernel))
	is "first bytes" "$(count microseconds.first_byte.count)" 40
done
storm 0 -f jammy/start4.sig -f jammy/config.txt # one of them is empty
is "files" "$(count whole)" 2
storm 0 -s "$HERE/data/firmware/pi4-old.txt" -b 00000001 --against "$T/want"
storm 0 -s <(printf 'prefix config.txt\ndir overlays\n') -b 00000001 --against "$T/want"
is "a directory" "$(count whole)" "$(find "$T/want/overlays" -type f | wc -l)"
# A board without a link boots as the firmware would: without its prefix. Here that finds the Pi 3's bootcode.bin alone.
storm 0 -m 3 -b ffffffff
is "files without prefix" "$(count whole)" 1

# Wrong: a byte, a length, a name too few, a name too many, an error.
cp -r "$T/want" "$T/other" && wrong="--against $T/other -n 3"
printf X | dd of="$T/other/kernel8.img" bs=1 seek=$((kernel - 1)) conv=notrunc status=none
storm 1 $wrong
is "other bytes" "$(count wrong.differing) of $(count wrong.all)" "3 of 3" # three paths
grep -q '^tftp-storm: 00000001/kernel8.img: other bytes' "$T/said" || fail "$(cat "$T/said")"
cp "$T/want/kernel8.img" "$T/other/" && echo >>"$T/other/fixup4.dat"
storm 1 $wrong
is "another length" "$(count wrong.differing) of $(count wrong.all)" "3 of 3"
cp "$T/want/fixup4.dat" "$T/other/" && touch "$T/other/recovery.elf"
storm 1 $wrong
is "a name too few" "$(count wrong.missing) of $(count wrong.all)" "3 of 3"
rm "$T/other/recovery.elf" "$T/other/cmdline.txt"
storm 1 $wrong
is "a name too many" "$(count wrong.unexpected) of $(count wrong.all)" "3 of 3"
storm 1 -f jammy/no-such-file
is "a file that was wanted" "$(count wrong.missing)" 1
storm 1 -b ffffffff # nothing is there at all
is "no file came" "$(count whole) $(cat "$T/said")" "0 tftp-storm: 127.0.0.1: served no file"
storm 1 -f overlays -b 00000001 # no file, and not "not found"
is "a directory is refused" "$(count whole) $(count wrong.all)" "0 1"

# Nobody there, or somebody who does not answer: it ends, and boards without an answer do not go on.
nobody() { # nobody WHAT PORT
	local status=0
	timeout 30 "$STORM" -n 3 -r 100 --timeout 0.5 --json 127.0.0.1 "$2" >"$T/report" 2>"$T/said" || status=$?
	is "exit status, $1" $status 1
	is "without an answer, $1" "$(count wrong.silent) of $(count requests)" "3 of 3"
}
nobody "nobody there" 7070
kill -STOP "${PIDS[-1]}"
nobody "a server that is stopped" $port
kill -CONT "${PIDS[-1]}"
