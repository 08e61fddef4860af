#!/bin/bash
# P: p_contrib.sh SERVER: what contrib/ configures is what reports. The command of the unit,
# or the configuration, is taken from there as it is, but for paths and users.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
server=$1
for name in jammy noble; do board "$SRC/$name.img"; done
mount_imagefs
here() {
	sed -e "s|/srv/images|$SRC|g; s|/run/imagefs/boot|$CONTROL|g; s|--filter=imagefs|--filter=$FILTER|; s|%i|jammy|g" \
		-e "s|\${PORT}|10809|; s|/usr/bin/||" "$TOP/contrib/$1"
}
start_unit() { # start_unit UNIT: its one command
	local command
	command=$(here "$1" | sed -e ':a; /\\$/{N; s/\\\n[[:space:]]*//; ba}' -e '/^ExecStart=/!d; s///')
	read -ra command <<<"$command"
	"${command[@]}" 2>"$T/server.log" &
	PIDS+=($!)
}
jammy=nbd://127.0.0.1/jammy noble=
case $server in
nbd-server)
	requires nbd-server
	{
		printf '[generic]\nuser = root\ngroup = root\n'
		here nbd-server/imagefs.conf
	} >"$T/nbd.conf"
	nbd-server -C "$T/nbd.conf" -p "$T/nbd.pid" 2>"$T/server.log"
	wait_until 10 test -s "$T/nbd.pid"
	PIDS+=("$(cat "$T/nbd.pid")")
	noble=nbd://127.0.0.1/89025d75 form=nbd-server ;;
nbdkit-filter)
	start_unit nbdkit/nbdkit-imagefs.service
	jammy=nbd://127.0.0.1/jammy.img noble=nbd://127.0.0.1/noble.img form=text ;;
esac
listens() { grep -qE "^ *[0-9]+: [0-9A-F]+:$(printf %04X 10809) [0-9A-F:]+ 0A" /proc/net/tcp /proc/net/tcp6; }
wait_until 10 listens
"$PYTHON" "$TOOLS/reported.py" "$CONTROL/status.json" jammy "$form" "$jammy"
[ -z "$noble" ] || "$PYTHON" "$TOOLS/reported.py" "$CONTROL/status.json" noble "$form" "$noble"
