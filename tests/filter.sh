# The nbdkit filter (contrib/nbdkit), against control files that only log; sourced
# after lib.sh. Bash.
#
# Gives: $FILTER; $REPORTED, a directory where every name is a control file and all
# that is written to one is a line of $LOG (tests/tools/control_log.c); the functions below.
# shellcheck shell=bash
requires root netns fuse nbdkit
"$PYTHON" -c 'import nbd' 2>/dev/null || skip "needs python3-libnbd"
FILTER=$(realpath -m "${FILTER:-$TOP/build/contrib/nbdkit/nbdkit-imagefs-filter.so}")
CONTROL_LOG=$(realpath -m "${CONTROL_LOG:-$TOP/build/tests/tools/control_log}")
NBD_LOAD=$(realpath -m "${NBD_LOAD:-$TOP/build/tests/tools/nbd_load}")
[ -e "$FILTER" ] || skip "needs $FILTER (nbdkit-plugin-dev)"
[ -x "$NBD_LOAD" ] || skip "needs $NBD_LOAD (libnbd-dev)"
CHANGES=${CHANGES-events}
REPORTED=$T/reported LOG=$T/reports.txt
mkdir "$REPORTED"

start_control_log() { # start_control_log [DELAY-MILLISECONDS]
	"$CONTROL_LOG" "$REPORTED" "$LOG" "$@"
	wait_until 10 is_mounted "$REPORTED"
}

control_log_pid() { pgrep -x -f "$CONTROL_LOG $REPORTED .*"; }

# start_filtered [nbdkit's options behind the filter] PLUGIN [parameters]: sets $SOCKET and $SERVER.
start_filtered() {
	SOCKET=$T/nbdkit-$((++filtered)).sock
	rm -f "$T/nbdkit.pid"
	nbdkit -f -U "$SOCKET" -P "$T/nbdkit.pid" --filter="$FILTER" "$@" 2>>"$T/nbdkit.log" &
	SERVER=$!
	PIDS+=("$SERVER")
	wait_until 10 test -s "$T/nbdkit.pid"
}
filtered=0

uri() { echo "nbd+unix:///${1:-}?socket=$SOCKET"; }

# client EXPORT <<<PYTHON: `nbd` is connected to it. (nbdsh may be for another Python.)
client() {
	"$PYTHON" -c 'import sys, time
import nbd as libnbd
nbd = libnbd.NBD()
nbd.connect_uri(sys.argv[1])
exec(sys.stdin.read())
nbd.shutdown()' "$(uri "${1:-}")"
}

# reports FILE: what was said there, line by line, without what is before it.
reports() { awk -v file="$1" '$3 == file { sub(/^[0-9]+ [0-9]+ [^ ]+ [0-9]+ /, ""); gsub(/; /, "\n"); print }' "$LOG"; }

# closed FILE: the server has closed it, which it does a little after its last client went.
closed() { wait_until 10 is_closed "$1"; }
is_closed() { [ "$(reports "$1" | tail -n1)" = close ]; }

# checked [OPTION]: the whole log keeps to the rules, and has this many writes.
checked() {
	local text
	text=$("$PYTHON" "$TOOLS/check_reports.py" "$LOG" "$@") || fail "the log: $text"
	echo "$NAME: $text"
}
