#!/bin/bash
# S5, E: a fault, what a TFTP client sees of it, and that all is well afterwards. While it lasts, what
# does not need what is missing is served; the rest is refused by a TFTP error, and never wrong, cut
# short or without an answer. When it is over everything is served, by the same daemon.
# usage: s5_fault.sh FAULT: eio gone memory address-space descriptors threads no-notify no-watches
#        no-io-uring no-statx statx-unknown var-tmp-full var-tmp-read-only run-read-only
#        stderr-full syslog-full stopped-daemon stopped-server taken-over opener-killed opener-stopped opener-hung opener-frozen kill kill-in-flux busy abort
#        two-daemons clock
# (storage that hangs: s2_hung_image; few descriptors from the start: s5_few_descriptors)
. "$(dirname "$0")/../lib.sh"
requires root netns dnsmasq
fault=$1
DENY=${DENY:-$(dirname "$IMAGEFS")/tests/tools/deny}
STORE=$T/store
mkdir "$STORE"

# fill FILE SEED: an image with a boot partition and another one; what is in the former is in $T/want/NAME.
fill() {
	local name
	name=$(basename "$1" .img)
	truncate -s 16M "$1"
	printf 'label: dos\nstart=2048, size=24576, type=c\nstart=26624, type=83\n' | sfdisk -q "$1"
	make_fat "$1" 2048 12288 16 -s 4
	mkdir -p "$T/want/$name"
	echo "$name" >"$T/want/$name/config.txt"
	head -c 3000000 /dev/urandom >"$T/want/$name/kernel8.img"
	put "@$T/want/$name/config.txt" "$1" /config.txt
	put "@$T/want/$name/kernel8.img" "$1" /kernel8.img
}

# What a client gets: right, refused (by an error), or anything else, which is a failure at once.
fetch() { # fetch IMAGE/FILE
	local got=$T/got.$BASHPID
	rm -f "$got"
	if timeout 30 "$PYTHON" "$TOOLS/tftp.py" get 127.0.0.1 69 "$1" --out "$got" >"$got.said" 2>&1; then
		cmp -s "$got" "$T/want/$1" && echo right || echo "wrong: $1"
	elif grep -q 'error [0-9]' "$got.said"; then
		echo refused
	else
		echo "no answer: $1: $(tail -n 1 "$got.said")"
	fi
}
right() { is "$1" "$(fetch "$1")" right; }
refused() { is "$1" "$(fetch "$1")" refused; }
either() { [[ $(fetch "$1") =~ ^(right|refused)$ ]] || fail "$1: $(fetch "$1")"; }
is_right() { [ "$(fetch "$1")" = right ]; }
well() { # well IMAGE...: within seconds
	local image
	for image; do
		wait_until 20 is_right "$image/kernel8.img"
		wait_until 20 is_right "$image/config.txt"
	done
	is "the daemon" "$(daemon_pid)" "$pid"
}
serve() { # serve COMMAND...: the daemon, by that command, and dnsmasq
	"$@" || fail "$*: exit $?: $(tail -n 1 "$T"/*.log)"
	wait_until 10 is_mounted
	pid=$(daemon_pid)
	start_dnsmasq "$MNT"
}

