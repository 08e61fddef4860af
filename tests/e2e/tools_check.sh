#!/bin/bash
# imagefsctl check: a good image, what a Pi would stumble over, damage (fsck.fat is the
# oracle), hostile images; by path, and by a board's name of a running imagefs.
. "$(dirname "$0")/../lib.sh"
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
[ -x "$IMAGEFSCTL" ] || fail "$IMAGEFSCTL is not built"
requires fsck.fat
# checks STATUS ARGUMENTS...: its text is in $T/out.
checks() {
	local want=$1 status=0
	shift
	timeout 60 "$IMAGEFSCTL" check "$@" >"$T/out" 2>"$T/stderr" || status=$?
	[ "$status" = "$want" ] || fail "check $*: exit status $status, want $want: $(cat "$T/out" "$T/stderr")"
}
says() { grep -qF -- "$1" "$T/out" || fail "does not say '$1': $(cat "$T/out")"; }
json() { "$PYTHON" -c 'import json, sys; check = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$T/out" "$1"; }

"$TOP/tools/make-pi-image" --small --size 64 "$T/whole.img"
fresh() { cp --sparse=always "$T/whole.img" "$SRC/jammy.img"; }
into() { put "$1" "$SRC/jammy.img@@4M" "$2"; }
fresh

# A good one.
checks 0 "$SRC/jammy.img"
says 'no problems'
for pi in 3 4 5; do grep -q "^Pi $pi: *ready" "$T/out" || fail "Pi $pi: $(cat "$T/out")"; done
! grep -q $'\033' "$T/out" || fail "colours in a file"
if command -v script >/dev/null; then
	script -qec "env -u NO_COLOR $IMAGEFSCTL check $SRC/jammy.img" "$T/terminal" </dev/null >/dev/null
	grep -q $'\033' "$T/terminal" || fail "no colours on a terminal"
	script -qec "env NO_COLOR=1 $IMAGEFSCTL check $SRC/jammy.img" "$T/terminal" </dev/null >/dev/null
	! grep -q $'\033' "$T/terminal" || fail "NO_COLOR"
fi
checks 0 --json "$SRC/jammy.img"
is "table" "$(json "check['table']['scheme'], len(check['table']['partitions']), check['boot']")" \
	"('mbr', 2, {'number': 1, 'reason': 'only FAT'})"
is "boards" "$(json "[b['model'] for b in check['boards'] if b['ready'] and b['meant']]")" "['pi3', 'pi4', 'pi5']"
is "root" "$(json "check['cmdline']['root_kind'], check['cmdline']['root']")" "('partuuid', 'PARTUUID=89025d75-02')"
dd if="$SRC/jammy.img" of="$T/fat" bs=1M skip=4 count=64 status=none
is "clusters used" "$(json "'%d/%d' % (check['fat']['used'], check['fat']['clusters'])")" \
	"$(fsck.fat -n "$T/fat" | sed -n 's/.* files, \(.*\) clusters$/\1/p')"

# What config.txt names and is not there, with its sections and includes.
into $'kernel=vmlinuz\n[pi5]\ninitramfs initrd.img followkernel\n[all]\ninclude more.txt\n[pi3]\nkernel=kernel8.img\n' /config.txt
into $'[pi4]\nos_prefix=next/\n[all]\ndevice_tree=my.dtb\n' /more.txt
checks 1 "$SRC/jammy.img"
says 'vmlinuz: kernel, which line 1 of config.txt names (kernel=vmlinuz), is not there (Pi 4, Pi 5)'
says 'initrd.img: initramfs, which line 3 of config.txt names (initramfs=initrd.img followkernel), is not there (Pi 5)'
says 'next/: os_prefix with kernel and device tree, which line 2 of more.txt names (os_prefix=next/), is not there (Pi 4)'
says 'my.dtb: device tree, which line 4 of more.txt names (device_tree=my.dtb), is not there (Pi 3, Pi 4, Pi 5)'
checks 1 --pi 3 "$SRC/jammy.img"
! grep -q vmlinuz "$T/out" || fail "not asked for: $(cat "$T/out")"
into $'include gone.txt\n' /config.txt
checks 0 "$SRC/jammy.img" # as Ubuntu's usercfg.txt is, which boots
says 'note: config.txt: gone.txt: is included, and not there'
into $'[0x12345678]\nkernel=special\n' /config.txt
checks 0 "$SRC/jammy.img"
says 'note: config.txt: special: line 2 of config.txt names it (kernel) for some boards'
# What a board looks for by itself is a problem only if that board is meant.
fresh
mdel -i "$SRC/jammy.img@@4M" ::start4.elf
checks 0 "$SRC/jammy.img"
says 'note: files: start4.elf: firmware is not there (Pi 4)'
checks 1 --pi 4 "$SRC/jammy.img"
says 'problem: files: start4.elf: firmware is not there (Pi 4)'

# Files of a board's own stand before the image's, and the image is as it is.
fresh
ln -s jammy.img "$SRC/89025d75"
ln -s 89025d75 "$SRC/pi7"
mkdir "$SRC/89025d75.d"
echo 'nbdroot=10.0.0.1/jammy root=/dev/nbd0p9' >"$SRC/89025d75.d/CMDLINE.TXT"
echo 'kernel=own.img' >"$SRC/89025d75.d/config.txt"
echo kernel >"$SRC/89025d75.d/own.img"
for argument in "$SRC/89025d75" "$SRC/pi7"; do
	checks 1 "$argument"
	says 'cmdline.txt: root=/dev/nbd0p9: this image has no partition 9'
	says "note: files: own.img: is a file of its own, in $SRC/89025d75.d"
	! grep -q 'own.img.*is not there' "$T/out" || fail "its own kernel is not seen: $(cat "$T/out")"
done
checks 0 "$SRC/jammy.img"
rm -r "$SRC/89025d75.d" "$SRC/pi7" "$SRC/89025d75"

# cmdline.txt names another image.
cp --sparse=always "$T/whole.img" "$SRC/focal.img"
ln -s jammy.img "$SRC/89025d75"
ln -s jammy:1 "$SRC/dc-a6-32-01-36-c2"
root_is() {
	fresh
	into "ip=dhcp $1 rootwait" /cmdline.txt
}
root_is 'nbdroot=10.0.0.1/focal root=/dev/nbd0p2'
checks 1 "$SRC/jammy.img"
says 'nbdroot=10.0.0.1/focal: names another image: focal is not jammy'
for name in jammy jammy.img 89025d75; do
	root_is "nbdroot=10.0.0.1:10809/$name root=/dev/nbd0p2"
	checks 0 "$SRC/jammy.img"
	! grep -q '^note: cmdline' "$T/out" || fail "$name: $(cat "$T/out")"
done
root_is 'nbdroot=10.0.0.1/elsewhere root=/dev/nbd0p2'
checks 0 "$SRC/jammy.img"
says 'note: cmdline.txt: nbdroot=10.0.0.1/elsewhere: an export named elsewhere; is it this image, jammy?'
root_is 'nbdroot=10.0.0.1/jammy root=/dev/nbd0p7'
checks 1 "$SRC/jammy.img"
says 'this image has no partition 7'
root_is 'root=PARTUUID=12345678-02'
checks 1 "$SRC/jammy.img"
says 'root=PARTUUID=12345678-02: names another image'
root_is 'root=LABEL=rootfs'
checks 0 "$SRC/jammy.img"
says 'is partition 2 of this image'
root_is 'root=UUID=00000000-0000-0000-0000-000000000000'
checks 1 "$SRC/jammy.img"
root_is 'root=/dev/mmcblk0p2'
checks 1 "$SRC/jammy.img"
says "the board's own card"

# The line to write, where the root is not this image, or nothing says how it comes; written, all is well.
for root in root=/dev/mmcblk0p2 root=PARTUUID=12345678-02 root=PARTUUID=89025d75-02 quiet root=/dev/nbd0p2 root=/dev/nbd0p7 \
	'nbdroot=10.0.0.9/focal root=/dev/nbd0p2' 'nbdroot=10.0.0.9/jammy root=/dev/nbd0p7'; do
	root_is "$root"
	checks "$(case $root in quiet | *89025d75* | root=/dev/nbd0p2) echo 0 ;; *) echo 1 ;; esac)" --json "$SRC/jammy.img"
	host=$(case $root in nbdroot*) echo 10.0.0.9 ;; *) echo SERVER ;; esac)
	line=$(json "check['cmdline']['line_to_write']")
	is "$root" "${line%% rootwait}" "$(echo "ip=dhcp nbdroot=$host/jammy root=/dev/nbd0p2$([ "$root" = quiet ] && echo ' quiet')")"
	into "$line" /cmdline.txt
	checks 0 --json "$SRC/jammy.img"
	is "$root, written" "$(json "check['cmdline']['line_to_write'], [b['ready'] for b in check['boards']]")" \
		"(None, [True, True, True])"
	checks 0 "$SRC/jammy.img"
