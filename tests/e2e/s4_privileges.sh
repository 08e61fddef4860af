#!/bin/bash
# S4: mounted, the daemon has no capability, in any thread, and cannot get one, whatever it
# runs; the process that opens for it has two. With -o run_as= it is another user, whom SOURCE
# need not be open to. And with that everything works: images of others that come and are
# replaced, links out of SOURCE, devices, exact reports, both ends.
. "$(dirname "$0")/../lib.sh"
CHANGES= # the kernel tells, where it can
. "$HERE/reports.sh"
requires root netns nbdkit
[ -e "$FILTER" ] || skip "needs our nbdkit filter, which needs nbdkit-plugin-dev"
secret() { chown 12345:12345 "$1" && chmod 600 "$1"; }
board "$SRC/first.img" first
secret "$SRC/first.img"
board "$T/disk" disk
loop_device disk "$T/disk"
ln -s "$disk" "$SRC/disk.img"
mount_reported

field() { awk -v name="$1:" '$1 == name { print $2 }' <<<"$status"; }
# expect_capabilities PROCESS SET USER: of each thread.
expect_capabilities() {
	local thread status
	for thread in "/proc/$1/task"/*; do
		status=$(cat "$thread/status") || continue
		is "effective" "$(field CapEff)" "$2"
		is "permitted" "$(field CapPrm)" "$2"
		is "bounding" "$(field CapBnd)" "$2"
		is "inheritable" "$(field CapInh)" 0000000000000000
		is "no_new_privs" "$(field NoNewPrivs)" 1
		is "user" "$(awk '$1 == "Uid:" { print $2, $3, $4, $5 }' <<<"$status")" "$3 $3 $3 $3"
	done
}
expect_privileges() { # expect_privileges USER
	pid=$(daemon_pid)
	is "threads" "$(($(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l) > 2))" 1
	expect_capabilities "$pid" 0000000000000000 "$1"
	opener=$(awk -v pid="$pid" '{ sub(/.*\) /, "") } $2 == pid { print FILENAME }' /proc/[0-9]*/stat 2>/dev/null | tr -dc 0-9)
	is "who opens" "$(tr -d '\0' <"/proc/$opener/cmdline")" imagefs-opener
	expect_capabilities "$opener" 0000000000200004 0 # CAP_DAC_READ_SEARCH 2, CAP_SYS_ADMIN 21
}
expect_privileges 0
unfolded "$CONTROL/status" | grep '^privileges: no capabilities, .*; without: .*a user of its own' >/dev/null || fail "$(grep ^privileges "$CONTROL/status")"

see_it_work() {
	is "somebody else's" "$(cat "$MNT/first/config.txt")" first
	is "a device" "$(cat "$MNT/disk/config.txt")" disk
	put changed "$SRC/first.img" /config.txt
	is "changed" "$(cat "$MNT/first/config.txt")" changed
	board "$T/new.img" replaced
	secret "$T/new.img"
	mv "$T/new.img" "$SRC/first.img"
	is "replaced" "$(cat "$MNT/first/config.txt")" replaced
	board "$T/new.img" new
	secret "$T/new.img"
	mv "$T/new.img" "$SRC/new.img"
	is "new" "$(cat "$MNT/new/config.txt")" new
	[ "$(cat /sys/class/bdi/0:"$(stat -c %d "$MNT")"/read_ahead_kb)" = 8192 ] || fail "readahead"
	# More than memory may hold goes to /var/tmp.
	dd if=/dev/urandom of="$T/large" bs=1M count=2 status=none
	put @"$T/large" "$SRC/new.img" /large
	cmp "$MNT/new/large" "$T/large"
}
see_it_work
unmount_imagefs

# Another user, who may look up nothing in SOURCE, nor where a link leads, nor the mountpoint.
rm "$SRC/new.img"
mkdir "$T/closed"
board "$T/closed/far.img" far
secret "$T/closed/far.img"
ln -s "$T/closed/far.img" "$SRC/far.img"
ln -s first.img "$SRC/89025d75"
ln -s ../src/first.img "$SRC/dotted"
ln -s first/config.txt "$SRC/config.txt"
ln -s "$MNT/first/config.txt" "$SRC/absolute.txt" # the daemon would wait for itself
chmod 700 "$T/closed" "$SRC" "$T"
put first "$SRC/first.img" /config.txt
mount_imagefs -o run_as=daemon "$SRC" "$MNT"
expect_privileges "$(id -u daemon)"
grep -q "^privileges: user $(id -u daemon), no capabilities" "$CONTROL/status" || fail "$(grep ^privileges "$CONTROL/status")"
see_it_work
is "names" "$(cd "$MNT" && echo *)" "89025d75 absolute.txt config.txt disk dotted far first new"
is "behind a link" "$(cat "$MNT/far/config.txt")" far
is "a board" "$(readlink "$MNT/89025d75")" first
is "a board, by another path" "$(readlink "$MNT/dotted")" first
is "a link into the mount" "$(cat "$MNT/absolute.txt")" replaced
is "a mirrored link" "$(cat "$MNT/config.txt")" replaced
unmount_imagefs
mount_imagefs -o run_as=daemon "$SRC/first.img" "$MNT"
is "one image" "$(cat "$MNT/config.txt")" replaced
unmount_imagefs
chmod 755 "$SRC" "$T"

# What another user's server reports is believed, where the kernel does not tell.
CHANGES=events
mount_reported
pid=$(daemon_pid)
chmod 777 "$T"
cp "$FILTER" "$T" # ours may be in a home
setpriv --reuid 12345 --regid 12345 --clear-groups nbdkit -U "$T/nbdkit.sock" -P "$T/nbdkit.pid" \
	--filter="$T/${FILTER##*/}" file "$SRC/first.img" imagefs="$CONTROL/first"
wait_until 10 test -s "$T/nbdkit.pid"
PIDS+=("$(cat "$T/nbdkit.pid")")
URI="nbd+unix:///?socket=$T/nbdkit.sock"
"$PYTHON" "$TOOLS/reported.py" "$CONTROL/status.json" first text "$URI"

kill -TERM "$pid"
wait_until 10 gone "$pid"
not_mounted || fail "still mounted"
not_mounted "$CONTROL" || fail "control files are still mounted"
[ ! -e "$CONTROL" ] || fail "$CONTROL stays"
# umount ends both, too; and a dead mount is taken over.
mount_imagefs
umount "$MNT"
no_control() { not_mounted "$CONTROL" && [ ! -e "$CONTROL" ]; }
wait_until 10 no_control
mount_imagefs
kill -KILL "$(daemon_pid)"
mount_imagefs
is "after a crash" "$(cat "$MNT/new/config.txt")" new