# limit NAME CONTROLLER FILE VALUE: a control group with that limit; $GROUP. By either version of them.
limit() {
	local root=/sys/fs/cgroup
	if [ -d "$root/$2" ]; then
		root=$root/$2
	elif ! grep -qw "$2" "$root/cgroup.subtree_control" 2>/dev/null && ! echo "+$2" 2>/dev/null >"$root/cgroup.subtree_control"; then
		skip "no control group with $2"
	fi
	GROUP=$root/imagefs-test-$$-${T##*.}
	mkdir "$GROUP" 2>/dev/null || skip "control groups cannot be made"
	trap 'cleanup_group' EXIT
	set_limit "$3" "$4" || skip "no limit $3"
}
set_limit() { # FILE VALUE
	local file=$GROUP/$1
	[ -e "$file" ] || [ "$1" != memory.max ] || file=$GROUP/memory.limit_in_bytes
	echo "$2" >"$file"
}
cleanup_group() { # it is empty, and can go, when the daemon is gone
	local status=$? i
	set +eE
	(trap - EXIT; (exit $status); cleanup)
	status=$?
	for ((i = 0; i < 100; i++)); do rmdir "$GROUP" 2>/dev/null && break; sleep 0.05; done
	exit $status
}

# storage FILE: as $STORE/disk, through nbdkit and FUSE; $T/eio makes every read fail.
storage() {
	requires nbdkit nbdfuse
	: >"$T/export" # a mountpoint that is a file
	nbdkit -U "$T/store.sock" -P "$T/store.pid" --filter=error file "$1" error=EIO error-rate=100% error-file="$T/eio"
	wait_until 10 test -s "$T/store.pid"
	PIDS+=("$(cat "$T/store.pid")")
	nbdfuse -r "$T/export" "nbd+unix:///?socket=$T/store.sock" 2>"$T/nbdfuse.log" &
	STORAGE=$!
	PIDS+=("$STORAGE")
	wait_until 10 test -s "$T/export"
}

fill "$SRC/good.img"

case $fault in
eio)
	fill "$T/bad.img"
	storage "$T/bad.img"
	ln -s "$T/export" "$SRC/bad.img"
	serve mount_imagefs
	well bad good
	: >"$T/eio"
	for round in 1 2 3; do
		refused bad/config.txt
		refused bad/kernel8.img
		right good/kernel8.img
	done
	refuses EIO cat "$MNT/bad/config.txt"
	grep -q '^bad.*Input/output error\|^bad ' "$CONTROL/status" || fail "$(cat "$CONTROL/status")"
	rm "$T/eio"
	well bad good
	;;
gone)
	fill "$T/bad.img"
	storage "$T/bad.img"
	ln -s "$T/export" "$SRC/bad.img"
	serve mount_imagefs
	well bad good
	exec 7<"$MNT/bad/kernel8.img"
	head -c 100000 <&7 >/dev/null
	kill -KILL "$STORAGE" "$(cat "$T/store.pid")"
	wait_until 10 gone "$STORAGE"
	for round in 1 2 3; do
		refused bad/config.txt
		refused bad/kernel8.img
		right good/kernel8.img
	done
	status=0
	cat <&7 >"$T/rest" 2>"$T/error" || status=$?
	[ $status != 0 ] || cmp "$T/rest" <(tail -c +100001 "$T/want/bad/kernel8.img") # it was copied
	exec 7<&-
	umount -l "$T/export"
	refused bad/kernel8.img
	rm -f "$T/store.sock" "$T/store.pid"
	storage "$T/bad.img"
	well bad good
	;;
memory)
	# Many images, a large file read by many, all at once.
	limit memory memory memory.max $((128 << 20))
	for ((i = 0; i < 30; i++)); do cp --sparse=always "$SRC/good.img" "$SRC/i$i.img" && ln -sfn good "$T/want/i$i"; done
	sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$GROUP" "$IMAGEFS" "$SRC" "$MNT" 2>"$T/imagefs.log"
	pid=$(daemon_pid)
	start_dnsmasq "$MNT"
	jobs=()
	for ((j = 0; j < 6; j++)); do
		(for ((i = j; i < 30; i += 6)); do cmp "$MNT/i$i/kernel8.img" "$T/want/good/kernel8.img" || exit 1; done) &
		jobs+=($!)
	done
	for ((i = 0; i < 6; i++)); do right "i$i/kernel8.img"; done
	for job in "${jobs[@]}"; do wait "$job" || fail "a reader failed"; done
	well good i7
	;;
address-space)
	for i in 1 2 3 4 5 6 7 8; do cp --sparse=always "$SRC/good.img" "$SRC/i$i.img" && ln -sfn good "$T/want/i$i"; done
	serve mount_imagefs
	right i1/config.txt
	# Not a page more than it has.
	prlimit --pid "$pid" --as=$(($(awk '{ print $1 }' "/proc/$pid/statm") * $(getconf PAGESIZE))):
	for i in 1 2 3 4 5 6 7 8; do
		either "i$i/config.txt"
		either "i$i/kernel8.img"
	done
	for i in 1 2 3 4 5 6 7 8; do (either "i$i/kernel8.img") & jobs+=($!); done
	for job in "${jobs[@]}"; do wait "$job" || fail "a reader got neither an answer nor an error"; done
	timeout 10 cat "$CONTROL/status" >/dev/null || true
	prlimit --pid "$pid" --as=unlimited:
	well good i1 i8
	;;
