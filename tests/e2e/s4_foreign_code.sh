#!/bin/bash
# S4: code that somebody got into the daemon can neither write a file, execute, connect,
# trace or signal another process nor mount, nor do so through io_uring; and with the filter
# that says so everything works: images come and go, links are rewritten, more is kept than
# memory may hold, and both ends are clean.
. "$(dirname "$0")/../lib.sh"
requires root netns
FOREIGN=$(dirname "$TIMED")/foreign.so
[ -e "$FOREIGN" ] || skip "needs liburing, and no sanitizer"
mkdir -m 777 "$T/open" "$T/mine"
echo old | tee "$T/open/old" >"$T/mine/old"
board "$SRC/a.img" first
board "$T/elsewhere.img" elsewhere
ln -s a.img "$SRC/89025d75"
ln -s "$T/elsewhere.img" "$SRC/b.img"
if command -v nbdkit >/dev/null; then
	board "$T/remote.img" remote
	start_nbdkit "$T/remote.img"
	ln -s "$URI" "$SRC/c"
fi
socket=$T/open/socket
ln -s "$socket" "$T/mine/socket"
"$PYTHON" -c 'import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(8); time.sleep(300)' "$socket" &
PIDS+=($!)
export FOREIGN_DIR=$T/open FOREIGN_IMAGE=$SRC/a.img
# victim USER: what it may send signals to, and trace, as far as it depends on the user.
victim() {
	setpriv --reuid "$1" --regid "$1" --clear-groups sleep 300 &
	FOREIGN_VICTIM=$!
	PIDS+=("$FOREIGN_VICTIM")
	export FOREIGN_VICTIM
}
victim root
wait_until 10 test -S "$socket"

# In a process that nothing confines they are possible: else it says nothing that they are refused.
cp "$SRC/a.img" "$T/copy.img"
FOREIGN_REPORT=$T/free FOREIGN_DIR=$T/mine FOREIGN_IMAGE=$T/copy.img LD_PRELOAD=$FOREIGN sleep 300 &
free=$!
PIDS+=("$free")
wait_until 10 test -e "$T/free"
wait_until 10 grep -q '^SigCgt:.*8..$' "/proc/$free/status"
kill -USR2 "$free"
wait_until 10 grep -q '^fork' "$T/free"
for name in read_shadow read_outside write_image create mkdir symlink link truncate rename unlink make_ring \
	socket_internet connect kill tgkill owner ptrace mount umount unshare map_executable fork; do
	grep -qx "$name DONE" "$T/free" || fail "in a free process: $(grep "^$name " "$T/free" || echo "$name is not tried")"
done

# attack USER: the daemon as that one.
attack() {
	FOREIGN_REPORT=$T/report.$1 LD_PRELOAD=$FOREIGN "$IMAGEFS" -f -o "run_as=$1" "$SRC" "$MNT" 2>"$T/imagefs.log" &
	pid=$!
	wait_until 10 is_mounted
	wait_until 10 test -e "$MNT/a/config.txt"
	if unfolded "$CONTROL/status" | grep 'built without libseccomp' >/dev/null; then skip "built without libseccomp"; fi
	# All of it by a large read, which goes through a ring.
	dd if=/dev/urandom of="$T/large" bs=1M count=2 status=none
	put @"$T/large" "$SRC/a.img" /large
	cmp "$MNT/a/large" "$T/large"

	sum=$(sha256sum <"$SRC/a.img")
	kill -USR2 "$pid"
	wait_until 10 grep -q ^end "$T/report.$1"
	if grep -vE ' refused |^end DONE$' "$T/report.$1"; then fail "not refused"; fi
	[ "$(wc -l <"$T/report.$1")" -gt 70 ] || fail "only $(wc -l <"$T/report.$1") attempts"
	grep -q '^ring_open ' "$T/report.$1" || echo "no io_uring here"
	is "files made" "$(ls -A "$T/open")" "$(printf 'old\nsocket')"
	is "the image" "$(sha256sum <"$SRC/a.img")" "$sum"
	kill -0 "$FOREIGN_VICTIM" || fail "the victim is dead"

	# And it works.
	is "an image" "$(cat "$MNT/89025d75/config.txt")" first
	is "elsewhere" "$(cat "$MNT/b/config.txt")" elsewhere
	[ ! -L "$SRC/c" ] || wait_until 10 grep -qx remote "$MNT/c/config.txt"
	put changed "$SRC/a.img" /config.txt
	is "changed" "$(cat "$MNT/a/config.txt")" changed
	board "$SRC/new.img" new
	ln -sfn new.img "$SRC/89025d75"
	is "switched" "$(cat "$MNT/89025d75/config.txt")" new
	board "$T/new.img" replaced
	mv "$T/new.img" "$SRC/new.img"
	is "replaced" "$(cat "$MNT/89025d75/config.txt")" replaced
	rm "$SRC/new.img"
	refuses ENOENT cat "$MNT/new/config.txt"
	is "names" "$(cd "$MNT" && find . -mindepth 1 -maxdepth 1 ! -name c | sort | xargs)" "./89025d75 ./a ./b"
	kill -TERM "$pid"
	wait "$pid" || fail "exit $?"
	not_mounted || fail "still mounted"
	not_mounted "$CONTROL" || fail "control files are still mounted"
	[ ! -e "$CONTROL" ] || fail "$CONTROL stays"
}
attack root

victim daemon
ln -sfn a.img "$SRC/89025d75"
put first "$SRC/a.img" /config.txt
attack daemon
