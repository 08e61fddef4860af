#!/bin/bash
# C1: a guest's own kernel (vfat over NBD, no FLUSH at sync) changes its boot files in
# the ways that boards do, over each stock server; when sync has returned there, every
# open here is new.
# usage: c1_guest.sh [ROUNDS of each server]     GUEST: what make-guest made; SEED
. "$(dirname "$0")/../lib.sh"
requires root netns qemu-system-x86_64 nbd-server nbdkit qemu-nbd cpio
GUEST=${GUEST:-$TOP/build/guest}
[ -s "$GUEST/initrd" ] || skip "no guest: tests/guest/make-guest $GUEST"
for name in nbd-server nbdkit qemu-nbd; do make_fat32_image "$SRC/$name.img" 40; done
listening() { grep -qE ": [0-9A-F]+:$(printf %04X "$1") 0+:0000 0A" /proc/net/tcp /proc/net/tcp6; }
printf '[generic]\nport = 10809\nallowlist = true\nuser = root\ngroup = root\n[disk]\nexportname = %s\n' \
	"$SRC/nbd-server.img" >"$T/nbd.conf"
nbd-server -C "$T/nbd.conf" -p "$T/nbd.pid" 2>"$T/nbd-server.log"
wait_until 10 test -s "$T/nbd.pid"
PIDS+=("$(cat "$T/nbd.pid")")
nbdkit -p 10810 -i 127.0.0.1 -P "$T/nbdkit.pid" file "$SRC/nbdkit.img"
wait_until 10 test -s "$T/nbdkit.pid"
PIDS+=("$(cat "$T/nbdkit.pid")")
qemu-nbd --fork --persistent --shared=4 -f raw -b 127.0.0.1 -p 10811 -x disk --cache=none --aio=native \
	--pid-file="$T/qemu.pid" "$SRC/qemu-nbd.img"
PIDS+=("$(cat "$T/qemu.pid")")
for port in 10809 10810 10811; do wait_until 10 listening $port; done
mount_imagefs
mkdir "$T/guest"
"$PYTHON" "$HERE/guest/guest_fresh.py" "$GUEST" "${1:-15}" "$MNT" "$T/guest" \
	nbd-server=10809/disk nbdkit=10810 qemu-nbd=10811/disk
