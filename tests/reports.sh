# Servers that report their writes (contract P); sourced after lib.sh. Bash.
#
# Gives: $FILTER, our nbdkit filter; the functions below, which set $URI as those of
# lib.sh do. REPORTS=no: the servers report to plain files, which tells what a test
# is worth.
# shellcheck shell=bash

# shellcheck disable=SC2034 # URI is for the test
export PYTHONPATH=$TOOLS # text_reporter.py
CHANGES=${CHANGES-events}
FILTER=$(realpath -m "${FILTER:-$TOP/build/contrib/nbdkit/nbdkit-imagefs-filter.so}")

# mount_reported [option,option...]: with the control files in $CONTROL.
mount_reported() {
	if [ "${REPORTS:-}" = no ]; then
		plain_control
		mount_imagefs -o "control=none${1:+,$1}" "$SRC" "$MNT"
		return
	fi
	mount_imagefs ${1:+-o "$1"} "$SRC" "$MNT"
	is_mounted "$CONTROL" || fail "no control files in $CONTROL"
}

plain_control() {
	local image
	mkdir -p "$CONTROL"
	for image in "$SRC"/*; do image=${image##*/} && : >"$CONTROL/${image%.*}"; done
}

# start_reporting SERVER IMAGE [CONTROL-FILE]: nbd-server, nbdkit-filter or nbdkit-delay.
start_reporting() {
	local server=$1 image=$2 control=${3:-}
	if [ -z "$control" ]; then
		control=$(basename "$image")
		control=$CONTROL/${control%.*}
	fi
	[ -w "$control" ] || fail "no control file $control"
	case $server in
	nbd-server) start_nbd_server "$image" "transactionlog = $control" ;;
	nbdkit-filter) start_nbdkit_with "$image" --filter="$FILTER" -- "imagefs=$control" ;;
	# Every write is in flight for longer than imagefs takes to believe in a rest.
	nbdkit-delay)
		start_nbdkit_with "$image" --filter="$FILTER" --filter=delay -- "imagefs=$control" wdelay=250ms ;;
	*) fail "no such server: $server" ;;
	esac
}

# start_unconfigured WRITER IMAGE: a server as it comes, or none. Sets $HOW, for the torture.
start_unconfigured() {
	local writer=$1 image=$2 cache aio
	case $writer in
	pwrite) HOW=file:$image ;;
	nbd-server) start_nbd_server "$image" && HOW=nbd:$URI ;;
	nbdkit) start_nbdkit "$image" && HOW=nbd:$URI ;;
	qemu-nbd-*)
		IFS=- read -r _ _ cache aio <<<"$writer"
		start_qemu_nbd "$image" --cache="$cache" --aio="$aio" --discard=unmap && HOW=nbd:$URI ;;
	*) fail "no such writer: $writer" ;;
	esac
}

# The kernel announces the writes to files in this directory.
kernel_tells() {
	requires root
	case $(stat -f -c %T "$T") in ext2/ext3 | xfs | btrfs) ;; *) skip "needs a temporary directory on ext4, xfs or btrfs" ;; esac
	printf '6.14\n%s\n' "$(uname -r)" | sort -V -C || skip "needs Linux 6.14"
}

start_nbdkit_with() { # start_nbdkit_with IMAGE [options before the plugin] -- [its parameters]
	[ -e "$FILTER" ] || skip "needs our nbdkit filter, which needs nbdkit-plugin-dev"
	local image=$1 before=() socket
	socket=$T/nbdkit-$(basename "$image")
	shift
	while [ "$1" != -- ]; do before+=("$1"); shift; done
	shift
	requires nbdkit
	nbdkit -U "$socket.sock" -P "$socket.pid" "${before[@]}" file "$image" "$@"
	wait_until 10 test -s "$socket.pid"
	PIDS+=("$(cat "$socket.pid")")
	URI="nbd+unix:///?socket=$socket.sock"
}

# reports_of IMAGE FIELD: what status says of its reports, as JSON.
reports_of() {
	"$PYTHON" -c 'import json, sys
images = json.load(open(sys.argv[1]))["images"]
print(json.dumps(next(image["reports"][sys.argv[3]] for image in images if image["name"] == sys.argv[2])))' \
		"$CONTROL/status.json" "$@"
}
is_exact() { [ "$(reports_of "$1" exact)" = true ]; }
is_not_exact() { [ "$(reports_of "$1" exact)" = false ]; }
