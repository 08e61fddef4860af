#!/bin/bash
# R: TLS by libnbd's own parameters: imagefsctl reads over it, and refuses a server or a key that is wrong; a mount, whose daemon may
# read no files, says so, and reads by way of a socket of this machine, as imagefs(8) has it.
. "$(dirname "$0")/../lib.sh"
requires root nbdkit
imagefsctl() { "$(dirname "$IMAGEFS")/imagefsctl" --control "$CONTROL" "$@"; }
board "$T/a.img" secret
echo "imagefs:$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" >"$T/keys"
serve() { # serve NAME OPTIONS...
	nbdkit -U "$T/$1" -P "$T/$1.pid" "${@:2}" 2>>"$T/nbdkit.log"
	wait_until 10 test -s "$T/$1.pid"
	PIDS+=("$(cat "$T/$1.pid")")
}
nbdkit --dump-config | grep -q '^tls=yes' || skip "nbdkit has no TLS"
serve far --tls=require --tls-psk="$T/keys" file "$T/a.img"
tls="nbds+unix://imagefs@/?socket=$T/far&tls-psk-file=$T/keys"
is "over TLS" "$(imagefsctl cat "$tls" config.txt)" secret
refuses "refuses it" imagefsctl cat "nbd+unix:///?socket=$T/far" config.txt
refuses "TLS with its block server fails" imagefsctl cat "${tls/imagefs@/other@}" config.txt
serve near nbd "uri=nbds+unix://imagefs@/?socket=$T/far" tls=require tls-username=imagefs tls-psk="$T/keys"
ln -s "nbd+unix:///?socket=$T/near" "$SRC/near"
ln -s "$tls" "$SRC/far"
mount_imagefs
wait_until 10 grep -qx secret "$MNT/near/config.txt"
if unfolded "$CONTROL/status" | grep -q 'built without libseccomp'; then exit 0; fi
refuses EIO cat "$MNT/far/config.txt"
unfolded "$CONTROL/status" | grep -q '^ *far: .*as in a mount' || fail "status does not say it"
