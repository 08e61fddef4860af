#!/bin/bash
# R: what imagefs-writes(7) shows, as it stands: a qcow2 image behind qemu-nbd and nbdkit, and its programs,
# which read what was written, whole and fresh.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
requires groff qemu-nbd qemu-img
page() { groff -man -Tascii -rLL=200n -P-cbou "$TOP/fuse/imagefs-writes.7"; }
listens() { grep -qE "^ *[0-9]+: [0-9A-F]+:2A39 [0-9A-F:]+ 0A" /proc/net/tcp /proc/net/tcp6; }
cd "$T" || exit 1
mount -t tmpfs tmpfs /run # where its socket is
qemu-img create -q -f qcow2 jammy.qcow2 64M
page | sed -n '/^ *qemu-nbd --fork/,/^ *nbdkit /s/^ *//p' | sed "s|--filter=imagefs|--filter=$FILTER|" >commands
[ "$(wc -l <commands)" = 3 ] || fail "commands: $(cat commands)"
bash -ec "$(cat commands)"
wait_until 10 listens
page | sed -n '/^ *import nbd, struct/,/^ *break/p' >program.py
"$PYTHON" - <<'PYTHON'
import nbd, textwrap
program = textwrap.dedent(open("program.py").read())
assert len(program.splitlines()) > 10, program
client = nbd.NBD()
client.connect_uri("nbd://localhost/")
for byte in b"a", b"b":
    client.pwrite(byte * 65536, 1 << 20)
    seen = {}
    exec(program, seen)
    assert seen["data"] == byte * 65536
PYTHON
page | sed -n '/^ *nbdsh /,/^$/p' >nbdsh.sh
nbdsh() { "$PYTHON" -m nbd "$@"; } # as the program does, which may be for another Python
is "nbdsh" "$(. ./nbdsh.sh)" "(2, 2)"
pkill -x nbdkit && pkill -x qemu-nbd # of this namespace
