#!/bin/bash
# R, S1, S2: pages that no honest server says, as NAME@writes: random bytes, another instance each time, everything in
# flight for ever, or written all the time, totals that go back, a page that fails or hangs. The image is served, or
# refused in time; its neighbour is not touched by any of them, and a true one is believed.
. "$(dirname "$0")/../lib.sh"
requires netns
board "$SRC/good.img" good
board "$T/far.img" far
"$PYTHON" "$TOOLS/hostile_nbd.py" "$T/sock" "$T/far.img" 2>"$T/server.log" &
PIDS+=($!)
wait_until 10 test -S "$T/sock"
read -r -a ways <<<"$("$PYTHON" "$TOOLS/hostile_nbd.py" | tail -n1)"
[ ${#ways[@]} -gt 8 ] || fail "no ways to lie"
for way in "${ways[@]}"; do ln -s "nbd+unix:///$way?socket=$T/sock" "$SRC/$way.img"; done
mount_imagefs
pid=$(daemon_pid)
for _ in 1 2 3; do
	for way in "${ways[@]}"; do
		got=$(timeout 10 cat "$MNT/$way/config.txt" 2>"$T/said") || [ $? != 124 ] || fail "$way hangs"
		[ "$got" = far ] || { [ -z "$got" ] && grep -q 'Input/output error' "$T/said"; } || fail "$way: '$got' $(cat "$T/said")"
		is "the neighbour of $way" "$(cat "$MNT/good/config.txt")" good
	done
done
for way in "${ways[@]}"; do
	case $way in
	page-busy | page-back) : ;; # written all the time, as it says
	page-in-flight) timeout 10 cat "$MNT/$way/config.txt" 2>/dev/null && fail "$way: served while it is being written" || : ;;
	*) wait_until 20 grep -qx far "$MNT/$way/config.txt" ;;
	esac
done
says() { grep -q "^changes: $2" "$CONTROL/$1"; }
wait_until 10 says page-true "told by NAME@writes"
for way in page-random page-moving page-version page-slots page-error page-short page-zero; do says $way "by nothing" || fail "$(cat "$CONTROL/$way")"; done
kill -0 "$pid" || fail "the daemon is gone"
