#!/bin/bash
# The servers' commands and configurations in imagefs-control(7) and nbdkit-imagefs-filter(1),
# taken from the pages and run as they stand: each reports. Then that page's
# program for who writes himself.
. "$(dirname "$0")/../lib.sh"
CHANGES=events
requires root netns fuse groff nbdkit qemu-nbd nbd-server
"$PYTHON" -c 'import nbd' 2>/dev/null || skip "needs python3-libnbd"
FILTER=$(realpath -m "${FILTER:-$TOP/build/contrib/nbdkit/nbdkit-imagefs-filter.so}")
[ -e "$FILTER" ] || skip "needs $FILTER (nbdkit-plugin-dev)"
mount -t tmpfs tmpfs /srv
mkdir /srv/images /srv/boot
for name in jammy noble; do board /srv/images/$name.img $name; done
mount_imagefs /srv/images /srv/boot
cd /srv/images || exit 1

page() { groff -man -Tascii -rLL=200n -P-cbou "$TOP/$1"; }
# commands PAGE SERVER: each of it, on one line; as it stands but for where the filter is.
commands() {
	page "$1" | sed -e ':a; /\\$/{N; s/\\\n *//; ba}' | sed -nE "s/^ +($2 .*-.*)/\\1/p" | grep -v '\[\.\.\.\]' |
		sed "s|--filter=imagefs|--filter=$FILTER|"
}
listens() { grep -qE "^ *[0-9]+: [0-9A-F]+:2A39 [0-9A-F:]+ 0A" /proc/net/tcp /proc/net/tcp6; }
deaf() { ! listens; }
reports() { # reports FORM URI...: of jammy
	local form=$1 uri
	wait_until 10 listens
	for uri in "${@:2}"; do
		"$PYTHON" "$TOOLS/reported.py" /run/imagefs/boot/status.json jammy "$form" "$uri" >/dev/null || fail "$uri"
	done
}
end() { # the servers of that name: they are of this namespace
	pkill -x "$1"
	wait_until 10 deaf
}
count=0
serve_nbdkit() { # serve_nbdkit PAGE
	local command uri
	commands "$1" nbdkit >"$T/commands"
	while read -r -u 9 command; do
		echo "+ $command"
		uri=nbd://127.0.0.1
		[[ $command != *dir=/srv/images* ]] || uri+=/jammy.img
		if [[ $command = *'nbd socket='* ]]; then
			# That other server.
			qemu-nbd --fork --persistent --shared=0 --format=raw --discard=unmap -k /run/qemu-nbd.sock jammy.img
		fi
		bash -ec "$command"
		if [[ $command = *' imagefs'[-=]* ]]; then
			reports text "$uri"
		else
			wait_until 10 listens
			# Without reports there is the page.
			"$PYTHON" -c 'import nbd, sys
client = nbd.NBD()
client.connect_uri(sys.argv[1])
assert client.pread(8, 0) == b"imgfsWR1"' "$uri@writes" || fail "$command: no page"
		fi
		end nbdkit
		count=$((count + 1))
	done 9<"$T/commands"
}
serve_nbdkit contrib/nbdkit/nbdkit-imagefs-filter.1
pkill -x qemu-nbd
serve_nbdkit fuse/imagefs-control.7
is "commands of nbdkit" $count 5

page fuse/imagefs-control.7 | sed -n '/^ *\[jammy\]/,/transactionlog/s/^ *//p' >"$T/section"
[ "$(wc -l <"$T/section")" = 3 ] || fail "nbd-server: $(cat "$T/section")"
{ printf '[generic]\nuser = root\ngroup = root\n'; cat "$T/section"; printf 'flush = true\nfua = true\ntrim = true\n'; } >"$T/nbd.conf"
nbd-server -C "$T/nbd.conf" -p "$T/nbd.pid" 2>"$T/nbd-server.log"
reports nbd-server nbd://127.0.0.1/jammy
end nbd-server

bash -ec "$(page fuse/imagefs-control.7 | sed -nE 's/^ +(echo flush.*)/\1/p' | grep .)"
{
	echo 'import json, os; data = bytes(4096)'
	page fuse/imagefs-control.7 | sed -nE '/report = os.open/,/b"done/s/^ *//p'
	echo 'print(json.dumps([i["reports"] for i in json.load(open("/run/imagefs/boot/status.json"))["images"] if i["name"] == "jammy"][0]))'
} >"$T/program.py"
[ "$(wc -l <"$T/program.py")" = 7 ] || fail "program: $(cat "$T/program.py")"
"$PYTHON" "$T/program.py" >"$T/out"
grep -q '"form": "text", "writes": 1' "$T/out" || fail "$(cat "$T/out")"
cd / && umount /srv/boot
