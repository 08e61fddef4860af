# What every end-to-end test stands on; sourced first. Bash.
#
# A test runs as the first process of its own network, mount and PID namespaces:
# port 69 is free, its mounts are seen by nobody, and whatever it started ends
# with it, however it ends. Without root there are no namespaces, and tests that
# say `requires root` are skipped (exit 77).
#
# Gives: $T, an empty directory (removed at exit; IMAGEFS_KEEP=1 keeps it);
# $SRC and $MNT, directories in it; $CONTROL, where the control files of a mount on
# $MNT are for root; $IMAGEFS, the program; the functions below.
# shellcheck shell=bash

set -Eeuo pipefail
shopt -s inherit_errexit

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(dirname "$HERE")
TOOLS=$HERE/tools
NAME=$(basename "$0" .sh)
IMAGEFS=$(realpath -m "${IMAGEFS:-$TOP/build/imagefs}")
PATH=$PATH:/usr/sbin:/sbin
PYTHON=/usr/bin/python3 # libnbd's module is there, not in others
export PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8 TZ=UTC MTOOLS_SKIP_CHECK=1 MTOOLSRC=$HERE/data/mtoolsrc
umask 022

if [ -z "${IMAGEFS_TEST_IN_NAMESPACES:-}" ] && [ "$(id -u)" = 0 ]; then
	if unshare -nmpf --mount-proc true 2>/dev/null; then
		export IMAGEFS_TEST_IN_NAMESPACES=1
		exec unshare -nmpf --kill-child --mount-proc --propagation private \
			bash "$0" "$@"
	fi
	echo "$NAME: no namespaces here"
fi
if [ -n "${IMAGEFS_TEST_IN_NAMESPACES:-}" ]; then
	ip link set lo up
	# Where control files are by default: of this test alone, as its mounts are.
	mkdir -p /run/imagefs
	# What somebody else has there is not for is_mounted to see; this takes away our copy.
	awk 'index($2, "/run/imagefs/") == 1 { print $2 }' /proc/self/mounts | while read -r point; do umount -l "$point"; done
	mount -t tmpfs -o mode=755 imagefs-test /run/imagefs
	# What mount(8) notes of our mounts is nobody else's.
	mkdir -p /run/mount && mount -t tmpfs -o mode=755 imagefs-test /run/mount
	# CTest ends a test that hangs without a word: say where it stands just before. It ends with the namespace.
	if [ "${TEST_SECONDS:-0}" -gt 20 ]; then
		{
			sleep $((TEST_SECONDS - 10))
			echo "$NAME: after $((TEST_SECONDS - 10)) s it is still at:"
			ps -eo pid,ppid,stat,wchan:24,args
			for task in /proc/[0-9]*/task/*; do
				! grep -q '^State:.*D ' "$task/status" || { echo "$task:" && cat "$task/stack"; }
			done
		} 2>/dev/null &
		disown # `wait` is for what the test itself started
	fi
fi

# Of writes to a tmpfs the kernel tells nothing, and Debian's /tmp is one from 13 on.
[ -n "${TMPDIR:-}" ] || [ "$(stat -f -c %T /tmp)" != tmpfs ] || export TMPDIR=/var/tmp
T=$(mktemp -d "${TMPDIR:-/tmp}/imagefs-$NAME.XXXXXX")
chmod 755 "$T" # servers that run as another user pass through
SRC=$T/src MNT=$T/mnt CONTROL=/run/imagefs/mnt
mkdir "$SRC" "$MNT"
LOOPS=() PIDS=()
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:log_path=$T/sanitizer
# The daemon ends with its threads, and joins none.
export TSAN_OPTIONS=${TSAN_OPTIONS:-}:log_path=$T/sanitizer:suppressions=$HERE/tsan.suppressions:report_thread_leaks=0

cleanup() {
	local status=$? point pid device daemons i
	set +eE
	cd / # and the descriptors that tests hold files open with
	exec 7<&- 8<&- 9<&-
	trap - ERR EXIT
	if [ $status -ne 0 ] && [ $status -ne 77 ]; then
		for point in "$T"/*.log; do
			[ -s "$point" ] && echo "--- ${point##*/}" && tail -n 20 "$point"
		done
	fi
	for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null; done
	daemons=$(pids_of_daemons)
	awk -v t="$T/" 'index($2, t) == 1 { print $2 }' /proc/self/mounts | sort -r |
		while read -r point; do
			point=$(printf '%b' "$point")
			umount -l "$point" 2>/dev/null || fusermount3 -uz "$point"
		done
	for device in "${LOOPS[@]}"; do losetup -d "$device"; done
	# A daemon that ends by itself tells what a sanitizer found; one that hangs is a failure.
	for pid in $daemons; do
		for ((i = 0; i < 250; i++)); do gone "$pid" && continue 2; sleep 0.02; done
		echo "$NAME: the daemon $pid does not end" && kill -KILL "$pid" && status=1
	done
	for point in "$T"/sanitizer*; do
		[ -e "$point" ] && cat "$point" && status=1
	done
	[ -n "${IMAGEFS_KEEP:-}" ] || rm -rf --one-file-system "$T"
	exit $status
}
trap cleanup EXIT
trap 'echo "$NAME: line $LINENO: failed: $BASH_COMMAND" >&2' ERR
trap 'exit 1' HUP INT TERM