done
root_is 'root=/dev/mmcblk0p2'
checks 1 "$SRC/jammy.img"
says 'note: cmdline.txt: for a root that is partition 2 of this image, by NBD from SERVER, write: ip=dhcp nbdroot=SERVER/jammy'

# Whoever is named by --pi and cannot boot is a problem, and who is ready is none: verdicts agree.
agree() { # agree WHAT: for each board
	local pi status
	for pi in 3 4 5; do
		status=0
		"$IMAGEFSCTL" check --json --pi $pi "$SRC/jammy.img" >"$T/out" || status=$?
		is "$1: Pi $pi" "$(json "[b['ready'] for b in check['boards'] if b['model'] == 'pi$pi'][0], check['problems'] == 0")" \
			"$([ $status = 0 ] && echo '(True, True)' || echo '(False, False)')"
	done
}
fresh
agree whole
for name in start.elf start4.elf kernel8.img kernel_2712.img config.txt; do
	fresh
	mdel -i "$SRC/jammy.img@@4M" ::$name 2>/dev/null || true
	agree "without $name"
done
root_is 'root=/dev/mmcblk0p2'
agree "the card's root"
fresh
into $'cmdline=four.txt\n[pi5]\ncmdline=cmdline.txt\n' /config.txt
into 'nbdroot=10.0.0.1/jammy root=/dev/nbd0p2' /cmdline.txt
into 'root=/dev/mmcblk0p2' /four.txt
agree "command lines that differ"
fresh
head -c 20000 /dev/urandom >"$T/data"
into "@$T/data" /kernel8.img
read -r -a c <<<"$(edit "$SRC/jammy.img@@4M" chain /kernel8.img)"
edit "$SRC/jammy.img@@4M" setfat "${c[5]}" free
checks 1 --pi 4 "$SRC/jammy.img"
says 'problem: files: kernel8.img: kernel cannot be read to its end (Pi 4)'
grep -q '^Pi 4: *not ready, .*kernel8.img (damaged)' "$T/out" || fail "damaged: $(cat "$T/out")"

