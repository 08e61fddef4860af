#!/bin/bash
# C4: an open of a file three directories deep, by a board's link, of an image at rest, costs
# the daemon a known number of system calls: an answer and a question for each request of the
# kernel, and two looks beside. No name is looked up, nothing is opened or read, and nobody
# else is asked. A count, and no time.
. "$(dirname "$0")/../lib.sh"
requires root netns strace
[[ " ext2/ext3 xfs btrfs tmpfs " == *" $(stat -f -c %T "$SRC") "* ]] || skip "on $(stat -f -c %T "$SRC") names are looked up each time"
export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 # which cannot be had under strace
board "$SRC/image.img"
mmd -i "$SRC/image.img@@1M" ::a ::a/b ::a/b/c
put file "$SRC/image.img" /a/b/c/f
ln -s image.img "$SRC/serial"
mount_imagefs
pid=$(daemon_pid)

# The opens are one process's, which is known by name for two seconds; others' requests would be counted, too.
opens() { "$TIMED" open "$MNT/serial/a/b/c/f" "$1" >/dev/null; }
count() { # count CALL...: in $T/calls
	awk -v calls=" $* " '$NF ~ /^[a-z]/ && index(calls, " " $NF " ") { sum += $4 } END { print sum + 0 }' "$T/calls"
}
traced() {
	strace -f -qq -c -o "$T/calls" -p "$pid" 2>"$T/strace.log" &
	local tracer=$!
	wait_until 10 eval "grep -q '^TracerPid:[[:space:]]*[1-9]' /proc/$pid/status"
	opens 200
	kill -INT $tracer
	wait $tracer || true
	total=$(awk '$NF == "total" { print $4 }' "$T/calls")
}
# Not before the image has been at rest for the time that its ctime may be ahead of its data.
wait_until 20 eval 'traced; [ "$(count preadv2 pread64)" -lt 10 ]'
echo "$((total / 200)) system calls for an open, a read and a close"
# Eight requests, each read and answered: 16; the link's text is in the kernel. One look at the queues for each but the close, and a
# second one at the open, behind the guard; a look at the image for each of the five in it, and that second one; and its
# name's: 31. Where an open takes longer than attributes last, the root's are asked for, too: three more.
[ "$total" -le $((200 * 35)) ] || { cat "$T/calls"; fail "$total system calls for 200 opens"; }
[ "$(count openat newfstatat fstatat64 readlinkat tgkill getpid)" -le $((200 * 3)) ] || { cat "$T/calls"; fail "names are looked up"; }
[ "$(count sendmsg recvmsg futex)" -le 100 ] || { cat "$T/calls"; fail "others are asked, or woken"; }
