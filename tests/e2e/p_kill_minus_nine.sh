#!/bin/bash
# P: whatever is killed at whatever moment, the daemon or a server that reports to it: no
# I/O of a client fails or hangs, new clients connect, and what is read afterwards is the
# newest version, whole.
# usage: p_kill_minus_nine.sh nbd-server|nbdkit-filter [KILLS]     SEED=n
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../reports.sh"
server=$1
requires root netns fuse
[ "$server" != nbdkit-filter ] || [ -e "$FILTER" ] || skip "needs our nbdkit filter, which needs nbdkit-plugin-dev"
truncate -s 11M "$SRC/board.img"
printf 'label: dos\nstart=2048, size=16384, type=c\nstart=18432, type=83\n' | sfdisk -q "$SRC/board.img"
make_fat "$SRC/board.img" 2048 8192 12 -s 8
head -c 262144 /dev/zero >"$T/kernel"
put "@$T/kernel" "$SRC/board.img" /kernel8.img
mkdir "$T/control"
IMAGEFS=$IMAGEFS FILTER=$FILTER "$PYTHON" "$TOOLS/kill_nine.py" "$server" "${2:-12}" "$T" $((9 << 20)) "${SEED:-1}"
