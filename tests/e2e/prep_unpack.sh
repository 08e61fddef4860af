#!/bin/bash
# imagefs-prep unpacks what distributions publish, checks its sum on the way, and says in a line what is wrong; damaged,
# cut off or not what was meant leaves nothing.
. "$(dirname "$0")/../lib.sh"
PREP=$(dirname "$IMAGEFS")/imagefs-prep
[ -x "$PREP" ] || fail "$PREP is not built"
requires xz zstd gzip bzip2 zip script sfdisk mkfs.fat mcopy
mkdir "$T/disk"
cd "$T/disk"
[ "$(id -u)" != 0 ] || mount -t tmpfs -o size=1G tmpfs . # nothing here is about disks, and they are slow
cd "$PWD"
prep() { "$PREP" "$@" >steps 2>said || { cat said; return 1; }; }
# says TEXT ARGUMENTS...: it fails, with that in its only line, and leaves no file.
says() {
	local want=$1 status=0 before
	shift
	before=$(ls -A)
	"$PREP" -q "$@" >steps 2>said || status=$?
	is "imagefs-prep $*: exit status ($(cat said))" $status 1
	is "imagefs-prep $*: lines" "$(grep -c . said)" 1
	grep -qF -- "$want" said || fail "imagefs-prep $*: does not say '$want': $(cat said)"
	is "imagefs-prep $*: files" "$(ls -A)" "$before"
}
touch steps said

# An image with holes, noise and text.
make_image jammy.img 12 12
head -c 1000000 /dev/urandom >noise
put @noise jammy.img /kernel8.img
put 'arm_64bit=1' jammy.img /config.txt
xz -1 -k jammy.img
zstd -q -k jammy.img
gzip -1 -k jammy.img
bzip2 -1 -k jammy.img
zip -q -1 jammy.zip jammy.img
zip -q stream.zip - <jammy.img
printf '@ -\n@=jammy.img\n' | zipnote -w stream.zip
echo read me >README
zip -q both.zip README jammy.img README
cp jammy.img noble.img
zip -q two.zip jammy.img noble.img
zip -q none.zip README
for archive in jammy.img.{xz,zst,gz,bz2} jammy.zip both.zip stream.zip; do
	prep "$archive" "out-$archive.img"
	cmp jammy.img "out-$archive.img" || fail "$archive: other bytes"
	blocks=$(stat -c %b "out-$archive.img")
	[ "$blocks" -lt 4000 ] || fail "$archive: $blocks blocks: not sparse"
	is "$archive: mode" "$(stat -c %a "out-$archive.img")" 644
	grep -q "^unpack $archive (.*) to out-" steps || fail "$archive: says $(cat steps)"
done
# By its content, not its name; several members and frames; from a pipe; to its own name.
cp jammy.img.xz odd
prep odd a.img
cmp jammy.img a.img
for kind in xz zst gz; do
	head -c 7000000 jammy.img | case $kind in xz) xz -1 ;; zst) zstd -q ;; gz) gzip -1 ;; esac >two.img.$kind
	tail -c +7000001 jammy.img | case $kind in xz) xz -1 ;; zst) zstd -q ;; gz) gzip -1 ;; esac >>two.img.$kind
	prep -f two.img.$kind a.img && cmp jammy.img a.img || fail "two members: $kind"
	cat jammy.img.$kind | prep -f - a.img && cmp jammy.img a.img || fail "a pipe: $kind"
done
cat jammy.img | prep -f - a.img
cmp jammy.img a.img
mkdir own
cp jammy.img.xz jammy.zip own/
prep own/jammy.img.xz
cmp jammy.img own/jammy.img
says 'is there already' own/jammy.img.xz
says 'is there already' own/jammy.zip
cmp jammy.img own/jammy.img

# Sums: of what was downloaded.
sum=$(sha256sum <jammy.img.xz | cut -d' ' -f1)
sha256sum noble.img jammy.img.xz jammy.zip >SHA256SUMS
sha256sum --tag jammy.img.xz >TAGGED
echo "$sum" >alone
sha256sum noble.img >other
for given in "$sum" "${sum^^}" SHA256SUMS TAGGED alone; do
	rm -f b.img
	prep --sha256 "$given" jammy.img.xz b.img
	cmp jammy.img b.img
done
grep -qx "check its SHA-256: $sum" steps || fail "does not say the sum: $(cat steps)"
rm b.img
wrong=${sum//[0-4]/5}
for archive in jammy.img.{xz,zst,gz} jammy.zip jammy.img; do says 'SHA-256 is' --sha256 "$wrong" "$archive" b.img; done
says 'has no SHA-256 of' --sha256 other jammy.img.xz b.img
says 'is no SHA-256' --sha256 nothing jammy.img.xz b.img
prep --sha256 "$(sha256sum <jammy.img | cut -d' ' -f1)" jammy.img b.img
cmp jammy.img b.img
rm b.img
cat jammy.img.zst | prep --sha256 "$(sha256sum <jammy.img.zst | cut -d' ' -f1)" - b.img
cmp jammy.img b.img
rm b.img

# Damage.
for archive in jammy.img.{xz,zst,gz,bz2} jammy.zip; do
	size=$(stat -c %s "$archive")
	head -c $((size - 9)) "$archive" >cut
	[ $archive = jammy.zip ] || says 'is damaged, or was not downloaded to its end' cut b.img # a zip ends in a list that nobody needs
	head -c $((size / 2)) "$archive" >cut
	says 'is damaged' cut b.img
	# A byte of the noise, which compresses to itself.
	cp "$archive" bad
	printf X | dd of=bad bs=1 seek=$((size / 2)) conv=notrunc status=none
	cmp -s bad "$archive" && printf Y | dd of=bad bs=1 seek=$((size / 2)) conv=notrunc status=none
	says 'is damaged' bad b.img
	says 'SHA-256 is' --sha256 "$(sha256sum <"$archive" | cut -d' ' -f1)" bad b.img
done
says 'more than one image' two.zip b.img
says 'no image' none.zip b.img
says 'No such file' nothing.img.xz b.img
says 'neither a regular file' own b.img
says "own: is a directory: give the image's file in it, as " jammy.img.xz own
says 'No such file' jammy.img.xz nowhere/b.img
printf 'QFI\xfb\0\0\0\3' >vm.img
says 'qemu-img convert' vm.img b.img

# The bar: on a terminal, and not elsewhere.
script -qec "'$PREP' jammy.img.xz bar.img" /dev/null >tty </dev/null
grep -q 'jammy.img.xz .* %  \[.*B/s .* left' tty || fail "no bar on a terminal: $(cat -v tty)"
grep -q $'unpack .*\r' tty || fail "the step is missing: $(cat -v tty)"
prep jammy.img.xz bar2.img
[ ! -s said ] || fail "no terminal, and yet: $(cat -v said)"
