#!/bin/bash
# imagefs-prep --size and --grow-root: MBR, logical partitions, GPT, sectors of 512 and 4096 bytes: tables that sfdisk
# and sgdisk find nothing wrong with, and the same files; smaller never.
. "$(dirname "$0")/../lib.sh"
PREP=$(dirname "$IMAGEFS")/imagefs-prep
[ -x "$PREP" ] || fail "$PREP is not built"
requires root netns loop sfdisk sgdisk mkfs.fat mcopy mkfs.ext4 fsck.fat xz
mkdir "$T/disk"
cd "$T/disk"
[ "$(id -u)" != 0 ] || mount -t tmpfs -o size=1G tmpfs . # nothing here is about disks, and they are slow
cd "$PWD"
size_of() { stat -c %s "$1"; }
# make NAME "TABLE": a FAT of 8 MiB from 1 MiB on, an ext4 of 16 MiB from 9 MiB on; 32 MiB in all.
make() {
	truncate -s 32M "$1"
	sfdisk -q "$1" <<<"$2"
	make_fat "$1" 2048 7168 12
	mkfs.ext4 -q -F -E offset=$((9 * 1048576)) "$1" 16M 2>/dev/null
	put 'root=/dev/mmcblk0p2' "$1" /cmdline.txt
}
make mbr.img 'label: dos
	start=2048, size=14336, type=c
	start=18432, size=32768, type=83'
make gpt.img 'label: gpt
	start=2048, size=14336, type=uefi
	start=18432, size=32768, type=linux'
make logical.img 'label: dos
	start=2048, size=14336, type=c
	start=16384, size=40000, type=5
	start=18432, size=32768, type=83'
end_of() { sfdisk -l -o End --bytes "$1" | tail -n1 | tr -d ' '; }

for kind in mbr gpt logical; do
	for where in archive place; do
		if [ $where = archive ]; then
			[ -e $kind.img.xz ] || xz -0 -k $kind.img
			"$PREP" --size 48M --grow-root $kind.img.xz a.img >steps 2>said || fail "$kind: $(cat said)"
			grep -qx 'grow it to 48.0MiB' steps && grep -qx 'extend its root partition to the end' steps || fail "$(cat steps)"
		else
			cp $kind.img a.img
			"$PREP" -q --size 48M --grow-root a.img || fail "$kind: in place"
		fi
		is "$kind: size" "$(size_of a.img)" $((48 * 1048576))
		sfdisk -V a.img >out 2>&1 && grep -q 'No errors' out || fail "$kind: sfdisk: $(cat out)"
		sfdisk -d a.img >table 2>out && [ ! -s out ] || fail "$kind: sfdisk -d: $(cat out)"
		last=$(end_of a.img)
		[ "$last" -gt $((47 * 2048 - 2)) ] || fail "$kind: the root ends at $last"
		# Nothing but the end of the last partition, and of what contains it, differs.
		is "$kind: partitions" "$(sfdisk -l -o Start a.img | tail -n +9)" "$(sfdisk -l -o Start $kind.img | tail -n +9)"
		[ $kind != gpt ] || { sgdisk -v a.img >out && grep -q 'No problems found' out || fail "$kind: sgdisk: $(cat out)"; }
		cmp -n $((7 * 1048576)) -i 1048576 a.img $kind.img || fail "$kind: the boot partition"
		cmp -n $((16 * 1048576)) -i $((9 * 1048576)) a.img $kind.img || fail "$kind: the root"
		dd if=a.img of=fat bs=1M skip=1 count=7 status=none && fsck.fat -n fat >/dev/null || fail "$kind: fsck.fat"
		loop_device root a.img --offset $((9 * 1048576)) --read-only
		e2fsck -fn "$root" >/dev/null 2>&1 || fail "$kind: e2fsck"
		# Again: as it was.
		sum=$(sha256sum <a.img)
		"$PREP" --size 48M --grow-root a.img >steps 2>said || fail "$kind: again: $(cat said)"
		is "$kind: again" "$(sha256sum <a.img)" "$sum"
		# Smaller never.
		"$PREP" --size 20M a.img >steps 2>said || fail "$kind: smaller: $(cat said)"
		is "$kind: smaller" "$(sha256sum <a.img)" "$sum"
		rm a.img
	done
	# The size alone: the partitions stay.
	"$PREP" -q --size 40M $kind.img b.img
	is "$kind: size alone" "$(size_of b.img) $(end_of b.img)" "$((40 * 1048576)) $(end_of $kind.img)"
	[ $kind != gpt ] || { sgdisk -v b.img >out && grep -q 'No problems found' out || fail "the backup header: $(cat out)"; }
	rm b.img
done

# Units of 4096 bytes, as of a device with such sectors.
truncate -s 64M big.img
loop_device big big.img --sector-size 4096
printf 'label: gpt\nstart=256, size=2048, type=uefi\nstart=2304, size=4096, type=linux\n' | sfdisk -q "$big"
losetup -d "$big"
LOOPS=()
truncate -s 8M fat4096
mkfs.fat -F 12 -S 4096 fat4096 >/dev/null
dd if=fat4096 of=big.img bs=1M seek=1 conv=notrunc status=none
mkfs.ext4 -q -F -b 4096 -E offset=$((9 * 1048576)) big.img 16M 2>/dev/null
cp big.img big.old
"$PREP" -q --size 128M --grow-root big.img || fail "4096"
loop_device big big.img --sector-size 4096
sgdisk -v "$big" >out && grep -q 'No problems found' out || fail "4096: sgdisk: $(cat out)"
[ "$(sfdisk -l -o End "$big" | tail -n1)" -gt 32500 ] || fail "4096: $(sfdisk -l "$big")"
losetup -d "$big"
LOOPS=()
put 'quiet' big.img@@1M /cmdline.txt
"$PREP" -q --ssh --set a=b --config arm_64bit=1 big.img || fail "4096: edits"
is "4096: edits" "$(mtype -i big.img@@1M ::/cmdline.txt):$(mtype -i big.img@@1M ::/config.txt)" 'quiet a=b:arm_64bit=1'
dd if=big.img of=fat bs=1M skip=1 count=8 status=none && fsck.fat -n fat >/dev/null || fail "4096: fsck.fat"

# What stands behind the root; a damaged GPT; nothing to grow.
make behind.img 'label: dos
	start=2048, size=14336, type=c
	start=18432, size=32768, type=83
	start=51200, size=2048, type=83'
sum=$(sha256sum <behind.img)
"$PREP" -q --size 64M --grow-root behind.img 2>said && fail "over what stands behind"
grep -q 'partition 3 stands behind it' said || fail "says $(cat said)"
is "as it was" "$(sha256sum <behind.img) $(ls -A | grep -c imagefs-prep || true)" "$sum 0"
cp gpt.img bad.img
printf XXXXXXXX | dd of=bad.img bs=1 seek=600 conv=notrunc status=none
sum=$(sha256sum <bad.img)
"$PREP" -q --size 64M bad.img 2>said && fail "a damaged GPT grew: $(sgdisk -v bad.img)"
is "a damaged GPT: as it was" "$(sha256sum <bad.img)" "$sum"
"$PREP" -q --size 4q mbr.img 2>said && fail "a size of 4q"
grep -q 16G said