# The line of the test itself, not that of a helper here.
fail() {
	local i=0
	while [ $i -lt $((${#BASH_SOURCE[@]} - 1)) ] && [ "${BASH_SOURCE[i]}" != "$0" ]; do i=$((i + 1)); done
	echo "$NAME: line ${BASH_LINENO[i > 0 ? i - 1 : 0]}: $*" >&2
	exit 1
}
skip() { echo "$NAME: skipped: $*"; exit 77; }

# requires root | fuse | netns | loop | PROGRAM...: skips the test when missing.
requires() {
	local what
	for what; do
		case $what in
		root) [ "$(id -u)" = 0 ] || skip "needs root" ;;
		netns) [ -n "${IMAGEFS_TEST_IN_NAMESPACES:-}" ] || skip "needs namespaces" ;;
		fuse) [ -w /dev/fuse ] || skip "needs /dev/fuse" ;;
		loop) losetup -f >/dev/null 2>&1 || skip "needs loop devices" ;;
		*) command -v "$what" >/dev/null || skip "needs $what" ;;
		esac
	done
}

# wait_until SECONDS COMMAND...: polls until it succeeds; fails after the deadline.
wait_until() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -le $deadline ] || fail "never came true: $*"
		sleep 0.02
	done
}

is() { # is WHAT GOT WANTED
	[ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"
}

# refuses ERROR COMMAND...: the command must fail, with that error in its message.
refuses() {
	local want=$1 text
	shift
	case $want in
	EIO) want='Input/output error' ;;
	ENOENT) want='No such file or directory' ;;
	EROFS) want='Read-only file system' ;;
	EACCES) want='Permission denied' ;;
	ESTALE) want='Stale file handle' ;;
	EISDIR) want='Is a directory' ;;
	ENOTDIR) want='Not a directory' ;;
	esac
	if text=$("$@" 2>&1 >/dev/null); then fail "succeeded: $*"; fi
	[[ $text == *"$want"* ]] || fail "$*: said '$text', want '$want'"
}

# --- images -------------------------------------------------------------------

# make_image FILE MIB FATBITS [mkfs.fat options]: an MBR, and one FAT from 1 MiB
# on to the end. mtools and our tools then see it as FILE@@1M.
make_image() {
	local file=$1 mib=$2 bits=$3
	shift 3
	truncate -s 0 "$file"
	truncate -s "${mib}M" "$file"
	echo 'label: dos
		start=2048, type=c' | sfdisk -q "$file"
	make_fat "$file" 2048 $(((mib - 1) * 1024)) "$bits" "$@"
}

