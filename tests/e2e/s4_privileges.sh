#!/bin/bash
# S4: mounted, the daemon has DAC_READ_SEARCH, in every thread, and can get
# SYS_ADMIN for the unmount and nothing else, whatever it runs; and with that everything
# works: images of others that come and are replaced, devices, exact reports, both ends.
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

pid=$(daemon_pid)
is "threads" "$(($(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l) > 2))" 1
for thread in "/proc/$pid/task"/*; do
	status=$(cat "$thread/status") || continue
	field() { awk -v name="$1:" '$1 == name { print $2 }' <<<"$status"; }
	is "effective" "$(field CapEff)" 0000000000000004 # CAP_DAC_READ_SEARCH 2
	is "permitted" "$(field CapPrm)" 0000000000200004 # CAP_SYS_ADMIN 21
	is "bounding" "$(field CapBnd)" 0000000000200004
	is "inheritable" "$(field CapInh)" 0000000000000000
	is "no_new_privs" "$(field NoNewPrivs)" 1
done

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

# What another user's server reports is believed, where the kernel does not tell.
unmount_imagefs
CHANGES=events
mount_reported
pid=$(daemon_pid)
chmod 777 "$T"
setpriv --reuid 12345 --regid 12345 --clear-groups nbdkit -U "$T/nbdkit.sock" -P "$T/nbdkit.pid" \
	--filter="$FILTER" file "$SRC/first.img" imagefs="$CONTROL/first"
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
