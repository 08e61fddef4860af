#!/bin/bash
# P: p_servers.sh nbd-server|nbd-server-datalog: an unmodified server reports through its log. It is shown in the
# right form, its writes are counted, a client or server that is killed is forgotten and
# hangs nobody; when the daemon is killed the export goes on and takes new clients, and when
# it is back new connections are reported.
. "$(dirname "$0")/../lib.sh"
CHANGES=events
requires root netns
server=$1
for name in jammy focal; do
	make_image "$SRC/$name.img" 16 12
	put old "$SRC/$name.img" /config.txt
done
mount_imagefs
case $server in
nbd-server)
	start() { start_nbd_server "$SRC/jammy.img" 'flush = true' 'fua = true' 'trim = true' "transactionlog = $CONTROL/jammy"; } ;;
nbd-server-datalog)
	start() { start_nbd_server "$SRC/jammy.img" 'flush = true' 'trim = true' 'datalog = true' "transactionlog = $CONTROL/jammy"; } ;;
esac
start
json() { "$PYTHON" -c 'import json, sys; status = json.load(open(sys.argv[1])); jammy, focal = (next(i for i in status["images"] if i["name"] == n) for n in ("jammy", "focal")); reports = jammy["reports"]; print(eval(sys.argv[2]))' "$CONTROL/status.json" "$1"; }
true_of() { [ "$(json "bool($1)")" = True ]; }

# session NUMBER: a client to talk to, until `hang_up NUMBER`.
session() {
	mkfifo "$T/to$1" "$T/from$1"
	"$PYTHON" "$TOOLS/nbd_session.py" "$URI" <"$T/to$1" >"$T/from$1" 2>"$T/session$1.log" &
	eval "session$1=\$! ; exec {to$1}>\"\$T/to$1\" {from$1}<\"\$T/from$1\""
	PIDS+=($!)
	answer "$1" ready
}
answer() { # answer NUMBER WANTED
	local line from=from$1
	read -r -t 20 -u "${!from}" line || fail "client $1 was not answered"
	is "client $1" "$line" "$2"
}
say() { # say NUMBER COMMAND...
	local to=to$1
	echo "${*:2}" >&"${!to}"
	answer "$1" ok
}
hang_up() {
	local to=to$1 from=from$1 process=session$1
	eval "exec ${!to}>&- ${!from}<&-"
	wait "${!process}" || true
	rm "$T/to$1" "$T/from$1"
}

session 1
say 1 write 0x400000 4096 1
say 1 write 0x500000 65536 2
say 1 flush
say 1 trim 0x600000 4096
wait_until 10 true_of "reports['writes'] >= 3"
is "written" "$(json "reports['written_bytes']")" $((4096 + 65536 + 4096))
is "in flight" "$(json "reports['in_flight']")" 0
is "its form" "$(json "reports['reporters'][0]['form']")" nbd-server
process=$(json "reports['reporters'][0]['pid']")
is "its process" "$(readlink "/proc/$process/exe")" "$(readlink -f "$(command -v "${server%-datalog}")")"
wait_until 20 true_of "reports['exact']"
is "the other image has none" "$(json "focal.get('reports', {}).get('reporter_count', 0)")" 0
is "the mount" "$(cat "$MNT/jammy/config.txt")" old

session 2
say 2 write 0x700000 512 3
wait_until 10 true_of "reports['writes'] >= 4"
hang_up 2
say 1 write 0x400000 4096 5
# Its client is killed.
kill -KILL "$session1"
hang_up 1
wait_until 20 true_of "reports['reporter_count'] == 0"
session 3
say 3 write 0x400000 4096 6
wait_until 20 true_of "reports['reporter_count'] >= 1"

# The client's server is killed.
process=$(json "reports['reporters'][0]['pid']")
kill -KILL "$process"
wait_until 20 true_of "reports['reporter_count'] == 0"
is "nothing stays in flight" "$(json "reports['in_flight']")" 0
hang_up 3
session 4
say 4 write 0x400000 4096 7
wait_until 20 true_of "reports['reporter_count'] == 1"

# The daemon is killed: the export does not notice.
kill -KILL "$(daemon_pid)"
for i in {1..20}; do say 4 write $((0x400000 + i * 4096)) 4096 $i; done
say 4 flush
session 5
say 5 write 0x400000 4096 8
say 5 flush
hang_up 5
# It is back: who stays connected is silent, who comes reports again.
mount_imagefs
say 4 write 0x400000 4096 9
is "the mount" "$(cat "$MNT/jammy/config.txt")" old
session 6
say 6 write 0x400000 4096 10
wait_until 20 true_of "reports['reporter_count'] == 1"
hang_up 6
hang_up 4
is "after all" "$(cat "$MNT/jammy/config.txt")" old
is "what the client wrote" "$(od -An -tu1 -N1 -j $((0x400000 + 20 * 4096)) "$SRC/jammy.img" | tr -d ' ')" 20