# make_fat FILE SECTOR KIB FATBITS [mkfs.fat options]
make_fat() {
	local file=$1 sector=$2 kib=$3 bits=$4
	shift 4
	mkfs.fat -F "$bits" --offset "$sector" "$@" "$file" "$kib" >"$T/mkfs.log" 2>&1 ||
		fail "mkfs.fat: $(tail -n1 "$T/mkfs.log")" # it warns of every size it is told
}

# A FAT32 in few MiB, as mtools accepts it (at least 65525 clusters).
make_fat32_image() { make_image "$1" "${2:-36}" 32 -s 1; }

# put TEXT|@FILE IMAGE[@@OFFSET] PATH: a file into the boot partition.
put() {
	local content=$1 image=$2 path=$3
	[[ $image == *@@* ]] || image=$image@@1M
	if [[ $content == @* ]]; then
		mcopy -o -Q -i "$image" "${content#@}" "::$path"
	else
		printf %s "$content" | mcopy -o -Q -i "$image" - "::$path"
	fi
}

# board FILE [TEXT]: a small image that looks like a Pi's, with TEXT in config.txt.
board() {
	make_image "$1" 4 12
	put "${2:-$(basename "$1")}" "$1" /config.txt
}

# extract IMAGE[@@OFFSET] DIRECTORY: what mtools reads, with times.
extract() {
	local image=$1
	[[ $image == *@@* ]] || image=$image@@1M
	mkdir -p "$2"
	mcopy -s -m -n -Q -i "$image" '::*' "$2/"
}

# manifest DIRECTORY: type, size, time and name of everything below.
manifest() {
	(cd "$1" && find . -mindepth 1 \( -type f -printf 'f %s %Ts %P\n' -o -printf '%y %P\n' \) | sort)
}

# same_tree WANTED GOT: the same names, bytes, sizes and times, and nothing else.
same_tree() {
	manifest "$1" >"$T/manifest.want"
	manifest "$2" >"$T/manifest.got"
	diff "$T/manifest.want" "$T/manifest.got" >"$T/differences" || {
		head -n 20 "$T/differences"
		fail "$2: other names, sizes or times than $1"
	}
	same_bytes "$1" "$2"
}

same_bytes() {
	diff -r --no-dereference "$1" "$2" >"$T/differences" 2>&1 || {
		head -n 20 "$T/differences"
		fail "$2: other bytes than $1"
	}
}

edit() { # edit IMAGE[@@OFFSET] COMMAND...: damage done by hand, see fatedit.py
	local image=$1
	shift
	[[ $image == *@@* ]] || image=$image@@1M
	"$PYTHON" "$TOOLS/fatedit.py" "$image" "$@"
}

# loop_device VARIABLE FILE [losetup options]
loop_device() {
	local _variable=$1 _file=$2 _made
	shift 2
	_made=$(losetup -f --show "$@" "$_file") || skip "no free loop device"
	LOOPS+=("$_made")
	printf -v "$_variable" %s "$_made"
}

# reflink_storage VARIABLE xfs|btrfs: SOURCE is on a filesystem whose files share blocks, of 1 GiB, on that loop device.
reflink_storage() {
	requires root netns loop "mkfs.$2"
	grep -qw "$2" /proc/filesystems || modprobe "$2" 2>/dev/null || skip "no $2 here"
	truncate -s 1G "$T/disk"
	case $2 in
	xfs) mkfs.xfs -q -m reflink=1 "$T/disk" ;;
	btrfs) mkfs.btrfs -q "$T/disk" 2>/dev/null ;;
	esac
	loop_device "$1" "$T/disk"
	mount -o noatime "${!1}" "$SRC"
}

