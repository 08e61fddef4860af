# Many heads (CONTRACT R); sourced after lib.sh. Bash.
#
# A store: images in $STORE behind a block server, written to by its clients alone. $HEADS heads: each has links of its own
# that name the store's images, a mount of its own, and a dnsmasq of its own on its own address of the loopback network. They
# share nothing else, as heads on machines of their own do.
#
# LONGER=n: n times the writes, rounds and seconds; for runs by hand.
#
# Gives: start_store, reader, writer (below); start_heads, start_head, kill_head, mount_of, address, fetch, at_heads.
# shellcheck shell=bash
requires root netns fuse dnsmasq
"$PYTHON" -c 'import nbd' 2>/dev/null || skip "needs python3-libnbd"
HEADS=${HEADS:-4} LONGER=${LONGER:-1}
STORE=$T/store STORE_KIND=
mkdir "$STORE"
SERVERS=() # of each head, its dnsmasq

# --- the store ----------------------------------------------------------------

# start_store KIND: serves each $STORE/NAME.img. Again after end_store: the same ones.
#   nbdkit, nbdkit-writes (beside each export NAME, NAME@writes), nbd-server: one server, by TCP
#   qemu-nbd: one server for each image, which bypasses the page cache
#   ceph: a Ceph cluster (ceph.sh), and on each head imagefs-rbd; ceph-qemu: heads read it through qemu-nbd
start_store() {
	STORE_KIND=$1
	"start_store_${STORE_KIND//-/_}"
}
start_store_nbdkit() { # start_store_nbdkit [OPTIONS]
	requires nbdkit
	rm -f "$T/store.pid"
	# One thread for each connection: with more, nbdkit 1.32 ends itself when a client goes with reads under way.
	nbdkit -f -t 1 -i 127.0.0.1 -p 10809 -P "$T/store.pid" "$@" file dir="$STORE" 2>>"$T/store.log" &
	STORE_PID=$!
	PIDS+=("$STORE_PID")
	wait_until 10 test -s "$T/store.pid"
}
start_store_nbdkit_writes() {
	local filter
	filter=$(realpath -m "${FILTER:-$TOP/build/contrib/nbdkit/nbdkit-imagefs-filter.so}")
	[ -e "$filter" ] || skip "needs $filter (nbdkit-plugin-dev)"
	start_store_nbdkit --filter="$filter"
}
start_store_nbd_server() {
	local image
	requires nbd-server
	printf '[generic]\nuser = root\ngroup = root\nlistenaddr = 127.0.0.1\n' >"$T/store.conf"
	for image in "$STORE"/*.img; do printf '[%s]\nexportname = %s\n' "$(basename "$image")" "$image"; done >>"$T/store.conf"
	rm -f "$T/store.pid"
	nbd-server -C "$T/store.conf" -p "$T/store.pid" 2>>"$T/store.log"
	wait_until 10 test -s "$T/store.pid"
	STORE_PID=$(cat "$T/store.pid")
	PIDS+=("$STORE_PID")
}
start_store_qemu_nbd() {
	local image name
	requires qemu-nbd
	STORE_PID=
	for image in "$STORE"/*.img; do
		name=$(basename "$image" .img)
		qemu-nbd --fork --persistent --shared=0 -f raw -x "$name" -k "$T/store-$name.sock" --pid-file="$T/store-$name.pid" \
			--cache=none --aio=native "$image"
		STORE_PID+=" $(cat "$T/store-$name.pid")"
	done
	# shellcheck disable=SC2206 # a list
	PIDS+=($STORE_PID)
}

# For each image a writer, qemu-nbd, a client of the cluster; and what heads read by, other clients.
# The cluster's OSD is what signal_store and end_store mean.
start_store_ceph() { start_cluster writer; }
start_store_ceph_qemu() { start_cluster writer "reader --read-only --cache=none"; }
start_cluster() { # start_cluster "ROLE [qemu-nbd's options]"...
	local image name
	requires qemu-nbd
	[ -z "${CEPH:-}" ] || { start_osd && STORE_PID=$CEPH_OSD && return; }
	# shellcheck source=tests/ceph.sh
	. "$HERE/ceph.sh"
	start_ceph
	for image in "$STORE"/*.img; do
		name=$(basename "$image" .img)
		rbd import --no-progress "$image" "rbd/$name" || fail "rbd import"
		# shellcheck disable=SC2086 # a list
		for role; do rbd_by_qemu "$name" $role; done
	done
	[ "$STORE_KIND" = ceph-qemu ] || at_heads start_imagefs_rbd_of
	STORE_PID=$CEPH_OSD
}
rbd_by_qemu() { # rbd_by_qemu NAME ROLE [options]
	qemu-nbd --fork --persistent --shared=0 -f raw -x "$1" -k "$T/$2-$1.sock" --pid-file="$T/$2-$1.pid" "${@:3}" \
		"rbd:rbd/$1:conf=$CEPH_CONF:rados_osd_op_timeout=1" 2>>"$T/store.log" || skip "needs qemu-block-extra: $(tail -n1 "$T/store.log")"
	PIDS+=("$(cat "$T/$2-$1.pid")")
}
start_imagefs_rbd_of() { # of that head
	start_imagefs_rbd rbd
	mv "$SOCKET" "$T/rbd$1.sock"
	RBD_SERVER[$1]=$SERVER
}
RBD_SERVER=()

# reader NAME HEAD: what that head's link says. writer NAME: who writes. Clients of one server (R), but of a Ceph cluster.
reader() {
	case $STORE_KIND in
	nbd*) echo "nbd://127.0.0.1/$1.img" ;;
	qemu-nbd) echo "nbd+unix:///$1?socket=$T/store-$1.sock" ;;
	ceph) echo "nbd+unix:///$1?socket=$T/rbd$2.sock" ;;
	ceph-qemu) echo "nbd+unix:///$1?socket=$T/reader-$1.sock" ;;
	esac
}
writer() {
	case $STORE_KIND in
	ceph*) echo "nbd+unix:///$1?socket=$T/writer-$1.sock" ;;
	*) reader "$1" ;;
	esac
}

# signal_store SIGNAL: all of its processes; nbd-server has a child for each client.
signal_store() {
	local pid
	for pid in $STORE_PID; do
		# shellcheck disable=SC2046 # a list
		kill -"$1" "$pid" $(cat "/proc/$pid/task/$pid/children") 2>/dev/null || true
	done
}
end_store() {
	signal_store KILL
	for pid in $STORE_PID; do
		wait "$pid" 2>/dev/null || true
		wait_until 10 gone "$pid"
	done
}

# bring NAME FILE: what is in FILE into that image, by a client of the store.
bring() {
	"$PYTHON" -c 'import sys, nbd
client = nbd.NBD()
client.connect_uri(sys.argv[1])
with open(sys.argv[2], "rb") as file:
	for at, block in enumerate(iter(lambda: file.read(1 << 20), b"")):
		if client.pread(len(block), at << 20) != block:
			client.pwrite(block, at << 20)
client.shutdown()' "$(writer "$1")" "$2"
}

make_states() { # into $STATES, if they are not there yet; see mkstates.py
	[ -z "${STATES:-}" ] || return 0
	STATES=$T/states
	mkdir "$STATES"
	"$PYTHON" "$TOOLS/mkstates.py" "$STATES"
}

# --- the heads ------------------------------------------------------------------

mount_of() { echo "$T/head$1"; }
address() { echo "127.0.0.$((10 + $1))"; }
at_heads() { # at_heads COMMAND...: with each head's number after it
	local number
	for ((number = 1; number <= HEADS; number++)); do "$@" "$number"; done
}

# Of every image of the store, on every head.
link_images() {
	local image number name
	for ((number = 1; number <= HEADS; number++)); do
		mkdir -p "$T/links$number" "$(mount_of "$number")"
		for image in "$STORE"/*.img; do
			name=$(basename "$image" .img)
			ln -sfn "$(reader "$name" "$number")" "$T/links$number/$name.img"
		done
	done
}
start_heads() {
	link_images
	at_heads start_head
}
tftp_of() { awk -v at="$(printf '%02X00007F:0045' $((10 + $1)))" '$2 == at { found = 1 } END { exit !found }' /proc/net/udp; }
start_head() { # also one that was killed: the mount that is left is taken over
	mount_imagefs ${HEAD_OPTIONS:+-o "$HEAD_OPTIONS"} "$T/links$1" "$(mount_of "$1")"
	dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --port=0 --enable-tftp --tftp-max=500 --bind-interfaces \
		--listen-address="$(address "$1")" --tftp-root="$(mount_of "$1")" --log-facility="$T/dnsmasq$1.log" --pid-file= &
	SERVERS[$1]=$!
	PIDS+=("${SERVERS[$1]}")
	wait_until 10 tftp_of "$1"
}
# As by a power failure: nothing is unmounted, nobody is told.
kill_head() {
	local pid
	for pid in "${SERVERS[$1]}" $(pids_of_daemons "$(mount_of "$1") "); do
		kill -KILL "$pid"
		wait "$pid" 2>/dev/null || true
		wait_until 10 gone "$pid"
	done
}
fetch() { # fetch HEAD NAME: over TFTP, on stdout
	tftp get "$(address "$1")" 69 "$2" --out "$T/fetched$1" >/dev/null && cat "$T/fetched$1"
}
status_of() { unfolded "/run/imagefs/head$1/status"; }

# --- what a head shows of far.img, and of a board beside it -----------------------------

# Heads with the image far.img, of the store, and local.img, of their own; $want is what config.txt should be.
start_heads_beside() {
	link_images
	at_heads add_local
	at_heads start_head
}
add_local() { board "$T/links$1/local.img" local; }
shows() { is "head $1" "$(fetch "$1" far/config.txt)" "$want"; }
comes() { wait_until 60 comes_at "$1"; } # and nothing else before: an error, or what is wanted
comes_at() {
	local got
	got=$(fetch "$1" far/config.txt) || return 1
	# What is said here wait_until throws away; the end of the test shows *.log.
	[ "$got" = "$want" ] || { echo "head $1: stale: got '$got', want '$want'" >"$T/stale.log" && exit 1; }
}
beside() { is "head $1, beside it" "$(fetch "$1" local/config.txt)" local; }
refused() { # with its reason, and in time
	local start=$EPOCHREALTIME
	refuses EIO cat "$(mount_of "$1")/far/config.txt"
	# C6; a busy machine is later, not so late as who waits for what never comes.
	awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { exit b - a > 5 }' || fail "head $1 refused after more than 5 s"
	grep -q '^ *far: ' <<<"$(status_of "$1")" || fail "head $1 does not say why: $(status_of "$1")"
}
refused_everywhere() {
	for _ in 1 2 3; do
		at_heads refused
		at_heads beside
	done
}

# --- boards that boot -------------------------------------------------------------

STORM=$(dirname "$IMAGEFS")/tftp-storm

# make_boards COUNT: an image for each, with what a Pi 4 asks for and a config.txt of its own; $BOARDS, their names;
# $T/true, the files.
make_boards() {
	local number name
	[ -x "$STORM" ] || skip "needs $STORM"
	"$TOP/tools/make-pi-image" --fast --small --size 64 "$T/one.img" >"$T/make.log"
	extract "$T/one.img@@4M" "$T/one"
	mkdir -p "$T/true"
	BOARDS=()
	for ((number = 1; number <= $1; number++)); do
		name=$((20000000 + number))
		cp --sparse=always "$T/one.img" "$STORE/$name.img"
		cp -rl "$T/one" "$T/true/$name"
		rm "$T/true/$name/config.txt"
		printf 'board=%s\n' "$name" >"$T/true/$name/config.txt"
		put @"$T/true/$name/config.txt" "$STORE/$name.img@@4M" /config.txt
		BOARDS+=("$name")
	done
}
# rewrite BOARD TEXT: its config.txt, by a client of the store; for all but a cluster the server has $STORE's own file, which
# must not be written to past it.
rewrite() {
	printf 'board=%s %s\n' "$1" "$2" >"$T/true/$1/config.txt"
	cp --sparse=always "$STORE/$1.img" "$T/rewritten.img"
	put @"$T/true/$1/config.txt" "$T/rewritten.img@@4M" /config.txt
	bring "$1" "$T/rewritten.img"
}
# told HEAD: it learns from the store what was written.
told() {
	cat "$(mount_of "$1")/${BOARDS[0]}/config.txt" >/dev/null 2>&1 || true
	[[ $(status_of "$1") == *"told by NAME@writes"* ]] # a pipe would end with who writes into it
}
# warm HEAD: it has seen what its own and all other boards ask for. Where nothing tells of writes what is read for the first
# time is believed after the settle time, and a TFTP server with one thread waits for that once for each file of each board.
warm() {
	! told "$1" || return 0
	local boards=("${BOARDS[@]/#/$(mount_of "$1")/}")
	"$PYTHON" -c 'import concurrent.futures, os, sys, time
def read(path):
	for _ in range(300):
		try:
			with open(path, "rb") as file:
				return file.read()
		except FileNotFoundError:
			return None
		except OSError:
			time.sleep(0.1)
	sys.exit("never read: " + path)
names = sys.argv[1].split()
with concurrent.futures.ThreadPoolExecutor(32) as pool:
	list(pool.map(read, [os.path.join(board, name) for name in names for board in sys.argv[2:]]))' \
		"config.txt start4.elf fixup4.dat initramfs8 bcm2711-rpi-4-b.dtb overlays/overlay_map.dtb cmdline.txt kernel8.img" \
		"${boards[@]}" || fail "head $1 does not show all boards"
}
boards_of() { # boards_of HEAD: every $HEADS-th board, as DHCP would spread them
	local number
	for ((number = $1 - 1; number < ${#BOARDS[@]}; number += HEADS)); do echo "${BOARDS[number]}"; done
}
# storm HEAD [BOARDS-OF-HEAD [options]]: they boot; what it says is in $T/storm$HEAD. Fails if one file was wrong.
storm() {
	local at=$1 boards
	mapfile -t boards < <(boards_of "${2:-$1}")
	"$STORM" -m 4 "${boards[@]/#/--board=}" --against "$T/true" "${@:3}" "$(address "$at")" >"$T/storm$at" 2>&1
}
# storms [options]: all boards at once, each from its head.
storms() {
	local number pids=() failed=
	for ((number = 1; number <= HEADS; number++)); do
		storm "$number" "$number" "$@" &
		pids[number]=$!
	done
	for ((number = 1; number <= HEADS; number++)); do
		wait "${pids[number]}" || { failed=1 && cat "$T/storm$number"; }
	done
	[ -z "$failed" ]
}
