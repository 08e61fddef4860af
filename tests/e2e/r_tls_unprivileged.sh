#!/bin/bash
# R: a user without privileges mounts an image by TLS, with the files that he may read; of others' he is told that he may not.
. "$(dirname "$0")/../lib.sh"
requires root netns
. "$HERE/tls.sh"
a_user
board "$T/a.img" secret
nbdkit -i 127.0.0.1 -p 10801 -P "$T/nbdkit.pid" "${BY_CERTIFICATES[@]}" file "$T/a.img"
wait_until 10 test -s "$T/nbdkit.pid"
PIDS+=("$(cat "$T/nbdkit.pid")")
mkdir -p "$T/home/.pki"
cp -r "$TLS/client" "$T/mine"
cp -r "$TLS/client" "$T/home/.pki/libnbd"
ln -s "nbds://localhost:10801/?tls-certificates=$T/mine" "$SRC/mine"
ln -s "nbds://localhost:10801/" "$SRC/home"
ln -s "nbds://localhost:10801/?tls-certificates=$TLS/client" "$SRC/theirs"
chown -R 65534:65534 "$SRC" "$MNT" "$T/mine" "$T/home"
HOME=$T/home me "$IMAGEFS" -o "control=$T/home/control" "$SRC" "$MNT"
reads() { [ "$(me cat "$MNT/$1/config.txt" 2>/dev/null)" = secret ]; }
refused_for() { # refused_for TEXT: the board home
	! me cat "$MNT/home/config.txt" 2>/dev/null || return
	me cat "$T/home/control/home" | unfolded | grep -q "files for TLS cannot be used: $1"
}
wait_until 10 reads mine
wait_until 10 reads home
refuses EIO me cat "$MNT/theirs/config.txt"
text=$(me cat "$T/home/control/theirs")
unfolded <<<"$text" | grep -q "files for TLS cannot be used: $TLS/client/ca-cert.pem: Permission denied" || fail "$text"

# A directory that is found, and lacks something, is no reason to trust others.
rm "$T/home/.pki/libnbd/client-key.pem"
wait_until 10 refused_for "$T/home/.pki/libnbd/client-key.pem: No such file or directory"
me fusermount3 -u "$MNT"
wait_until 10 not_mounted
