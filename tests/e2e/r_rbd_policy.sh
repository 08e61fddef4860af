#!/bin/bash
# R: a pool, or an image, whose writers may keep to themselves what they have acknowledged is refused, with a line that
# says what to do; what is set later holds as well.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../ceph.sh"
start_ceph
said() { grep -q -- "$1" "$T/imagefs-rbd.log"; }
refused() { # refused POOL WHY [parameters]
	local text
	text=$(timeout 30 nbdkit -U "$T/other.sock" "$RBD_PLUGIN" "$1" "${@:3}" 2>&1) && fail "$1: it runs"
	[ "$(grep -c '^nbdkit: ' <<<"$text")" = 1 ] && [[ $text == *"pool $1: $2"* ]] || fail "$1: it says: $text"
}
can_read() { nbdinfo --size "$(rbd_uri "$1")" >/dev/null 2>&1; }
cannot_read() { ! can_read "$1"; }
requires nbdinfo nbdkit
[ -e "$RBD_PLUGIN" ] || skip "needs $RBD_PLUGIN (librbd-dev, nbdkit-plugin-dev)"

ceph osd pool create plain 8 2>/dev/null
rbd pool init --force plain
refused plain 'rbd_cache_policy is not set to writethrough'
rbd config pool set plain rbd_cache_policy writeback
refused plain 'rbd_cache_policy is not set to writethrough'
refused none 'the pool cannot be opened'
refused rbd 'the cluster cannot be reached' config=/dev/null timeout=1
rbd config pool set plain rbd_cache false
rbd config pool set plain rbd_persistent_cache_mode ssd
refused plain 'rbd_persistent_cache_mode is not disabled'
rbd config pool remove plain rbd_persistent_cache_mode
rbd create --size 8M plain/image
start_imagefs_rbd plain
can_read image
stop_imagefs_rbd
for setting in 'rbd_cache true' 'rbd_cache_policy writeback'; do rbd config pool set plain $setting; done
start_imagefs_rbd plain allow-writeback=true
said 'warning: pool plain: rbd_cache_policy'
can_read image
said 'warning: image .*: rbd_cache_policy'
stop_imagefs_rbd

# While it runs: an image's own settings, and the pool's.
rbd create --size 8M rbd/image
rbd create --size 8M rbd/other
start_imagefs_rbd rbd
can_read image
rbd config image set rbd/image rbd_cache_policy writeback
cannot_read image
cannot_read image@writes
can_read other
said 'is refused: rbd_cache_policy'
"$PYTHON" - "$SOCKET" <<'PYTHON'
import os, subprocess, sys, nbd
pages, data = nbd.NBD(), nbd.NBD()
pages.connect_uri("nbd+unix:///other@writes?socket=" + sys.argv[1])
data.connect_uri("nbd+unix:///other?socket=" + sys.argv[1])
instance = pages.pread(64, 0)[16:32]
def policy(value): subprocess.run(["rbd", "config", "pool", "set", "rbd", "rbd_cache_policy", value], check=True)
policy("writearound")
for client in pages, data: # nothing is there: the header is looked at
    try: client.pread(4096, 0)
    except nbd.Error as error: assert error.errnum == 5
    else: raise SystemExit("no error")
policy("writethrough")
assert pages.pread(64, 0)[16:32] != instance # who knows what was kept back
data.pread(4096, 0)
PYTHON
rbd config image remove rbd/image rbd_cache_policy
can_read image

# An image that is striped, and one that is being migrated.
rbd create --size 8M --stripe-unit 65536 --stripe-count 4 rbd/striped
cannot_read striped
said 'is refused: it is striped over several objects'
rbd migration prepare rbd/other rbd/moved 2>/dev/null
cannot_read moved
said 'is refused: it is being migrated'
rbd migration execute --no-progress rbd/moved 2>/dev/null
rbd migration commit --no-progress rbd/moved 2>/dev/null
can_read moved
