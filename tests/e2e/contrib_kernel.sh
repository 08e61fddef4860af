#!/bin/bash
# contrib/lio and contrib/storage: what needs modules that this machine's kernel may not have,
# in a guest with Debian's: LIO over a file and over a logical volume, LVM.
# usage: TARGETS=directory contrib_kernel.sh     (that of targets_fixture.sh)
. "$(dirname "$0")/../lib.sh"
requires root netns qemu-system-x86_64 cpio mkfs.ext4
[ -e "${TARGETS:-}/tree" ] || skip "needs TARGETS, which targets_fixture.sh makes"
mkdir -p "$T/imagefs/bin" "$T/disk/images" "$T/disk/boot"
board "$T/disk/images/jammy.img" jammy
for program in "$IMAGEFS" "$(dirname "$IMAGEFS")/imagefsctl"; do
	cp "$program" "$T/imagefs/bin/"
	ldd "$program" | awk '{ for (i = 1; i <= NF; i++) if ($i ~ /^\//) print $i }' |
		while read -r library; do cp -L --parents "$library" "$T/imagefs"; done
done
truncate -s 64M "$T/disk.ext4" && mkfs.ext4 -q -d "$T/disk" "$T/disk.ext4"
truncate -s 64M "$T/blank"
for page in storage lio; do "$PYTHON" "$TOOLS/blocks.py" "$TOP/contrib/$page/README.md" >"$T/$page"; done
mkdir "$T/scratch"
"$PYTHON" "$HERE/guest/guest_targets.py" "$TARGETS/guest" "$TARGETS/tree" "$T/imagefs" "$T/disk.ext4" "$T/blank" \
	"$T/storage" "$T/lio" "$T/scratch"