descriptors)
	for i in 1 2 3 4 5 6 7 8; do cp --sparse=always "$SRC/good.img" "$SRC/i$i.img" && ln -sfn good "$T/want/i$i"; done
	serve mount_imagefs
	right i1/kernel8.img
	prlimit --pid "$pid" --nofile="$(find "/proc/$pid/fd" -mindepth 1 | wc -l):"
	for round in 1 2; do
		for i in 1 2 3 4 5 6 7 8; do either "i$i/kernel8.img"; done
	done
	[[ $(cat "$MNT/i8/no-such-file" 2>&1) == *@(No such file|Input/output)* ]] || fail "a name that is not there was answered otherwise"
	prlimit --pid "$pid" --nofile="$(awk '/open files/ { print $5 }' "/proc/$pid/limits"):"
	well good i1 i8
	;;
threads)
	limit threads pids pids.max max
	fill "$T/bad.img"
	storage "$T/bad.img"
	ln -s "$T/export" "$SRC/bad.img"
	sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$GROUP" "$IMAGEFS" "$SRC" "$MNT" 2>"$T/imagefs.log"
	pid=$(daemon_pid)
	start_dnsmasq "$MNT"
	set_limit pids.max 1 # what is there stays, and nothing is added
	for round in 1 2 3; do
		either good/kernel8.img
		either bad/kernel8.img
	done
	# Storage that hangs as well: what waits for it is answered all the same.
	kill -STOP "$STORAGE"
	start=$SECONDS
	for i in 1 2 3 4; do timeout 20 cat "$MNT/bad/config.txt" >/dev/null 2>&1 & jobs+=($!); done
	for round in 1 2 3; do either good/config.txt; done
	for job in "${jobs[@]}"; do
		status=0
		wait "$job" || status=$?
		is "a reader of what hangs" $status 1
	done
	[ $((SECONDS - start)) -lt 15 ] || fail "it took $((SECONDS - start)) s"
	kill -CONT "$STORAGE"
	set_limit pids.max max
	well good bad
	;;
no-notify | no-watches | no-io-uring | no-statx | statx-unknown)
	[ -x "$DENY" ] || skip "needs tests/tools/deny"
	case $fault in
	no-notify) deny=(24 inotify_init1 fanotify_init) ;; # EMFILE: max_user_instances
	no-watches) deny=(28 inotify_add_watch) ;;          # ENOSPC: max_user_watches
	no-io-uring) deny=(1 io_uring_setup) ;;             # EPERM, as Docker's profile has it
	no-statx) deny=(1 statx) ;;                         # EPERM: an older libseccomp
	statx-unknown) deny=(38 statx) ;;                   # ENOSYS: a newer one, or another sandbox
	esac
	fill "$T/disk"
	loop_device device "$T/disk"
	ln -s "$device" "$SRC/disk.img"
	serve "$DENY" "${deny[@]}" -- "$IMAGEFS" -o settle=50 "$SRC" "$MNT"
	well good disk
	for round in 1 2 3; do
		echo "round $round" >"$T/want/good/config.txt"
		put "@$T/want/good/config.txt" "$SRC/good.img" /config.txt
		wait_until 10 is_right good/config.txt
	done
	right good/kernel8.img
	ln -sfn good.img "$SRC/board"
	is "a link" "$(cat "$MNT/board/config.txt")" "round 3"
	rm "$SRC/good.img"
	refuses ENOENT cat "$MNT/good/config.txt"
	# What a crash leaves is taken over without them, too.
	kill -KILL "$pid"
	wait_until 10 gone "$pid"
	"$DENY" "${deny[@]}" -- "$IMAGEFS" "$SRC" "$MNT"
	pid=$(daemon_pid)
	well disk
	;;
