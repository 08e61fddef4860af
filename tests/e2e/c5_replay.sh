#!/bin/bash
# C5: the five ways in which boards replace a kernel, recorded from a guest's own kernel and
# replayed through servers that report, with pauses shorter than the settle time: while the
# writes are going on nothing but the old kernel, the new one, or an error is fetched, and
# what was open before is read to its end.
# usage: c5_replay.sh [SERVER...]     (nbd-server nbdkit-delay nbdkit-filter)
#   GUEST: what make-guest made; ROUNDS=n, SECONDS_EACH=s, SEED=n: see guest_replay_reported.py
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../reports.sh"
requires root netns qemu-system-x86_64 nbd-server cpio
GUEST=${GUEST:-$TOP/build/guest}
[ -s "$GUEST/initrd" ] || skip "no guest: tests/guest/make-guest $GUEST"
servers=("$@")
if [ $# = 0 ]; then
	servers=(nbd-server)
	[ ! -e "$FILTER" ] || servers+=(nbdkit-delay nbdkit-filter)
fi
mkdir "$T/exports"
"$PYTHON" "$HERE/guest/guest_replay.py" "$GUEST" 0 "$T/exports" - -
{
	printf '[generic]\nport = 10809\nallowlist = true\nuser = root\ngroup = root\n'
	for n in 0 1 2 3 4; do
		printf '[%d]\nexportname = %s\ntransactionlog = %s\ndatalog = true\n' $n "$T/exports/$n.img" "$T/exports/$n.log"
	done
} >"$T/recorder.conf"
nbd-server -C "$T/recorder.conf" -p "$T/recorder.pid" 2>"$T/recorder.log"
wait_until 10 test -s "$T/recorder.pid"
PIDS+=("$(cat "$T/recorder.pid")")
for server in "${servers[@]}"; do cp --sparse=always "$T/exports/start" "$SRC/$server.img"; done
mount_reported "settle=${SETTLE:-200}"
words=()
for server in "${servers[@]}"; do
	start_reporting "$server" "$SRC/$server.img"
	words+=("$server=$URI")
done
"$PYTHON" "$HERE/guest/guest_replay_reported.py" "$GUEST" 10809 "$T/exports" "$MNT" "${words[@]}"
