#!/bin/bash
# R, S4: who speaks TLS is a process for each connection, with nothing but two sockets, and no right to anything; the daemon never
# has a key. Both end with the daemon, with the process that opens images, and with their connection; one that is
# killed or stopped is its image's EIO, and well again by itself.
. "$(dirname "$0")/../lib.sh"
requires root netns
. "$HERE/tls.sh"
board "$T/a.img" secret
board "$SRC/near.img" near
serve() { # serve PORT OPTIONS...
	nbdkit -i 127.0.0.1 -p "$1" -P "$T/$1.pid" "${@:2}" file "$T/a.img" 2>>"$T/nbdkit.log"
	wait_until 10 test -s "$T/$1.pid"
	PIDS+=("$(cat "$T/$1.pid")")
}
serve 10801 "${BY_CERTIFICATES[@]}"
serve 10802 "${BY_KEY[@]}"
ln -s "nbds://localhost:10801/?tls-certificates=$TLS/client" "$SRC/cert"
ln -s "nbds://imagefs@127.0.0.1:10802/?tls-psk-file=$TLS/keys" "$SRC/psk"

reads() { [ "$(cat "$MNT/$1/config.txt" 2>/dev/null)" = secret ]; }
named() { # named COMM: processes of this test
	local process
	for process in /proc/[0-9]*; do
		[ "$(readlink "$process/exe" 2>/dev/null)" != "$IMAGEFS" ] || [ "$(cat "$process/comm" 2>/dev/null)" != "$1" ] || echo "${process#/proc/}"
	done
}
none() { [ -z "$(named imagefs-relay)$(named imagefs-tls)$(named imagefs-opener)" ]; }
field() { awk -v name="$2:" '$1 == name { print $2; exit }' "/proc/$1/status"; }
# privileges PROCESS CAPABILITIES UID
privileges() {
	is "capabilities of $1" "$(field "$1" CapEff) $(field "$1" CapPrm) $(field "$1" CapBnd)" "$2 $2 0000000000000000"
	is "no_new_privs of $1" "$(field "$1" NoNewPrivs)" 1
	is "the user of $1" "$(field "$1" Uid)" "$3"
}
start() {
	mount_imagefs -o run_as=daemon "$SRC" "$MNT"
	wait_until 10 reads cert
	wait_until 10 reads psk
}
# Relays go with the connection, after two seconds without a reader.
both() { reads cert && reads psk && [ "$(named imagefs-relay | wc -l)" -ge 2 ]; }

holds_still() { ! grep '^State:.[RSD]' "/proc/$1/status" >/dev/null; }

start
pid=$(daemon_pid) opener=$(named imagefs-opener) tls=$(named imagefs-tls)
privileges "$tls" 0000000000000004 "$(id -u daemon)" # DAC_READ_SEARCH 2
wait_until 10 both
seccomp=2
if unfolded "$CONTROL/status" | grep 'built without libseccomp' >/dev/null; then seccomp=0; fi
checked=0
look_at_relays() {
	local relay
	for relay in $(named imagefs-relay); do
		# One that is stopped does not end while it is looked at.
		kill -STOP "$relay" 2>/dev/null || continue
		wait_until 10 holds_still "$relay"
		grep '^State:.T' "/proc/$relay/status" >/dev/null 2>&1 || continue
		# Not before it has given up all: else it is not counted.
		[ "$(field "$relay" Seccomp)" = "$seccomp" ] || { kill -CONT "$relay" && continue; }
		[ $seccomp = 0 ] || grep '^Max data size  *67108864 ' "/proc/$relay/limits" >/dev/null || fail "$relay may take all memory"
		privileges "$relay" 0000000000000000 "$(id -u daemon)"
		is "threads" "$(field "$relay" Threads)" 1
		is "open" "$(for fd in "/proc/$relay/fd"/*; do readlink "$fd"; done | sed 's/:.*//' | sort | uniq -c | xargs)" "3 /dev/null 2 socket"
		kill -CONT "$relay"
		checked=$((checked + 1))
	done
}
while [ $checked -lt 2 ] && [ $SECONDS -lt 30 ]; do
	wait_until 10 both
	look_at_relays
done
[ $checked -ge 2 ] || fail "no relay was there long enough"

# The key, in memory, as GnuTLS has it: in relays, and in nobody else.
cat >"$T/search.py" <<'PYTHON'
import sys

key = bytes.fromhex(open(sys.argv[1]).read().strip().partition(":")[2])
wanted = [key, key.hex().encode()]
for process in sys.argv[2:]:
    found = 0
    try:
        with open(f"/proc/{process}/maps") as maps, open(f"/proc/{process}/mem", "rb") as memory:
            for line in maps:
                place, rights = line.split()[:2]
                first, end = (int(number, 16) for number in place.split("-"))
                # What a sanitizer has of its own is larger than any machine.
                if rights[0] != "r" or "[v" in line or end - first > 1 << 26:
                    continue
                memory.seek(first)
                try:
                    data = memory.read(end - first)
                except OSError:
                    continue
                found += any(one in data for one in wanted)
    except (FileNotFoundError, ProcessLookupError):
        continue
    print(process, found)
PYTHON
in_a_relay() {
	both || return 1
	# shellcheck disable=SC2046 # a list
	"$PYTHON" "$T/search.py" "$TLS/keys" $(named imagefs-relay) | grep ' [1-9]' >/dev/null
}
wait_until 10 in_a_relay # else the search finds no key where one is
is "processes with the key" "$("$PYTHON" "$T/search.py" "$TLS/keys" "$pid" "$opener" "$tls")" "$(printf '%s 0\n' "$pid" "$opener" "$tls")"
for process in $(named imagefs-relay) "$tls"; do
	awk '$1 == "Private_Dirty:" { print FILENAME, $2, "KiB of its own" }' "/proc/$process/smaps_rollup" 2>/dev/null || true
done

# Not used, it is gone.
idle() { [ -z "$(named imagefs-relay)" ]; }
wait_until 10 idle

# Killed, or stopped, in the middle of it.
wait_until 10 both
for relay in $(named imagefs-relay); do kill -KILL "$relay" || true; done
wait_until 10 both
for relay in $(named imagefs-relay); do kill -STOP "$relay" || true; done
is "a neighbour" "$(cat "$MNT/near/config.txt")" near
wait_until 10 both
for relay in $(named imagefs-relay); do kill -CONT "$relay" || true; done

# Who starts them is gone, and they with it, whatever they are at: said, and no matter to others.
wait_until 10 both
for relay in $(named imagefs-relay); do kill -STOP "$relay" || true; done
kill -KILL "$tls"
wait_until 10 idle
refused() { ! reads psk && unfolded "$CONTROL/psk" | grep -q 'process for that has ended: start imagefs again'; }
wait_until 10 refused
is "a neighbour" "$(cat "$MNT/near/config.txt")" near
unmount_imagefs
wait_until 10 none

for victim in daemon opener; do
	start
	wait_until 10 both
	case $victim in
	daemon) kill -KILL "$(daemon_pid)" ;;
	opener) kill -KILL "$(named imagefs-opener)" ;;
	esac
	wait_until 10 none
	umount -l "$MNT" 2>/dev/null || true
done
