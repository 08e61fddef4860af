#!/bin/bash
# R, S4: TLS with libnbd's own parameters, in a mount by root, by another user than root, and in imagefsctl: by certificates and by
# a key, over TCP and a unix socket, from nbdkit and nbd-server. The files are root's alone. What is wrong is that image's EIO, and
# status names it.
. "$(dirname "$0")/../lib.sh"
requires root netns
. "$HERE/tls.sh"
imagefsctl() { "$(dirname "$IMAGEFS")/imagefsctl" --control "$CONTROL" "$@"; }
board "$T/a.img" secret
serve() { # serve NAME OPTIONS...
	nbdkit -P "$T/$1.pid" "${@:2}" file "$T/a.img" 2>>"$T/nbdkit.log"
	wait_until 10 test -s "$T/$1.pid"
	PIDS+=("$(cat "$T/$1.pid")")
}
serve tcp -i 127.0.0.1 -p 10801 "${BY_CERTIFICATES[@]}"
serve psk -i 127.0.0.1 -p 10802 "${BY_KEY[@]}"
serve unix -U "$T/unix.sock" "${BY_CERTIFICATES[@]}"
serve unix-psk -U "$T/unix-psk.sock" "${BY_KEY[@]}"
serve plain -i 127.0.0.1 -p 10803
mine="tls-certificates=$TLS/client" key="tls-psk-file=$TLS/keys"
declare -A good=(
	[tcp]="nbds://localhost:10801/?$mine"
	[address]="nbds://127.0.0.1:10801/?$mine"
	[anybody]="nbds://localhost:10804/?$mine&tls-verify-peer=false"
	[unix]="nbds+unix:///?socket=$T/unix.sock&$mine"
	[psk]="nbds://imagefs@127.0.0.1:10802/?$key"
	[unix-psk]="nbds+unix://imagefs@/?socket=$T/unix-psk.sock&$key"
)
if command -v nbd-server >/dev/null; then
	cat >"$T/nbd.conf" <<-END
		[generic]
		user = root
		group = root
		listenaddr = 127.0.0.1
		certfile = $TLS/server/server-cert.pem
		keyfile = $TLS/server/server-key.pem
		cacertfile = $TLS/server/ca-cert.pem
		force_tls = true
		[disk]
		exportname = $T/a.img
	END
	nbd-server -C "$T/nbd.conf" -p "$T/nbd.pid" 2>"$T/nbd-server.log"
	wait_until 10 test -s "$T/nbd.pid"
	PIDS+=("$(cat "$T/nbd.pid")")
	good[nbd-server]="nbds://localhost/disk?$mine"
fi

# What is wrong, and what is said of it.
cp -r "$TLS/client" "$TLS/torn"
echo nonsense >"$TLS/torn/client-key.pem"
cp -r "$TLS/client" "$TLS/half"
rm "$TLS/half/client-key.pem"
mkdir "$TLS/none" "$TLS/nobody"
cp "$TLS/client/ca-cert.pem" "$TLS/nobody" # who asks is not said
echo "imagefs:$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')" >"$TLS/wrong"
mkfifo "$TLS/fifo"
# Who names a file may have no right to open it: it is not even opened. Its writer would go on.
(: >"$TLS/fifo" && touch "$T/fifo-was-opened") &
PIDS+=($!)
for other in elsewhere client; do # another host's, and no server's
	cp -r "$TLS/server" "$TLS/$other-server"
	purpose=(tls_www_server) name=localhost
	case $other in
	elsewhere) name=elsewhere ;;
	client) purpose=(tls_www_client) ;;
	esac
	certificate "$TLS/$other-server/server" "$TLS/ours" "cn = $name" "dns_name = $name" "${purpose[@]}" signing_key encryption_key