var-tmp-full | var-tmp-read-only)
	mount --rbind "$T" /mnt
	mount -t tmpfs -o size=64k imagefs-test /var/tmp
	[[ $T != /var/tmp/* ]] || { mkdir "$T" && mount --rbind /mnt "$T"; }
	if [ "$fault" = var-tmp-full ]; then
		head -c 64k /dev/zero >/var/tmp/fill 2>/dev/null || true
	else
		mount -o remount,ro /var/tmp
	fi
	CHANGES=events
	serve mount_imagefs -o keep=1 "$SRC" "$MNT"
	right good/kernel8.img
	# Another partition is being written all the time: right, or refused; and well when it rests.
	(while [ ! -e "$T/rest" ]; do dd if=/dev/urandom of="$SRC/good.img" bs=4096 count=1 seek=4000 conv=notrunc status=none; sleep 0.02; done) &
	PIDS+=($!)
	for round in 1 2 3 4 5; do either good/kernel8.img; done
	: >"$T/rest"
	well good
	mount -o remount,rw,size=64m /var/tmp
	well good
	;;
run-read-only)
	umount /run/imagefs
	mount -t tmpfs -o ro imagefs-test /run/imagefs
	serve mount_imagefs
	grep -q 'no control files.*Read-only file system' "$T/imagefs.log" || fail "not said: $(cat "$T/imagefs.log")"
	well good
	unmount_imagefs
	status=0
	"$IMAGEFS" -o "control=/run/imagefs/x" "$SRC" "$MNT" 2>"$T/out" || status=$?
	is "asked for: exit status" $status 1
	grep -q '^imagefs: control=/run/imagefs/x: Read-only file system$' "$T/out" || fail "asked for: $(cat "$T/out")"
	;;
stderr-full | syslog-full)
	# Each of these is a line of its own in the log.
	for ((i = 0; i < 60; i++)); do truncate -s 1M "$SRC/broken$i.img"; done
	read_broken() { for ((i = 0; i < 60; i++)); do timeout 10 cat "$MNT/broken$i/config.txt" 2>&1 || true; done; }
	if [ "$fault" = stderr-full ]; then
		mkfifo "$T/pipe"
		exec 8<>"$T/pipe"
		"$PYTHON" -c 'import os, fcntl
os.set_blocking(1, False)
while True:
    try: os.write(1, b"x" * 4095 + b"\n")
    except BlockingIOError: break' >"$T/pipe"
		"$IMAGEFS" -f "$SRC" "$MNT" 2>"$T/pipe" 8>&- &
		PIDS+=($!)
		serve true
	else
		# A /dev of our own, for its log.
		mkdir "$T/dev"
		mount -t tmpfs imagefs-test "$T/dev"
		cp -a /dev/null /dev/zero /dev/random /dev/urandom /dev/tty /dev/fuse "$T/dev"
		mount --bind "$T/dev" /dev
		"$PYTHON" -c 'import os, signal, socket, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log")
open(sys.argv[1], "w").close()
signal.sigwait({signal.SIGUSR1})
with open(sys.argv[2], "ab", buffering=0) as out:
    while True: out.write(log.recv(65536) + b"\n")' "$T/listening" "$T/syslog" &
		reader=$!
		PIDS+=("$reader")
		wait_until 10 test -e "$T/listening"
		serve mount_imagefs
	fi
	for round in 1 2; do
		is "errors" "$(read_broken | grep -c 'Input/output error')" 60
		right good/kernel8.img
	done
	# Read again: what was lost is said.
	if [ "$fault" = stderr-full ]; then
		cat <&8 >"$T/syslog" &
		PIDS+=($!)
	else
		kill -USR1 "$reader"
	fi
	said() { read_broken >/dev/null && grep -aqE '[0-9]+ lines could not be logged' "$T/syslog"; }
	wait_until 20 said
	said() { read_broken >/dev/null && grep -aqE 'broken[0-9]+\.img: .*EIO' "$T/syslog"; }
	wait_until 20 said
	well good
	exec 8<&-
	;;
stopped-daemon)
	serve mount_imagefs
	well good
	kill -STOP "$pid"
	(fetch good/config.txt >"$T/fetched") &
	job=$!
	# Writers may have to wait, and can be killed; what they had written is there afterwards.
	echo changed >"$T/want/good/config.txt"
	put "@$T/want/good/config.txt" "$SRC/good.img" /config.txt &
	writer=$!
	(cat "$SRC/good.img" >/dev/null) &
	victim=$!
	kill -KILL "$victim"
	wait_until 10 gone "$victim"
	kill -CONT "$pid"
	wait "$writer"
	wait "$job"
	grep -qE '^(right|refused|wrong: good/config.txt)$' "$T/fetched" || fail "$(cat "$T/fetched")" # old, new, or neither yet
	well good
	;;
stopped-server)
	fill "$SRC/bad.img"
	serve mount_imagefs
	start_nbd_server "$SRC/bad.img"
	well good bad
	# In the midst of writes.
	"$PYTHON" - "$URI" "$T/writing" <<'PY' &
import sys, nbd
handle = nbd.NBD()
handle.connect_uri(sys.argv[1])
data = bytes(range(256)) * 16
for i in range(1000000):
    handle.pwrite(data, (13 << 20) + i % 500 * 4096)
    if i == 100:
        open(sys.argv[2], "w").close()
PY
	writer=$!
	PIDS+=("$writer")
	wait_until 10 test -e "$T/writing"
	servers=("$(cat "$T/nbd.pid")" $(pgrep -P "$(cat "$T/nbd.pid")"))
	for server in "${servers[@]}"; do kill -STOP "$server"; done
	for round in 1 2 3; do
		right good/kernel8.img
		wait_until 10 is_right bad/kernel8.img
	done
	for server in "${servers[@]}"; do kill -CONT "$server"; done
	well good bad
	kill "$writer"
	well good bad
	;;
kill)
	# s5_fault.sh kill [TIMES]
	fill "$SRC/busy.img"
	serve mount_imagefs
	well good busy
	reader() {
		local read=$T/read.$1
		while [ ! -e "$T/over" ]; do
			[ "$(cat "$MNT/good/config.txt" 2>/dev/null || echo good)" = good ] || echo "wrong config.txt" >>"$T/wrong"
			cat "$MNT/busy/kernel8.img" 2>/dev/null >"$read" && ! cmp -s "$read" "$T/want/busy/kernel8.img" && echo "wrong kernel" >>"$T/wrong"
			ls -lR "$MNT" >/dev/null 2>&1 || true
		done
	}
	for i in 1 2 3 4; do reader "$i" & PIDS+=($!) jobs+=($!); done
	(while [ ! -e "$T/over" ]; do dd if=/dev/urandom of="$SRC/busy.img" bs=4096 count=1 seek=$((3300 + RANDOM % 500)) conv=notrunc status=none; done) &
	PIDS+=($!) jobs+=($!)
	for ((round = 0; round < ${2:-100}; round++)); do
		kill -KILL "$pid"
		"$IMAGEFS" "$SRC" "$MNT" 2>>"$T/imagefs.log" || fail "round $round: $(tail -n 1 "$T/imagefs.log")"
		is "round $round" "$(cat "$MNT/good/config.txt")" good
		wait_until 10 gone "$pid"
		pid=$(daemon_pid)
		[ $((round % 20)) != 0 ] || wait_until 20 is_right good/kernel8.img
	done
	: >"$T/over"
	for job in "${jobs[@]}"; do wait "$job" || true; done
	[ ! -e "$T/wrong" ] || fail "$(sort "$T/wrong" | uniq -c)"
	is "mounts" "$(awk -v t="$MNT" '$2 == t' /proc/self/mounts | wc -l)" 1
	is "control mounts" "$(awk -v t="$CONTROL" '$2 == t' /proc/self/mounts | wc -l)" 1
	is "daemons" "$(pids_of_daemons | wc -l)" 1
	well good busy
	;;
kill-in-flux)
	# While the kernel drops pages for the daemon, and READs of them wait for an image that is never
	# quiet: a thread that the kernel then has wait for ever keeps the process, and the mount, until
	# the next daemon breaks it.
	make_image "$SRC/big.img" 64 16
	head -c 30000000 /dev/urandom >"$T/big"
	put "@$T/big" "$SRC/big.img" /kernel8.img
	serve mount_imagefs -o control=none,changes=events,keep=1 "$SRC" "$MNT"
	well good
	for ((round = 0; round < 6; round++)); do
		wait_until 20 head -c 1 "$MNT/big/kernel8.img"
		rm -f "$T/opened" "$T/over"
		"$PYTHON" - "$MNT/big/kernel8.img" "$T/opened" <<'PY' &
import os, random, sys, threading
fd = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
open(sys.argv[2], "w").close()
def read():
    while True:
        try:
            os.pread(fd, 4096, random.randrange(7000) * 4096)
        except OSError as error:
            if error.errno not in (5, 116):
                return
for thread in [threading.Thread(target=read) for i in range(6)]:
    thread.start()
PY
		reader=$!
		PIDS+=("$reader")
		wait_until 10 test -e "$T/opened"
		(while [ ! -e "$T/over" ]; do dd if=/dev/urandom of="$SRC/big.img" bs=4096 count=1 seek=$((16000 + RANDOM % 300)) conv=notrunc status=none; done) &
		writer=$!
		for ((i = 0; i < 30; i++)); do ! grep -qs invalidate_inode_pages "/proc/$pid/task"/*/stack || break; sleep 0.005; done
		kill -KILL "$pid"
		: >"$T/over"
		wait "$writer"
		timeout 20 "$IMAGEFS" -o control=none,changes=events,keep=1 "$SRC" "$MNT" 2>>"$T/imagefs.log" || {
			timeout 10 umount -f "$MNT" || true # or every sync(2) of the machine waits
			fail "round $round: not taken over"
		}
		wait_until 10 gone "$pid"
		kill "$reader" 2>/dev/null || true
		wait "$reader" || true
		pid=$(daemon_pid)
	done
	echo "$(grep -c 'does not answer' "$T/imagefs.log") of $round were stuck, and taken over"
	well good
	;;
taken-over)
	# A daemon that is stopped does not answer: one that is started in its place takes the mount. (With the
	# kernel's events it could read nothing of SOURCE, whose readers wait for the old one, too.)
	CHANGES=events
	serve mount_imagefs
	well good
	old=$pid
	kill -STOP "$old"
	"$IMAGEFS" -o changes=events "$SRC" "$MNT" 2>"$T/said"
	grep -q "^imagefs: $MNT: the mount does not answer, and is taken over$" "$T/said" || fail "not said: $(cat "$T/said")"
	pid=$(pids_of_daemons | grep -vx "$old")
	is "taken over" "$(cat "$MNT/good/config.txt")" good
	kill -CONT "$old"
	wait_until 15 gone "$old"
	is_mounted && is_mounted "$CONTROL" || fail "the old one took the mounts with it"
	is "control files" "$(grep -c '^good ' "$CONTROL/status")" 1
	well good
	;;
opener-killed)
	# Nothing could be opened any more: the daemon ends, and whoever starts it again (systemd) has it all.
	"$IMAGEFS" -f "$SRC" "$MNT" 2>"$T/said" &
	daemon=$!
	PIDS+=("$daemon")
	serve true
	well good
	opener=$(pgrep -P "$pid" -f imagefs-opener)
	kill -KILL "$opener"
	wait_until 10 gone "$daemon"
	status=0
	wait "$daemon" || status=$?
	is "exit status" $status 1
	grep -q "^imagefs: the process that opens images has ended, and so does this: start imagefs again$" "$T/said" || fail "not said: $(cat "$T/said")"
	mount_imagefs
	pid=$(daemon_pid)
	well good
	;;