# Damage: as many lost and crossed clusters as fsck.fat finds.
head -c 20000 /dev/urandom >"$T/data"
damaged() { # damaged FATBITS
	make_image "$SRC/damaged.img" "$([ "$1" = 32 ] && echo 36 || echo 8)" "$1" -s 1
	put "@$T/data" "$SRC/damaged.img" /victim.bin
	put "@$T/data" "$SRC/damaged.img" /witness.bin
	mmd -i "$SRC/damaged.img@@1M" ::dir
	put "@$T/data" "$SRC/damaged.img" /dir/inner.bin
}
fsck_lost() {
	dd if="$SRC/damaged.img" of="$T/fat" bs=1M skip=1 status=none
	fsck.fat -n "$T/fat" >"$T/fsck" || true
	sed -n 's/^Reclaimed \([0-9]*\) unused.*/\1/p' "$T/fsck"
}
for bits in 16 32; do
	damaged $bits
	checks 1 --json "$SRC/damaged.img"
	is "sound" "$(json "[check['fat'][k] for k in ('lost', 'crossed', 'broken_files')]")" '[0, 0, 0]'
	is "by fsck" "$(fsck_lost)" ''
	# The end of a chain is cut off, in the middle of a file and of one in a directory.
	read -r -a c <<<"$(edit "$SRC/damaged.img" chain /victim.bin)"
	edit "$SRC/damaged.img" setfat "${c[5]}" end
	read -r -a c <<<"$(edit "$SRC/damaged.img" chain /dir/inner.bin)"
	edit "$SRC/damaged.img" setfat "${c[20]}" end
	checks 1 --json "$SRC/damaged.img"
	is "lost" "$(json "check['fat']['lost']")" "$(fsck_lost)"
	is "chains" "$(json "check['fat']['lost_chains']")" 2
	says '/dir/inner.bin: its cluster chain ends before its size does'
	# A file without a name.
	damaged $bits
	edit "$SRC/damaged.img" poke "$(edit "$SRC/damaged.img" entry /witness.bin)" e5
	checks 1 --json "$SRC/damaged.img"
	is "lost" "$(json "check['fat']['lost'], check['fat']['lost_chains']")" '(40, 1)'
	is "by fsck" "$(fsck_lost)" 40
	# Two files on the same clusters: the whole of it, and its end.
	damaged $bits
	read -r -a c <<<"$(edit "$SRC/damaged.img" chain /victim.bin)"
	edit "$SRC/damaged.img" start /witness.bin "${c[10]}"
	checks 1 --json "$SRC/damaged.img"
	fsck_lost >/dev/null
	grep -q 'share clusters' "$T/fsck" || fail "fsck.fat sees no shared clusters: $(cat "$T/fsck")"
	is "crossed" "$(json "check['fat']['crossed'], check['fat']['lost']")" '(30, 40)'
	says '/witness.bin: it shares clusters with another file'
