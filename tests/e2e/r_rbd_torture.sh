#!/bin/bash
# R, C1, C2: readers by the rules of imagefs-writes(7) beside all that can become of an RBD image: written, discarded, made
# independent of its parent, snapshots made, rolled back to and removed, removed and cloned again under the same name. What they
# accept is what the image had between the begin of their look and its end, and an object of it is of one moment.
# usage: r_rbd_torture.sh GENERATIONS
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../ceph.sh"
start_ceph
start_imagefs_rbd rbd
on_ceph <<PYTHON
generations, seed = $1, ${SEED:-$RANDOM}
$(cat "$TOOLS/rbd_torture.py")
PYTHON
