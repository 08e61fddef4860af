#!/bin/bash
# R, C6, S2: the store is stopped, killed and started again under four heads. On each its images are EIO, in time and with the
# reason; what that head has locally is served as ever; nothing of the store that is old, or half, is ever served: not even
# what changed while the store was away.
# usage: r_heads_faults.sh STORE
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../heads.sh"
board "$STORE/far.img" first
put @<(head -c 300000 /dev/urandom) "$STORE/far.img" /kernel8.img
start_store "$1"
start_heads_beside
want=first
at_heads comes

echo "stopped in the midst of a read"
exec 7<"$(mount_of 1)/far/kernel8.img"
signal_store STOP
refuses EIO cat /proc/self/fd/7
refused_everywhere
exec 7<&-
signal_store CONT
at_heads comes

echo "killed, and changed while it was away"
end_store
refused_everywhere
put second "$STORE/far.img" /config.txt
start_store "$1"
want=second
at_heads comes
for _ in 1 2 3; do at_heads shows; done

echo "restarted under those who ask"
for round in 1 2 3; do
	end_store
	put "round $round" "$STORE/far.img" /config.txt
	start_store "$1"
	want="round $round"
	# From the first answer on: who is answered at all is answered rightly.
	at_heads comes
	at_heads shows
done
