#!/bin/bash
# C1, C2: r_clones_writes.sh xfs|btrfs: boards that share blocks, each written in its own way (through the page cache,
# by O_DIRECT, by nbdkit), replaced, punched, deduplicated, their template deleted: each shows its own bytes at once and
# later, cold, and those of no other; and what they do share is read from each other (it would prove nothing else).
. "$(dirname "$0")/../lib.sh"
BOARDS=64
ROUNDS=${ROUNDS:-8}
requires nbdkit
"$PYTHON" -c 'import nbd' 2>/dev/null || skip "no libnbd for python"

reflink_storage disk "$1"
make_image "$SRC/template.img" 8 12 -s 8 -R 8
head -c 1M /dev/urandom >"$T/file"
put "@$T/file" "$SRC/template.img" /kernel8.img
for ((i = 1; i <= BOARDS; i++)); do cp --reflink=always "$SRC/template.img" "$SRC/board$i.img"; done
mount_imagefs
start_nbdkit "$SRC/board7.img"
"$PYTHON" "$TOOLS/clones.py" "$SRC" "$MNT" kernel8.img "$ROUNDS" "$URI" board7
read_for_others=$("$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["clone_bytes"])' <"$CONTROL/status.json")
echo "$NAME: bytes that were read in another image's pages: $read_for_others"
[ "$read_for_others" -gt $((ROUNDS * 10 << 20)) ] || fail "what the boards share was not read from each other: $read_for_others bytes"
