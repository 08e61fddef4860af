#!/bin/bash
# N6, C2: a random tree of names of all kinds and sizes around cluster bounds, with its
# files in fragments, reads through the mount as mtools reads it.
# usage: n6_random_tree.sh FATBITS MIB CLUSTER_SECTORS SEED
. "$(dirname "$0")/../lib.sh"
bits=$1 mib=$2 sectors=$3 seed=$4
cluster=$((sectors * 512))
budget=$((mib * 400000 < 9000 * cluster ? mib * 400000 : 9000 * cluster))
make_image "$SRC/tree.img" "$mib" "$bits" -s "$sectors"
fat=$SRC/tree.img@@1M

# Fill, then free every second cluster: what comes now lies in fragments.
mkdir "$T/filler" "$T/tree"
for ((i = 0; i < 400; i++)); do head -c $((cluster * (i % 3 + 1))) /dev/zero >"$T/filler/$i"; done
mmd -i "$fat" ::filler
mcopy -Q -i "$fat" "$T"/filler/* ::/filler/
mdel -i "$fat" '::/filler/*[13579]'
"$PYTHON" "$TOOLS/mktree.py" "$bits-$seed" "$T/tree" "$cluster" "$budget"
shopt -s dotglob
mcopy -s -m -Q -i "$fat" "$T"/tree/* ::/
mdel -i "$fat" '::/filler/*' && mrd -i "$fat" ::filler
extract "$fat" "$T/want"
[ "$(find "$T/want" -type f | wc -l)" -gt 100 ] || fail "too few files to mean anything"

mount_imagefs
same_tree "$T/want" "$MNT/tree"
same_bytes "$T/tree" "$MNT/tree" # and what was put in
