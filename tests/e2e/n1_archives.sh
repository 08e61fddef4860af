#!/bin/bash
# N1: what is no image but could be made one (xz, gzip, zstd, zip, qcow2, VMDK) is recognised by its content, whatever it is
# called, and status, check and boards name it with the command that makes an image of it. Each command is run as it is
# printed; what comes of it is served.
. "$(dirname "$0")/../lib.sh"
requires root netns xz gzip zstd zip qemu-img
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
PATH=$(dirname "$IMAGEFS"):$PATH # imagefs-prep
ctl() { "$IMAGEFSCTL" --control "$CONTROL" "$@"; }
status() { unfolded "$CONTROL/status"; }
# after TEXT FILE: what stands behind TEXT in the one line that has it.
after() {
	is "lines with '$1' in $(cat "$2")" "$(grep -cF -- "$1" "$2")" 1
	grep -F -- "$1" "$2" | sed "s|^.*$(sed 's/[][\.*^$|]/\\&/g' <<<"$1")||"
}
# finds IMAGE TEXT: check does, as its only problem.
finds() {
	! ctl check "$1" >"$T/check" || fail "no problem: $(cat "$T/check")"
	grep -qxF "problem: table: $2" "$T/check" || fail "check $1: not '$2': $(cat "$T/check")"
}
# pack KIND FILE: raw.img as that, to FILE
pack() {
	case $1 in
	xz) xz -0 -c raw.img >"$2" ;;
	gzip) gzip -1 -c raw.img >"$2" ;;
	zstd) zstd -q -1 -c raw.img >"$2" ;;
	zip) rm -f packed.zip && zip -q -1 packed.zip raw.img && mv packed.zip "$2" ;;
	qcow2) qemu-img convert -O qcow2 raw.img "$2" ;;
	VMDK) qemu-img convert -O vmdk raw.img "$2" ;;
	esac
}
declare -A suffix=([xz]=img.xz [gzip]=img.gz [zstd]=img.zst [zip]=zip [qcow2]=qcow2 [VMDK]=vmdk)
declare -A called=([xz]='an xz archive' [gzip]='a gzip archive' [zstd]='a zstd archive' [zip]='a zip archive'
	[qcow2]='a qcow2 image' [VMDK]='a VMDK image')

cd "$T"
board raw.img 'unpacked, and served'
mount_imagefs
for kind in xz gzip zstd zip qcow2 VMDK; do
	# Under its usual name, with a link to it: not shown, and named.
	file=$kind.${suffix[$kind]}
	pack $kind "$SRC/$file"
	ln -s "$file" "$SRC/b$kind"
	refuses ENOENT cat "$MNT/$kind/config.txt"
	status >"$T/status"
	makes=$(after "  b$kind: leads to $file, ${called[$kind]}: " "$T/status")
	is "$kind: as an archive" "$(after "$file: is ${called[$kind]}, and not shown: " "$T/status")" "$makes"
	finds "$file" "is ${called[$kind]}: $makes"
	finds "$SRC/$file" "is ${called[$kind]}: $makes"
	ctl boards >"$T/folded" || true
	unfolded "$T/folded" >"$T/boards"
	is "$kind: boards" "$(after "b$kind: $file: is ${called[$kind]}: " "$T/boards")" "$makes"
	refuses "is ${called[$kind]}: $makes" ctl link another "$file"
	bash -ec "$makes" >"$T/made" 2>&1 || fail "$makes: $(cat "$T/made")"
	is "$kind: served" "$(cat "$MNT/$kind/config.txt")" 'unpacked, and served'
	# It is there, and is not named any more; who is led to the archive is told what to link to.
	status >"$T/status"
	! grep -F "$file: is " "$T/status" || fail "named as if it was not unpacked"
	grep -qxF "  b$kind: leads to $file, ${called[$kind]}: link to $kind, which is there" "$T/status" || fail "$(cat "$T/status")"
	finds "$SRC/$file" "is ${called[$kind]}: $kind.img is there already"
	rm "$SRC/$file" "$SRC/b$kind" "$SRC/$kind.img"

	# Called as an image is: shown, and nothing can be had of it, but why stands where one looks.
	pack $kind "$SRC/pi $kind.img"
	ln -s "pi $kind.img" "$SRC/c$kind"
	refuses EIO cat "$MNT/pi $kind/config.txt"
	status >"$T/status"
	grep -qE "^  pi $kind: config.txt: lookup: EIO: it is ${called[$kind]}, and (no image|not raw): mv " "$T/status" || fail "$(cat "$T/status")"
	makes="mv $(sed -n "s/^  pi $kind: .*: mv //p" "$T/status" | sed 's/; asked for .*//')"
	ctl check "pi $kind" >"$T/check" && fail "no problem: $(cat "$T/check")"
	is "$kind: check" "$(after "problem: table: is ${called[$kind]}: " "$T/check")" "$makes"
	ctl boards >"$T/folded" || true
	unfolded "$T/folded" >"$T/boards"
	is "$kind: boards" "$(after ": is ${called[$kind]}: " "$T/boards")" "$makes"
	bash -ec "$makes" >"$T/made" 2>&1 || fail "$makes: $(cat "$T/made")"
	is "$kind: served under its name" "$(cat "$MNT/c$kind/config.txt")" 'unpacked, and served'
	rm "$SRC/pi $kind.img"* "$SRC/c$kind"

	# Called as anything, and elsewhere: what comes of it is made here.
	pack $kind "$T/download"
	ln -s "$T/download" "$SRC/d$kind"
	status >"$T/status"
	makes=$(after "  d$kind: leads to $T/download, ${called[$kind]}: " "$T/status")
	ctl boards >"$T/folded" || true
	unfolded "$T/folded" >"$T/boards"
	grep -qF ": $makes" "$T/boards" || fail "$kind: $makes is not in $(cat "$T/boards")"
	bash -ec "$makes" >"$T/made" 2>&1 || fail "$makes: $(cat "$T/made")"
	is "$kind: served from elsewhere" "$(cat "$MNT/download/config.txt")" 'unpacked, and served'
	rm "$SRC/download.img" "$SRC/d$kind" "$T/download"
done
# Before anybody asked for it, a listing is enough to know; text is no archive, whatever its name.
pack qcow2 "$SRC/pi.img"
echo text >"$SRC/text.img.xz"
ls -l "$MNT" >/dev/null
status >"$T/status"
grep -qE "^  pi: .*it is a qcow2 image, and not raw: mv -i $SRC/pi.img $SRC/pi.img.qcow2 && qemu-img convert -O raw $SRC/pi.img.qcow2 $SRC/pi.img" "$T/status" ||
	fail "$(cat "$T/status")"
! grep -F 'text.img.xz: is' "$T/status" || fail "by its name only"
ctl status pi | grep -q 'problem: it is a qcow2 image, and not raw' || fail "$(ctl status pi)"
# A SOURCE that was given as it is seen from here is found from everywhere.
unmount_imagefs
cp raw.img "$SRC/jammy.img"
mount_imagefs src mnt
is "whole" "$(cd / && ctl ls jammy)" "$(ctl ls "$SRC/jammy.img")"
(cd / && ctl diff jammy jammy)
grep -qF "mv -i $SRC/pi.img $SRC/pi.img.qcow2" <(ls -l mnt >/dev/null && status) || fail "$(status)"
# One image alone (N5) is refused at once.
unmount_imagefs
refuses 'pi.img: it is a qcow2 image, and not raw' "$IMAGEFS" "$SRC/pi.img" "$MNT"
