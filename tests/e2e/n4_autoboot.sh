#!/bin/bash
# N4: autoboot.txt names the boot partition, as the firmware reads it, whatever lies beside it
# (bootcode.bin for a Pi 3, PINN); tryboot's partition is NAME:N; rewriting it switches at once;
# one that names no FAT is an error and no guess. status and check say what chose.
. "$(dirname "$0")/../lib.sh"
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
autoboot() { printf '%b' "$1" >"$T/autoboot.txt" && put "@$T/autoboot.txt" "$SRC/$2.img@@1M" /autoboot.txt; }
image() { # image NAME: three FATs of 8 MiB, the first with bootcode.bin, and a whole one in 5
	truncate -s 64M "$SRC/$1.img"
	sfdisk -q "$SRC/$1.img" <<-TABLE
		label: dos
		start=2048, size=16384, type=c
		start=18432, size=16384, type=c
		start=34816, size=16384, type=c
		start=51200, size=79872, type=5
		start=53248, size=16384, type=c
	TABLE
	for start in 2048 18432 34816 53248; do
		make_fat "$SRC/$1.img" $start 8192 12
		[ $start = 2048 ] || for name in config.txt start4.elf kernel8.img; do
			put "$start" "$SRC/$1.img@@$((start * 512))" /$name
		done
	done
	put x "$SRC/$1.img@@1M" /bootcode.bin
}
image ab
autoboot '[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n' ab
image logical
autoboot 'boot_partition=5\n' logical
image without
mount_imagefs
is "boot_partition=2" "$(cat "$MNT/ab/config.txt")" 18432
is "tryboot is listed" "$(ls -d "$MNT/ab:3")" "$MNT/ab:3"
is "tryboot" "$(cat "$MNT/ab:3/config.txt")" 34816
is "a logical partition" "$(cat "$MNT/logical/config.txt")" 53248
refuses ENOENT stat "$MNT/without/config.txt"

if [ -x "$IMAGEFSCTL" ]; then
	ctl() { "$IMAGEFSCTL" "$@"; }
	ctl status ab >"$T/out"
	grep -q '^boot partition: 2 (autoboot.txt)' "$T/out" || fail "status: $(cat "$T/out")"
	grep -q '^tryboot partition: 3 (autoboot.txt of partition 1)$' "$T/out" || fail "status: $(cat "$T/out")"
	is "status --json" "$(ctl status --json ab | "$PYTHON" -c 'import json, sys
at = json.load(sys.stdin)["partition"]; print(at["number"], at["reason"], at["tryboot"])')" "2 autoboot.txt 3"
	ctl check "$SRC/ab.img" >"$T/out" || true
	grep -q '^boot partition: *2 (autoboot.txt)$' "$T/out" || fail "check: $(cat "$T/out")"
	grep -q '^autoboot.txt: *on partition 1: boot_partition=2; tryboot: 3, which is ab:3$' "$T/out" ||
		fail "check: $(cat "$T/out")"
	ctl check --json "$SRC/logical.img" >"$T/out" || true
	is "check --json" "$("$PYTHON" -c 'import json, sys
at = json.load(sys.stdin); print(at["boot"], at["autoboot"])' <"$T/out")" \
		"{'number': 5, 'reason': 'autoboot.txt'} {'on': 1, 'boot_partition': 5, 'tryboot': None}"
fi

# The update is committed: the other one, as soon as it is written.
autoboot '[all]\ntryboot_a_b=1\nboot_partition=3\n[tryboot]\nboot_partition=2\n' ab
is "switched" "$(cat "$MNT/ab/config.txt")" 34816

# What it names holds no FAT: not the other one, and said so. By number all is there.
autoboot 'boot_partition=4\n' ab
refuses EIO cat "$MNT/ab/config.txt"
is "by its number" "$(cat "$MNT/ab:2/config.txt")" 18432
if [ -x "$IMAGEFSCTL" ]; then
	ctl status ab | unfolded >"$T/out"
	grep -q '^problem: .*autoboot.txt' "$T/out" || fail "$(cat "$T/out")"
	status=0
	"$IMAGEFSCTL" check "$SRC/ab.img" >"$T/out" || status=$?
	is "check" "$status" 1
	grep -q 'problem: autoboot.txt: boot_partition=4: there is no such partition' "$T/out" || fail "$(cat "$T/out")"
fi
autoboot 'boot_partition=2\n' ab
is "mended" "$(cat "$MNT/ab/config.txt")" 18432
unmount_imagefs
