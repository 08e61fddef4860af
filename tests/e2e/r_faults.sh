#!/bin/bash
# R, C6, S2, E: a block server that is killed, stopped, slow, wrong or restarted is EIO for its own image, in time and with its
# reason, and well again by itself; the boards beside it, over the one dnsmasq, do not notice.
# usage: r_faults.sh unix|tcp|tls
. "$(dirname "$0")/../lib.sh"
requires root netns nbdkit nbd-server
board "$T/far.img" far
put @<(head -c 300000 /dev/urandom) "$T/far.img" /kernel8.img
for number in {00..19}; do board "$SRC/good$number.img" good; done
serve() { # serve OPTIONS... -- PLUGIN...: in the foreground, so that it can be killed
	local options=() pid
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	shift
	rm -f "$T/nbdkit.pid" "$T/sock"
	# One thread: with more, nbdkit 1.32 ends itself when a client goes with reads under way (raw_send_socket).
	nbdkit -f -t 1 "${where[@]}" -P "$T/nbdkit.pid" "${options[@]}" "$@" 2>>"$T/nbdkit.log" &
	server=$!
	PIDS+=("$server")
	wait_until 10 test -s "$T/nbdkit.pid"
}
case $1 in
unix) where=(-U "$T/sock") URI="nbd+unix:///far?socket=$T/sock" ;;
tls)
	. "$HERE/tls.sh"
	where=(-i 127.0.0.1 -p 10809 "${BY_CERTIFICATES[@]}") URI="nbds://localhost/far?tls-certificates=$TLS/client" ;;
tcp) where=(-i 127.0.0.1 -p 10809) URI=nbd://127.0.0.1/far ;;
esac
end_server() { kill -KILL "$server" && wait "$server" 2>/dev/null || true; }
ln -s "$URI" "$SRC/hostile.img"
serve -- file "$T/far.img"
mount_imagefs
start_dnsmasq "$MNT" --tftp-max=500
reads() { [ "$(cat "$MNT/hostile/config.txt" 2>/dev/null)" = far ]; }
says() { unfolded "$CONTROL/status" | grep -q "^ *hostile: .*$1"; }
# neighbours SECONDS: the others' boards, while this one asks too.
neighbours() { "$PYTHON" "$TOOLS/good_boards.py" 69 "$1"; }
wait_until 10 reads

echo killed
end_server
refuses EIO cat "$MNT/hostile/config.txt"
says 'does not run' || says "server's socket is not there" || fail "killed: $(cat "$CONTROL/status")"
neighbours 3
serve -- file "$T/far.img"
wait_until 10 reads

echo stopped
kill -STOP "$server"
refuses EIO cat "$MNT/hostile/config.txt"
neighbours 6
refuses EIO cat "$MNT/hostile/config.txt"
says 'does not answer' || fail "stopped: $(cat "$CONTROL/status")"
kill -CONT "$server"
wait_until 10 reads

echo stopped in the midst of a read, and killed
exec 7<"$MNT/hostile/kernel8.img"
kill -STOP "$server"
refuses EIO cat /proc/self/fd/7
end_server
refuses EIO cat /proc/self/fd/7
exec 7<&-
serve -- file "$T/far.img"
wait_until 10 reads
cmp "$MNT/hostile/kernel8.img" <(mtype -i "$T/far.img@@1M" ::kernel8.img)

echo wrong answers
end_server
serve --filter=error -- file "$T/far.img" error=EIO error-rate=100%
refuses EIO cat "$MNT/hostile/config.txt"
neighbours 3
end_server
serve --filter=exportname -- file "$T/far.img" exportname=other exportname-strict=true
refused_so() { ! reads && says 'no such export'; }
wait_until 10 refused_so # it is asked again after a moment
end_server
serve -- file "$T/far.img"
wait_until 10 reads

echo slow
end_server
serve --filter=delay -- file "$T/far.img" rdelay=40ms
wait_until 20 reads
neighbours 3
end_server

echo "restarted under readers"
serve -- file "$T/far.img"
wait_until 10 reads
for _ in 1 2 3; do
	end_server
	serve -- file "$T/far.img"
	wait_until 20 reads
done
