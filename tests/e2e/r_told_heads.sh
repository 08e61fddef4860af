#!/bin/bash
# R, C1: any number of heads. Each write that the server has replied to is seen through both, 1,000 times in all; while one
# of them is stopped the writer goes on, and that one has all when it goes on.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
CHANGES=
make_fat32_image "$T/board.img"
put "$(printf 'written %-100s' 0)" "$T/board.img" counter.txt
start_filtered file "$T/board.img"
ln -s "$(uri board)" "$SRC/board.img"
mkdir "$T/two"
mount_imagefs -o settle=2 "$SRC" "$MNT"
one=$(daemon_pid)
mount_imagefs -o settle=2,control=none "$SRC" "$T/two"
two=$(daemon_pid "$T/two")
cat >"$T/heads.py" <<'PYTHON'
import errno, os, signal, sys
import nbd

uri, image, one, two, stopped = sys.argv[1:]
at = open(image, "rb").read().index(b"written 0 ")
writer = nbd.NBD()
writer.connect_uri(uri)


def write(number):
    writer.pwrite(b"written %-100d" % number, at)


refused = 0


def seen(mount):
    global refused
    try:
        return int(open(mount + "/board/counter.txt", "rb").read().split()[1])
    except OSError as error:  # on a machine that is too busy to connect in time
        refused += 1
        assert error.errno in (errno.EIO, errno.ESTALE) and refused < 50, (error, refused)
        return seen(mount)



for number in range(1, 501):
    write(number)
    for mount in one, two:
        assert seen(mount) == number, (mount, number)
os.kill(int(stopped), signal.SIGSTOP)
for number in range(501, 1501):
    write(number)
assert seen(one) == 1500
os.kill(int(stopped), signal.SIGCONT)
assert seen(two) == 1500
print(f"1,500 writes, 1,000 opens after a reply, 0 stale, {refused} refused")
PYTHON
"$PYTHON" "$T/heads.py" "$(uri board)" "$T/board.img" "$MNT" "$T/two" "$two"
for mount in "$MNT" "$T/two"; do cat "$mount/board/counter.txt" >/dev/null; done
umount "$T/two"
wait_until 10 gone "$two"
is "the other one" "$(daemon_pid)" "$one"