collect_images() {
	local image
	for image in "$SRC"/*; do
		[ ! -f "$image" ] || cp -L --sparse=always "$image" "$ZOO/$NAME${ZOO_SUFFIX:-}-$(basename "$image" .img).img"
	done
}

# --- the daemon -----------------------------------------------------------------

# mount_imagefs [options] [SOURCE MOUNTPOINT]: returns when the mount answers,
# because that is when imagefs goes to the background.
# CHANGES=events: as on a kernel that does not tell of writes, where reports count.
# ZOO=directory: its images are copied there instead, and the test ends (tests/netboot/vfat.sh).
mount_imagefs() {
	[ -z "${ZOO:-}" ] || { collect_images; exit 0; }
	[ -x "$IMAGEFS" ] || fail "$IMAGEFS is not built"
	requires fuse
	[ $# -gt 0 ] || set -- "$SRC" "$MNT"
	[ -z "${CHANGES:-}" ] || set -- -o "changes=$CHANGES" "$@"
	"$IMAGEFS" "$@" 2>>"$T/imagefs.log" || fail "imagefs $*: exit $?: $(tail -n1 "$T/imagefs.log")"
}

# a_user: from now on `me COMMAND` is done by one without root, who may use fusermount3.
a_user() {
	AS=()
	requires fuse fusermount3
	if [ "$(id -u)" = 0 ]; then
		requires setpriv
		[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not setuid"
		if [ -z "$(find /dev/fuse -perm -o=w)" ]; then # as udev makes it, in this namespace only
			requires netns
			mknod -m 666 "$T/fuse" c 10 229
			mount --bind "$T/fuse" /dev/fuse
		fi
		AS=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	fi
}
me() { "${AS[@]}" "$@"; }

# Of this test alone: each has this test's directory among its arguments.
pids_of_daemons() {
	local process words
	for process in /proc/[0-9]*; do
		[ "$(readlink "$process/exe" 2>/dev/null)" = "$IMAGEFS" ] || continue
		mapfile -d '' -t words <"$process/cmdline" 2>/dev/null || continue
		[[ " ${words[*]} " != *"${1:-$T/}"* ]] || echo "${process#/proc/}"
	done
}

# daemon_pid [MOUNTPOINT]: the process that serves it.
daemon_pid() {
	local pids
	pids=$(pids_of_daemons "${1:-$MNT} ")
	[ -n "$pids" ] || fail "no daemon serves ${1:-$MNT}"
	echo "${pids%%$'\n'*}"
}

is_mounted() { awk -v p="${1:-$MNT}" '$2 == p && $3 ~ /^fuse/ { found = 1 } END { exit !found }' /proc/self/mounts; }
not_mounted() { ! is_mounted "$@"; }
# Ended, with all of its threads; who has to reap it may take its time (an init without namespaces does).
gone() {
	! kill -0 "$1" 2>/dev/null || { grep -q '^State:[[:space:]]*Z' "/proc/$1/status" && [ "$(find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l)" -le 1 ]; } 2>/dev/null
}

# Of a daemon with -d, whose output is in $T/trace: so many requests of that kind.
requests() { grep -c "opcode: $1 " "$T/trace" || true; }

# without_reads WHAT COMMAND...: the command causes no READ request. The page cache serves "for
# as long as the kernel keeps it" (C4), and a kernel may reclaim pages at will (DAMON does): so it
# fails only if there is a READ each of five times. What else it counted is of the last time.
without_reads() {
	local what=$1 try before
	shift
	for ((try = 0; try < 5; try++)); do
		before=$(requests READ)
		"$@"
		[ "$(requests READ)" != "$before" ] || return 0
	done
	is "READ requests $what, the fifth time" $(($(requests READ) - before)) 0
}

unmount_imagefs() {
	local point=${1:-$MNT} pid
	pid=$(daemon_pid "$point") || pid=
	umount "$point" 2>/dev/null || fusermount3 -u "$point" # the latter for users without root
	[ -z "$pid" ] || wait_until 10 gone "$pid"
}

# --- servers --------------------------------------------------------------------

udp_bound() { grep -qiE "^ *[0-9]+: [0-9A-F]+:$(printf %04X "$1") " /proc/net/udp; }

start_dnsmasq() { # start_dnsmasq ROOT [options]: on port 69, which is not configurable
	local root=$1
	shift
	requires root netns dnsmasq
	dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --port=0 --enable-tftp \
		--tftp-root="$root" --log-facility="$T/dnsmasq.log" --pid-file= "$@" &
	PIDS+=($!)
	wait_until 10 udp_bound 69
}

start_tftpd() { # start_tftpd ROOT: tftpd-hpa, chrooted, on port 6969
	requires root netns in.tftpd
	in.tftpd -L -4 -a :6969 --secure "$1" 2>"$T/tftpd.log" &
	PIDS+=($!)
	wait_until 10 udp_bound 6969
}
# That of Debian 13 leaves its very first request unanswered: ask for its directory until it refuses that. (Its child
# looks for dev and usr in there then.)
tftpd_answers() { tftp probe 127.0.0.1 6969 . >/dev/null 2>&1 || true; }

tftp() { "$PYTHON" "$TOOLS/tftp.py" "$@"; }

# Lines of status as they are before they are folded.
unfolded() { sed -e ':a' -e '$!N;s/\n    \([^ ]\)/ \1/;ta' -e 'P;D' "$@"; }

# The servers below serve one image, writable, and set $URI.
start_nbd_server() { # start_nbd_server IMAGE ["option = value"...]
	local image=$1
	shift
	requires nbd-server
	{
		printf '[generic]\nunixsock = %s\nallowlist = true\n' "$T/nbd.sock"
		[ "$(id -u)" != 0 ] || printf 'user = root\ngroup = root\n'
		printf '[disk]\nexportname = %s\n' "$image"
		printf '%s\n' "$@"
	} >"$T/nbd.conf"
	nbd-server -C "$T/nbd.conf" -p "$T/nbd.pid" 2>"$T/nbd-server.log"
	wait_until 10 test -S "$T/nbd.sock"
	wait_until 10 test -s "$T/nbd.pid"
	PIDS+=("$(cat "$T/nbd.pid")")
	URI="nbd+unix:///disk?socket=$T/nbd.sock"
}

start_nbdkit() { # start_nbdkit IMAGE [nbdkit options before the plugin]
	local image=$1
	shift
	requires nbdkit
	nbdkit -U "$T/nbdkit.sock" -P "$T/nbdkit.pid" "$@" file "$image"
	wait_until 10 test -s "$T/nbdkit.pid"
	PIDS+=("$(cat "$T/nbdkit.pid")")
	URI="nbd+unix:///?socket=$T/nbdkit.sock"
}

# slow_storage device|fuse|nbd MILLISECONDS: $SRC/slow.img is $T/slow.img, on storage that answers every read after so long; $T/reads.txt
# has what it was asked for.
slow_storage() {
	requires nbdkit nbdfuse
	local slow
	nbdkit -U "$T/slow.sock" -P "$T/nbdkit.pid" --filter=log --filter=delay file "$T/slow.img" "rdelay=${2}ms" \
		"logfile=$T/reads.txt" 2>"$T/nbdkit.log"
	wait_until 10 test -s "$T/nbdkit.pid"
	PIDS+=("$(cat "$T/nbdkit.pid")")
	if [ "$1" = nbd ]; then
		ln -s "nbd+unix:///?socket=$T/slow.sock" "$SRC/slow.img"
		return
	fi
	mkdir "$T/export"
	nbdfuse -r "$T/export/slow.img" --unix "$T/slow.sock" 2>"$T/nbdfuse.log" &
	PIDS+=($!)
	wait_until 10 test -s "$T/export/slow.img"
	if [ "$1" = device ]; then
		requires loop
		loop_device slow "$T/export/slow.img" --read-only --direct-io=on
		ln -s "$slow" "$SRC/slow.img"
	else
		ln -s "$T/export/slow.img" "$SRC/slow.img"
	fi
}

start_qemu_nbd() { # start_qemu_nbd IMAGE [options]
	local image=$1
	shift
	requires qemu-nbd
	qemu-nbd --fork --persistent --shared=4 -f raw -k "$T/qemu.sock" \
		--pid-file="$T/qemu.pid" "$@" "$image"
	PIDS+=("$(cat "$T/qemu.pid")")
	URI="nbd+unix:///?socket=$T/qemu.sock"
}