done
damaged 16
edit "$SRC/damaged.img" poke 37 01
checks 1 "$SRC/damaged.img"
says 'the dirty flag is set'

# Hostile: one line, exit 1, in a moment.
for what in zeros random tiny empty; do
	case $what in
	zeros) truncate -s 1M "$T/bad.img" ;;
	random) head -c 1M /dev/urandom >"$T/bad.img" ;;
	tiny) head -c 511 /dev/urandom >"$T/bad.img" ;;
	empty) : >"$T/bad.img" ;;
	esac
	checks 1 "$T/bad.img"
	says problem:
	rm "$T/bad.img"
done
damaged 16
edit "$SRC/damaged.img" start /dir 0
checks 1 "$SRC/damaged.img"
damaged 16
read -r -a c <<<"$(edit "$SRC/damaged.img" chain /dir)"
edit "$SRC/damaged.img" setfat "${c[0]}" "${c[0]}"
checks 1 "$SRC/damaged.img"
says '/dir: its cluster chain is a loop'
truncate -s 1100K "$SRC/damaged.img"
checks 1 "$SRC/damaged.img"
# A FAT of 2^26 clusters, all of it a hole in the file: bounded work, in a moment.
make_fat32_image "$T/huge.img"
for poke in "13 40" "16 01" "32 ffffffff" "36 00000800"; do
	read -r at bytes <<<"$poke"
	edit "$T/huge.img" poke "$at" "$bytes"
done
truncate -s 40G "$T/huge.img"
echo 'start=2048,type=c' | sfdisk -q -w never -W never "$T/huge.img"
checks 1 --json "$T/huge.img"
is "clusters" "$(json "check['fat']['clusters'] > 60000000")" True
rm -f "$T/huge.img"
# Too many of them, and one line forged in a name.
damaged 16
printf 'x' | mcopy -i "$SRC/damaged.img@@1M" - '::a[31mb'
edit "$SRC/damaged.img" start '/a[31mb' 1
edit "$SRC/damaged.img" long '/a[31mb' 1 0x1b
checks 1 "$SRC/damaged.img"
! grep -q $'\033' "$T/out" || fail "control characters of a name"

# Cannot look.
checks 2
checks 2 --no-such "$SRC/jammy.img"
checks 2 --pi 6 "$SRC/jammy.img"
checks 2 "$SRC/jammy.img" again
checks 2 "$SRC/nothing.img"
checks 2 "$SRC"
is "lines" "$(grep -c . "$T/stderr")" 1

# By name, of a running imagefs.
requires root netns
fresh
mount_imagefs
for name in jammy 89025d75 dc-a6-32-01-36-c2 jammy:1; do
	(cd / && checks 0 "$name")
	says "$SRC/"
done
(cd / && checks 1 jammy:2)
says 'holds no FAT'
checks 2 no-such-board
unmount_imagefs
