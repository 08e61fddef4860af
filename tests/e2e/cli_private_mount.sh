#!/bin/bash
# A mount that only the daemon's own mount namespace sees (a service with PrivateMounts=yes) is warned of; one
# that others see by propagation is not, nor one in everybody's namespace.
. "$(dirname "$0")/../lib.sh"
requires root netns
board "$SRC/a.img" text
warned() { grep -c 'not seen outside' "$T/imagefs.log"; }
ends() { # the daemon, whose mount is elsewhere
	kill "$1"
	wait_until 10 gone "$1"
}
mount --bind "$T" "$T"
mount --make-private "$T"
mount_imagefs
is "in everybody's: warnings" "$(warned)" 0
unmount_imagefs

unshare --mount --propagation unchanged "$IMAGEFS" "$SRC" "$MNT" 2>"$T/imagefs.log"
not_mounted || fail "a mount of another namespace is seen here"
is "seen by nobody: warnings ($(cat "$T/imagefs.log"))" "$(warned)" 1
ends "$(daemon_pid)"

mount --make-shared "$T"
unshare --mount --propagation unchanged "$IMAGEFS" "$SRC" "$MNT" 2>"$T/imagefs.log"
is "propagated" "$(cat "$MNT/a/config.txt")" text
is "seen by all: warnings ($(cat "$T/imagefs.log"))" "$(warned)" 0
ends "$(daemon_pid)"