opener-stopped | opener-hung | opener-frozen)
	# Whoever ends the daemon does not wait for it, nor for dead storage: not mounted, and no process left, in seconds.
	# With another user, who may signal nobody of root's.
	ends() { # ends HOW...
		local begun=$EPOCHREALTIME
		"$@"
		wait_until 10 gone "$pid"
		echo "$*: $(((${EPOCHREALTIME/./} - ${begun/./}) / 1000)) ms"
		[ "$fault" != opener-frozen ] || set_limit freezer.state THAWED
		wait_until 10 gone "$opener"
		[ $((${EPOCHREALTIME/./} - ${begun/./})) -lt 4500000 ] || fail "$*: too late"
		[ "$fault" = opener-frozen ] || not_mounted || fail "$*: still mounted"
		[ "$fault" = opener-frozen ] || not_mounted "$CONTROL" || fail "$*: control files are still mounted"
	}
	[ "$fault" != opener-frozen ] || limit freezer freezer freezer.state THAWED # only killed does it end, and what is mounted is taken over
	[ "$fault" != opener-hung ] || { fill "$T/bad.img" && storage "$T/bad.img" && ln -s "$T/export" "$SRC/bad.img"; }
	for how in "kill -TERM" "kill -INT" "umount"; do
		reader=
		mount_imagefs -o run_as=daemon "$SRC" "$MNT"
		pid=$(daemon_pid)
		opener=$(pgrep -P "$pid" -f imagefs-opener)
		is "read" "$(cat "$MNT/good/config.txt")" good
		case $fault in
		opener-stopped)
			kill -STOP "$opener"
			if [ "$how" != umount ]; then
				(timeout 60 cat "$MNT/new/config.txt" >/dev/null 2>&1 || true) & reader=$! # it waits for the opener
				wait_until 10 grep -qs recvmsg "/proc/$pid/task"/*/stack
			fi ;;
		opener-frozen) echo "$opener" >"$GROUP/cgroup.procs" && set_limit freezer.state FROZEN ;;
		opener-hung)
			kill -STOP "$STORAGE"
			(timeout 60 cat "$MNT/bad/config.txt" >/dev/null 2>&1 || true) & reader=$!
			wait_until 10 grep -qsE 'request_wait_answer|fuse' "/proc/$opener/task"/*/stack ;;
		esac
		if [ "$how" = umount ]; then ends umount -l "$MNT"; else ends $how "$pid"; fi
		[ "$fault" != opener-hung ] || kill -CONT "$STORAGE"
		wait $reader
	done
	mount_imagefs
	pid=$(daemon_pid)
	start_dnsmasq "$MNT"
	well good
	;;
