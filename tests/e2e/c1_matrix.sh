#!/bin/bash
# C1, C2: with stock servers, whatever the writer and whatever it does to a file (in
# place at the same size and time, grown, shrunk, by rename, deleted and created again,
# trimmed, zeroed): every cache warm, and opened as soon as the write's reply is there.
# usage: c1_matrix.sh WRITER [SECONDS]       WRITER: a name in start_writer below
#   ROUNDS=n      of each image, instead of SECONDS (6)
#   IMAGES=n      at a time (16); SEED=n; SETTLED=percent of the rounds from rest (10)
#   MOUNT_OPTIONS for imagefs; STATES: what mkstates.py made, else it is made here
. "$(dirname "$0")/../lib.sh"
FRESH=${COHERENCE:-$TOP/build/tests/tools/coherence}/fresh
[ -x "$FRESH" ] || skip "needs libnbd-dev to be built"
writer=$1 seconds=${2:-6} images=${IMAGES:-16}
if [ -z "${STATES:-}" ]; then
	STATES=$T/states
	mkdir "$STATES"
	"$PYTHON" "$TOOLS/mkstates.py" "$STATES"
fi
args=()
for ((i = 0; i < images; i++)); do
	cp --sparse=always "$STATES/0.img" "$SRC/b$i.img"
done

# each COMMAND...: for every image, with $i and $image
each() { for ((i = 0; i < images; i++)); do image=$SRC/b$i.img; "$@"; done; }
add() { args+=("$1" "$MNT/b$i"); }

nbd_server() { # nbd_server KIND-OF-WRITER ["option = value"...]
	local kind=$1
	shift
	requires nbd-server
	{
		printf '[generic]\nunixsock = %s\nallowlist = true\n' "$T/nbd.sock"
		[ "$(id -u)" != 0 ] || printf 'user = root\ngroup = root\n'
		for ((i = 0; i < images; i++)); do
			printf '[b%d]\nexportname = %s\n' $i "$SRC/b$i.img"
			[ $# = 0 ] || printf '%s\n' "$@"
		done
	} >"$T/nbd.conf"
	nbd-server -C "$T/nbd.conf" -p "$T/nbd.pid" 2>"$T/nbd-server.log"
	wait_until 10 test -S "$T/nbd.sock"
	wait_until 10 test -s "$T/nbd.pid"
	PIDS+=("$(cat "$T/nbd.pid")")
	for ((i = 0; i < images; i++)); do add "$kind:nbd+unix:///b$i?socket=$T/nbd.sock"; done
}
nbdkit_for_each() { # nbdkit_for_each KIND-OF-WRITER [options]
	local kind=$1
	shift
	requires nbdkit
	nbdkit -U "$T/b$i.sock" -P "$T/b$i.pid" "$@" file "$image"
	wait_until 10 test -s "$T/b$i.pid"
	PIDS+=("$(cat "$T/b$i.pid")")
	add "$kind:nbd+unix:///?socket=$T/b$i.sock"
}
qemu_nbd() { # qemu_nbd CACHE AIO
	requires qemu-nbd
	qemu-nbd --fork --persistent --shared=4 -f raw -k "$T/b$i.sock" --pid-file="$T/b$i.pid" \
		--cache="$1" --aio="$2" --discard=unmap "$image" 2>"$T/qemu.log" || {
		grep -qi 'io_uring\|aio' "$T/qemu.log" && skip "no qemu-nbd --aio=$2 here"
		fail "qemu-nbd: $(cat "$T/qemu.log")"
	}
	PIDS+=("$(cat "$T/b$i.pid")")
	add "nbd:nbd+unix:///?socket=$T/b$i.sock"
}
tgt() { # tgt BSTYPE
	local tid=1
	requires root netns tgtd tgtadm
	grep -qa iscsi_write10_sync "$FRESH" || skip "needs libiscsi-dev to be built"
	export TGT_IPC_SOCKET=$T/tgt
	tgtd -f -C 7 --iscsi portal=127.0.0.1:3260 >"$T/tgtd.log" 2>&1 &
	PIDS+=($!)
	wait_until 10 tgtadm -C 7 --lld iscsi --op show --mode target
	for ((i = 0; i < images; i++)); do
		tid=$((i + 1))
		tgtadm -C 7 --lld iscsi --op new --mode target --tid $tid -T "iqn.2024-01.test:b$i"
		tgtadm -C 7 --lld iscsi --op new --mode logicalunit --tid $tid --lun 1 \
			-b "$(realpath "$SRC/b$i.img")" --bstype "$1"
		tgtadm -C 7 --lld iscsi --op update --mode logicalunit --tid $tid --lun 1 --params thin_provisioning=1
		tgtadm -C 7 --lld iscsi --op bind --mode target --tid $tid -I ALL
		add "iscsi:iscsi://127.0.0.1:3260/iqn.2024-01.test:b$i/1"
	done
}
behind_loop() { # behind_loop [losetup options]: the image is the file, the writer has the device
	local device
	requires root loop
	loop_device device "$image" "$@"
	add "direct:$device"
}
become_device() { # the image is the device, as a zvol or a logical volume would be
	local device
	requires root loop
	mv "$image" "$T/b$i"
	loop_device device "$T/b$i"
	ln -s "$device" "$image"
}
loop_node() { # loop_node KIND-OF-WRITER
	become_device
	add "$1:$(readlink "$image")"
}
start_writer() {
	case $writer in
	pwrite) each eval 'add "file:$image"' ;;
	direct) each eval 'add "direct:$image"' ;;
	dd) each eval 'add "dd:$image"' ;;
	nbd-server) nbd_server nbd ;;
	nbd-server-flush-fua-trim) nbd_server nbd,fua,flush "flush = true" "fua = true" "trim = true" ;;
	nbd-server-splice)
		# Its reads end in "Protocol error" then, without imagefs too.
		[[ $(nbd-server -V 2>&1) != *'version 3.26'* ]] || skip "nbd-server 3.26 cannot splice"
		nbd_server nbd "splice = true" ;;
	nbdkit) each nbdkit_for_each nbd ;;
	# Its trim goes past its cache, which then answers what was there before.
	nbdkit-cache) each nbdkit_for_each nbd,flush,notrim --filter=cache ;;
	qemu-nbd-*)
		IFS=- read -r _ _ cache aio <<<"$writer"
		each qemu_nbd "$cache" "$aio" ;;
	tgt-rdwr) tgt rdwr ;;
	tgt-aio) tgt aio ;;
	tgt-rdwr-device) each become_device && tgt rdwr ;;
	behind-loop) each behind_loop ;;
	behind-loop-direct) each behind_loop --direct-io=on ;;
	loop-node) each loop_node file ;;
	loop-node-direct) each loop_node direct ;;
	*) fail "no such writer" ;;
	esac
}
start_writer
mount_imagefs ${MOUNT_OPTIONS:+-o "$MOUNT_OPTIONS"} "$SRC" "$MNT"
how=(-s "$seconds")
[ -z "${ROUNDS:-}" ] || how=(-r "$ROUNDS")
printf '%-30s ' "$writer"
"$FRESH" "${how[@]}" -n "${SEED:-1}" -q "${SETTLED:-10}" "$STATES" "${args[@]}"
