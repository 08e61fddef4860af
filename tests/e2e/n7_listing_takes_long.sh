#!/bin/bash
# N7: where each name takes its time (slow storage, a hundred thousand of them) a listing takes long, and is whole: no EIO, and
# nothing left out. A look at each link is so slow that all of them take more than any other request is given.
. "$(dirname "$0")/../lib.sh"
requires root netns strace sfdisk
export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 # which cannot be had under strace

# slowly CALL MILLISECONDS PID COMMAND...: while each such call of that process takes that long.
slowly() {
	local call=$1 ms=$2 pid=$3 strace
	shift 3
	: >"$T/strace.log"
	strace -f -qq -o /dev/null -e "trace=$call" -e "inject=$call:delay_enter=${ms}ms" -p "$pid" 2>"$T/strace.log" &
	strace=$!
	PIDS+=("$strace")
	wait_until 10 grep -q "^TracerPid:[[:space:]]*$strace$" "/proc/$pid/status"
	"$@"
	kill $strace
	wait $strace || true
}

# Two FATs each, so that there are names which only the images tell (N3).
truncate -s 4M "$T/two.img"
printf 'label: dos\nstart=2048,size=2048,type=c\nstart=4096,size=2048,type=c\n' | sfdisk -q "$T/two.img"
make_fat "$T/two.img" 2048 1024 12
make_fat "$T/two.img" 4096 1024 12
for ((n = 100; n < 120; n++)); do cp --sparse=always "$T/two.img" "$SRC/$n.img"; done
for ((n = 1000; n < 2300; n++)); do ln -s "$((100 + n % 20)).img" "$SRC/b$n"; done
{
	for ((n = 100; n < 120; n++)); do printf '%s\n' $n $n:1 $n:2; done
	for ((n = 1000; n < 2300; n++)); do echo b$n; done
} >"$T/want"
list() { ls "$MNT" >"$T/got"; }
lists_all() { cmp "$T/want" "$T/got" || fail "listed: $(wc -l <"$T/got") names of $(wc -l <"$T/want")"; }

mount_imagefs "$SRC" "$MNT" -o control=none
pid=$(daemon_pid)

# What changed a moment ago is another matter (tables.h).
rested() { [ $(($(date +%s) - $(stat -c %Z "$SRC/119.img"))) -gt 2 ]; }
wait_until 10 rested
slowly readlinkat 10 "$pid" list
lists_all