busy)
	serve mount_imagefs
	exec 7<"$MNT/good/kernel8.img"
	refuses 'busy' umount "$MNT"
	well good
	head -c 100000 <&7 >"$T/first"
	umount -l "$MNT"
	# Who has it open reads on; new users find the directory below.
	cat "$T/first" - <&7 | cmp - "$T/want/good/kernel8.img"
	refused good/config.txt
	exec 7<&-
	wait_until 10 gone "$pid"
	mount_imagefs
	pid=$(daemon_pid)
	well good
	;;
abort)
	mkdir "$T/connections"
	mount -t fusectl fusectl "$T/connections" || skip "no fusectl"
	serve mount_imagefs
	connection() { echo "$T/connections/$(($(stat -c %d "$1") & 0xff | ($(stat -c %d "$1") >> 12) & ~0xff))"; }
	well good
	exec 7<"$MNT/good/kernel8.img"
	# Of the control files: said, and files are served on.
	echo 1 >"$(connection "$CONTROL")/abort"
	right good/kernel8.img
	refuses 'not connected' cat "$CONTROL/status"
	echo 1 >"$(connection "$MNT")/abort"
	wait_until 10 gone "$pid"
	refused good/config.txt
	refuses 'not connected' ls "$MNT"
	mount_imagefs
	pid=$(daemon_pid)
	is "control files" "$(grep -c '^good ' "$CONTROL/status")" 1
	well good
	exec 7<&-
	;;
