#!/bin/bash
# P, S1, S2: whatever a reporter does with its ledger, or offers as one: the daemon goes on,
# nobody waits for another image's reporter, and what is read is what is there.
# usage: p_hostile_ledger.sh [SECONDS]: for each attack
. "$(dirname "$0")/../lib.sh"
requires root netns
for name in jammy focal; do board "$SRC/$name.img" text; done
mount_imagefs
read_both() { cat "$MNT/jammy/config.txt" "$MNT/focal/config.txt"; }
is "the mount" "$(read_both)" texttext
exec 7<"$MNT/jammy/config.txt"
pid=$(daemon_pid)

"$PYTHON" "$TOOLS/hostile_ledger.py" "$CONTROL/jammy" - 1 noise &
attacker=$!
while kill -0 "$attacker" 2>/dev/null; do
	is "the mount, while jammy is attacked" "$(read_both)" texttext
done
wait "$attacker"
"$PYTHON" "$TOOLS/hostile_ledger.py" "$CONTROL/jammy" "$CONTROL/focal" "${1:-1}"

none_left() { ! grep -q '^reporter: ' "$CONTROL/jammy"; }
wait_until 20 none_left
grep -q ' 0 in flight' "$CONTROL/jammy" || fail "$(cat "$CONTROL/jammy")"
is "the mount" "$(read_both)" texttext
is "the daemon" "$(daemon_pid)" "$pid"
is "ledgers that are still shared" "$(grep -c 'memfd:ledger' "/proc/$pid/maps" || true)" 0
is "descriptors of strangers" "$(find "/proc/$pid/fd" -lname '*memfd:ledger*' | wc -l)" 0
kib=$(awk '/VmRSS/ { print $2 }' "/proc/$pid/status")
# Sanitizers have a price of their own.
grep -q 'lib[at]san' "/proc/$pid/maps" || [ "$kib" -lt 65536 ] || fail "$kib KiB resident"
