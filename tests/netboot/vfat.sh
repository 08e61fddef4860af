#!/bin/bash
# N4, N6, C2, S1: what imagefs shows is what the kernel's own vfat shows, on every image that
# the tests know: good ones, odd ones, broken ones. See vfat.py, and README for what differs.
# usage: vfat.sh [MUTANTS]      SEED=n of the mutants; ALL=yes prints every disagreement
. "$(dirname "$0")/../lib.sh"
requires root netns fuse qemu-system-x86_64 cpio
[ -s "${GUEST:=$TOP/build/tests/e2e/guest}/modules" ] || skip "needs the guest, see tests/guest/make-guest"
: "${LISTER:=$TOP/build/tests/netboot/lister}"

# The images of the end-to-end tests, as they are when those would mount them.
collect() { # collect SUFFIX SCRIPT [arguments]
	local suffix=$1 script=$2
	shift 2
	ZOO=$SRC ZOO_SUFFIX=$suffix bash "$HERE/e2e/$script.sh" "$@" >"$T/zoo.log" 2>&1 ||
		fail "$script: $(tail -n1 "$T/zoo.log")"
}
for script in n3_second_fat_partition n4_tables n6_forged_names n6_spellings e_broken_images; do
	collect '' $script
done
for tree in '12 12 16 1' '12 6 4 2' '16 24 4 1' '16 200 64 2' '32 40 1 1' '32 300 8 2'; do
	# shellcheck disable=SC2086 # four words
	collect "-${tree// /-}" n6_random_tree $tree
done
"$TOP/tools/make-pi-image" --small --size 64 "$SRC/pi.img"
"$PYTHON" "$HERE/netboot/zoo.py" "$SRC" "$HERE/fuzz/corpus" --mutants "${1:-80}" --seed "${SEED:-1}"
mount_imagefs -o control=none "$SRC" "$MNT"
"$PYTHON" "$HERE/netboot/vfat.py" "$GUEST" "$T" "$SRC" "$MNT" "$LISTER" "$HERE/netboot/vfat-differences" ${ALL:+--all}
