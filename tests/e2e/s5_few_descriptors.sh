#!/bin/bash
# S5: with fewer descriptors than images each image is read all the same, also by many at a time,
# and while files are open in more images than there should be and servers report; an open file
# stays whole, and images that were looked at are closed for others. Deleted ones are closed within
# seconds, whatever the kernel remembers of them.
. "$(dirname "$0")/../lib.sh"
truncate -s 4M "$T/proto"
mkfs.fat -F 12 "$T/proto" >/dev/null
put text "$T/proto@@0" /config.txt
head -c 200000 /dev/urandom >"$T/kernel"
put "@$T/kernel" "$T/proto@@0" /kernel8.img
for i in $(seq 150); do cp --sparse=always "$T/proto" "$SRC/i$i.img"; done
bash -c 'ulimit -Sn 96; ulimit -Hn 96; exec "$@"' - "$IMAGEFS" "$SRC" "$MNT" 2>"$T/imagefs.log"
ls -l "$CONTROL" >"$T/out" 2>&1 || true # the kernel remembers control files, where there are some
for i in {101..110}; do
	[ ! -w "$CONTROL/i$i" ] || { exec {report}>"$CONTROL/i$i" && printf 'write 0 512\ndone\n' >&"$report"; }
	exec {held}<"$MNT/i$i/kernel8.img"
done
exec 7<"$MNT/i1/kernel8.img"
for round in 1 2; do
	for i in $(seq 150); do is "image $i" "$(cat "$MNT/i$i/config.txt")" text; done
done
is "listed" "$(ls "$MNT" | wc -l)" 150
"$PYTHON" - "$MNT" "$T/kernel" <<'PY'
import random, sys, threading
shown, want, failed = sys.argv[1], open(sys.argv[2], "rb").read(), []
def read(seed):
    for i in random.Random(seed).sample(range(1, 151), 40):
        try:
            if open("%s/i%d/kernel8.img" % (shown, i), "rb").read() != want: failed.append("bytes of %d" % i)
        except OSError as error:
            failed.append(str(error))
readers = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
for reader in readers: reader.start()
for reader in readers: reader.join()
assert not failed, (len(failed), failed[:3])
PY
# A user other than root may hold 16 of them open; past that opens are EIO, for this user.
[ "$(id -u)" != 0 ] || "$PYTHON" - "$MNT" <<'PY'
import errno, os, sys
shown, child = sys.argv[1], os.fork()
if child == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    held = [os.open("%s/i%d/config.txt" % (shown, i), os.O_RDONLY) for i in range(1, 17)]
    os.close(os.open(shown + "/i3/kernel8.img", os.O_RDONLY))
    try:
        os.open(shown + "/i17/config.txt", os.O_RDONLY)
        os._exit(1)
    except OSError as error:
        if error.errno != errno.EIO: os._exit(2)
    for i in range(17, 151):
        os.close(held.pop())
        held.append(os.open("%s/i%d/config.txt" % (shown, i), os.O_RDONLY))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
PY
for ((fd = 10; fd < 100; fd++)); do exec {fd}>&-; done
cmp - "$T/kernel" <&7
exec 7<&-

pid=$(daemon_pid)
held() { find "/proc/$pid/fd" -lname '*(deleted)' | wc -l; }
none_held() { [ "$(held)" = 0 ]; }
ls "$MNT/i150" "$MNT/i149" >/dev/null
exec 7<"$MNT/i148/kernel8.img" # open: kept until it is closed
rm "$SRC"/i{148,149,150}.img
wait_until 10 eval '[ "$(held)" -le 2 ]' # of one image: two descriptors at most
cmp - "$T/kernel" <&7
exec 7<&-
wait_until 10 none_held
