#!/bin/bash
# C1, C2, C5, C6: boards boot while another one of the same image replaces kernel8.img,
# config.txt and more through a server that reports, in bursts of less than 250 ms: what each
# fetches is old or new and whole, nothing is missing that is in both, nothing is refused,
# and every RRQ is answered in time for the firmware.
# usage: firmware_mid_update.sh dnsmasq|tftpd-hpa [SECONDS]        SEED=n REPORTS=no SERVER=...
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../reports.sh"
. "$(dirname "$0")/firmware_image.sh"
server=$1 seconds=${2:-20} seed=${SEED:-1}
requires root netns nbd-server
"$PYTHON" -c 'import nbd' 2>/dev/null || skip "needs python3-libnbd"

# Four states of one image, each an update of the one before it, as upgrades do it.
make_firmware_image "$T/0.img"
state() { # state N: begins as the one before it
	fat=$T/$1.img@@4M
	cp --sparse=always "$T/$(($1 - 1)).img" "$T/$1.img"
	head -c "$2" /dev/urandom >"$T/kernel"
	{ extract_one config.txt "$(($1 - 1))"; echo "# upgrade $1"; } >"$T/config"
}
extract_one() { mcopy -n -Q -i "$T/$2.img@@4M" "::$1" -; }
state 1 600000 # new kernel by rename, config.txt written over
put "@$T/kernel" "$fat" /kernel8.new
mdel -i "$fat" ::kernel8.img && mren -i "$fat" ::kernel8.new ::kernel8.img
put "@$T/config" "$fat" /config.txt
state 2 450000 # the rude way: all written over, a dtb and the initramfs with them
put "@$T/kernel" "$fat" /kernel8.img
put "@$T/kernel" "$fat" /initramfs8
put "@$T/config" "$fat" /config.txt
put "@$T/config" "$fat" /bcm2711-rpi-4-b.dtb
state 3 700000 # the Pi 5's kernel; a file that comes, and one that goes
put "@$T/kernel" "$fat" /kernel_2712.img
put "@$T/kernel" "$fat" /kernel8.img
put "@$T/config" "$fat" /config.txt
put 'not the real one' "$fat" /vl805.sig
mdel -i "$fat" ::initramfs_2712
mkdir "$T/root"
truths=()
for n in 0 1 2 3; do extract "$T/$n.img@@4M" "$T/truth$n" && truths+=(--truth "$T/truth$n"); done
cp "$T/truth0/bootcode.bin" "$T/root"

cp --sparse=always "$T/0.img" "$SRC/jammy.img"
ln -s jammy.img "$SRC/89025d75"
ln -s jammy.img "$SRC/dc-a6-32-01-36-c2"
ln -s jammy/bootcode.bin "$SRC/bootcode.bin"
mount_reported
start_reporting "${WRITER:-nbd-server}" "$SRC/jammy.img"
start_firmware_server "$server"

mkfifo "$T/more"
"$PYTHON" "$HERE/netboot/update.py" "$URI" "$T/timeline" "$T"/[0-3].img --seed "$seed" \
	--burst 20,180 --rest 250,900 <"$T/more" >"$T/updates" &
updater=$!
PIDS+=($updater)
exec 8>"$T/more" # it ends when this is closed
wait_until 20 grep -q ready "$T/updates"
watcher=
if [ "${REPORTS:-}" != no ]; then
	wait_until 20 is_exact jammy # imagefs has found out that nobody else writes
	"$PYTHON" "$TOOLS/watch_reports.py" "$CONTROL/status.json" jammy >"$T/believed" 2>&1 &
	watcher=$!
	PIDS+=($watcher)
fi
# It has been looked at: what is written while imagefs looks for the first time it cannot tell from what was there.
looked_at() { cat "$MNT/jammy/config.txt"; }
wait_until 10 looked_at
echo go >&8
status=0
"$PYTHON" "$HERE/netboot/replay.py" 127.0.0.1 "$port" --server-name "$server" "${truths[@]}" \
	--root "$T/root" --timeline "$T/timeline" --seconds "$seconds" \
	pi3=pi3,89025d75/ pi4=pi4-old,dc-a6-32-01-36-c2/ another-pi4=pi4-old,89025d75/ pi5=pi5,89025d75/ || status=$?
if [ -n "$watcher" ]; then
	kill $watcher && wait $watcher
	sed 's/^/  reports: /' "$T/believed"
fi
exec 8>&-
wait $updater || fail "the updates: $(tail -n1 "$T/updates")"
exit $status
