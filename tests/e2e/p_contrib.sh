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
nbdkit-log)
	start_unit nbdkit/nbdkit-log@.service
	form='nbdkit log' ;;
qemu-nbd)
	requires qemu-nbd
	start_unit qemu-nbd/qemu-nbd-imagefs@.service
	form='qemu-nbd trace' ;;
esac
listens() { grep -qE "^ *[0-9]+: [0-9A-F]+:$(printf %04X 10809) [0-9A-F:]+ 0A" /proc/net/tcp /proc/net/tcp6; }
wait_until 10 listens
"$PYTHON" - "$CONTROL/status.json" "$form" "$jammy" $noble <<'PYTHON'
import json, sys, time
import nbd as libnbd
status, form = sys.argv[1:3]
for uri, name in zip(sys.argv[3:], ("jammy", "noble")):
    nbd = libnbd.NBD()
    nbd.connect_uri(uri)
    assert nbd.can_flush() and nbd.can_fua() and nbd.can_trim(), uri
    nbd.pwrite(nbd.pread(512, 0), 0, libnbd.CMD_FLAG_FUA)
    nbd.trim(4096, nbd.get_size() - 4096)
    nbd.flush()
    deadline = time.monotonic() + 20
    while True:
        reports = [image["reports"] for image in json.load(open(status))["images"] if image["name"] == name][0]
        if reports["writes"] >= 2 and reports["in_flight"] == 0 and reports["exact"]:
            break
        assert time.monotonic() < deadline, reports
        time.sleep(0.05)
    assert reports["reporters"][0]["form"] == form, reports
    print(name, reports)
    nbd.shutdown()
PYTHON