two-daemons)
	mkdir "$T/mnt2"
	serve mount_imagefs
	mount_imagefs "$SRC" "$T/mnt2"
	other=$(daemon_pid "$T/mnt2")
	well good
	for round in $(seq 10); do
		echo "round $round" >"$T/want/good/config.txt"
		put "@$T/want/good/config.txt" "$SRC/good.img" /config.txt
		is "round $round" "$(cat "$MNT/good/config.txt")" "round $round"
		is "round $round, the other" "$(cat "$T/mnt2/good/config.txt")" "round $round"
	done
	cmp "$T/mnt2/good/kernel8.img" "$T/want/good/kernel8.img"
	# One of them dies, in the midst of reads and writes; the other one goes on.
	(for i in $(seq 500); do dd if=/dev/urandom of="$SRC/good.img" bs=4096 count=1 seek=$((3300 + i % 300)) conv=notrunc status=none; done) &
	writer=$!
	cat "$T/mnt2/good/kernel8.img" >/dev/null &
	reader=$!
	kill -KILL "$other"
	wait "$writer"
	wait "$reader" || true
	well good
	umount -l "$T/mnt2"
	mount_imagefs "$SRC" "$T/mnt2"
	is "the other again" "$(cat "$T/mnt2/good/config.txt")" "round 10"
	;;
clock)
	shim=$(dirname "$DENY")/libclock_step.so
	[ -e "$shim" ] || skip "needs $shim"
	set_clock() { "$PYTHON" -c 'import struct, sys; open(sys.argv[1], "r+b").write(struct.pack("=q", int(sys.argv[2])))' "$T/step" "$1"; }
	head -c 8 /dev/zero >"$T/step"
	serve env LD_PRELOAD="$shim" CLOCK_STEP="$T/step" "$IMAGEFS" "$SRC" "$MNT"
	well good
	for step in -7200 0 3600 31536000 -31536000 0; do
		exec 7<"$MNT/good/kernel8.img"
		head -c 10 <&7 >"$T/first"
		set_clock $step
		cat "$T/first" - <&7 | cmp - "$T/want/good/kernel8.img"
		exec 7<&-
		for round in 1 2 3; do
			echo "step $step, round $round" >"$T/want/good/config.txt"
			put "@$T/want/good/config.txt" "$SRC/good.img" /config.txt
			is "fresh" "$(cat "$MNT/good/config.txt")" "step $step, round $round"
		done
		well good
	done
	;;
*) fail "no such fault: $fault" ;;
esac