done
serve elsewhere -i 127.0.0.1 -p 10804 --tls=require --tls-certificates="$TLS/elsewhere-server"
serve client -i 127.0.0.1 -p 10805 --tls=require --tls-certificates="$TLS/client-server"
declare -A bad=(
	[authority]="nbds://localhost:10801/?tls-certificates=$TLS/other|certificate is not trusted"
	[name]="nbds://localhost:10804/?$mine|certificate is not trusted.*name"
	[purpose]="nbds://localhost:10805/?$mine|certificate is not trusted.*purpose"
	[system]="nbds://localhost:10801/|certificate is not trusted\|files for TLS cannot be used" # who has no certificates of the system
	[nobody]="nbds://localhost:10801/?tls-certificates=$TLS/nobody|TLS with its block server fails"
	[none]="nbds://localhost:10801/?tls-certificates=$TLS/none|files for TLS cannot be used: $TLS/none/ca-cert.pem: No such file"
	[half]="nbds://localhost:10801/?tls-certificates=$TLS/half|files for TLS cannot be used: $TLS/half/client-key.pem: No such file"
	[torn]="nbds://localhost:10801/?tls-certificates=$TLS/torn|files for TLS cannot be used: client-cert.pem, client-key.pem"
	[user]="nbds://other@127.0.0.1:10802/?$key|files for TLS cannot be used: .*there is no key of the user other"
	[wrong]="nbds://imagefs@127.0.0.1:10802/?tls-psk-file=$TLS/wrong|TLS with its block server fails"
	[fifo]="nbds://imagefs@127.0.0.1:10802/?tls-psk-file=$TLS/fifo|files for TLS cannot be used: $TLS/fifo: is no regular file"
	[kind]="nbds://imagefs@127.0.0.1:10801/?$key|TLS with its block server fails"
	[plain]="nbds://127.0.0.1:10803/|does not offer TLS"
	[export]="nbds://localhost/gone?$mine|no such export, or refuses it"
)
# nbdkit has any export.
[ -n "${good[nbd-server]:-}" ] || unset 'bad[export]'

for name in "${!good[@]}"; do ln -s "${good[$name]}" "$SRC/$name"; done
for name in "${!bad[@]}"; do ln -s "${bad[$name]%%|*}" "$SRC/bad-$name"; done
reads() { [ "$(cat "$MNT/$1/config.txt" 2>/dev/null)" = secret ]; }
says() { unfolded "$CONTROL/$1" | grep -q "$2"; }
# On a busy machine one has not answered yet: as in a mount, it is asked again.
ctl_reads() { [ "$(imagefsctl cat "${good[$1]}" config.txt)" = secret ]; }
ctl_refuses() { # ctl_refuses NAME TEXT
	! imagefsctl cat "${bad[$1]%%|*}" config.txt >"$T/said" 2>&1 && grep "$2" "$T/said" >/dev/null
}
for name in "${!good[@]}"; do wait_until 10 ctl_reads "$name"; done
for name in "${!bad[@]}"; do
	said=${bad[$name]#*|} # and no more than that: details are in status
	said=${said%%:*}
	wait_until 10 ctl_refuses "$name" "${said%%.\**}"
	! imagefsctl cat "${bad[$name]%%|*}" config.txt >/dev/null 2>&1 || fail "imagefsctl: $name: succeeded"
done

refused_so() { ! cat "$MNT/bad-$1/config.txt" 2>/dev/null && says "bad-$1" "${bad[$1]#*|}"; }
for user in root daemon; do
	mount_imagefs -o "run_as=$user" "$SRC" "$MNT"
	for name in "${!good[@]}"; do wait_until 10 reads "$name"; done
	for name in "${!bad[@]}"; do
		refuses EIO cat "$MNT/bad-$name/config.txt"
		wait_until 10 refused_so "$name"
	done
	# Nothing of it is for ever.
	mv "$TLS/keys" "$TLS/away"
	refused() { ! reads psk && says psk "$TLS/keys: No such file"; }
	wait_until 10 refused
	mv "$TLS/away" "$TLS/keys"
	wait_until 10 reads psk
	unmount_imagefs
done

[ ! -e "$T/fifo-was-opened" ] || fail "a file that is none was opened"

# Which hosts may be named counts for TLS, too.
mount_imagefs -o nbd=127.0.0.1 "$SRC" "$MNT"
wait_until 10 reads psk
refuses EIO cat "$MNT/tcp/config.txt"
says tcp 'nbd= does not allow' || fail "$(cat "$CONTROL/tcp")"
unmount_imagefs

# SOURCE itself.
mount_imagefs "${good[psk]}" "$MNT"
alone() { [ "$(cat "$MNT/config.txt")" = secret ]; }
wait_until 10 alone
