#!/bin/bash
# S4: no byte of an image is looked into by who has privileges, at the start neither: of one image, mounted
# alone, on storage that does not answer yet. C6: it is mounted all the same, and served when that answers.
. "$(dirname "$0")/../lib.sh"
requires root nbdkit nbdfuse
make_image "$T/one.img" 2 12
put one "$T/one.img" /config.txt
nbdkit -U "$T/slow.sock" -P "$T/nbdkit.pid" file "$T/one.img" 2>"$T/nbdkit.log"
wait_until 10 test -s "$T/nbdkit.pid"
server=$(cat "$T/nbdkit.pid")
PIDS+=("$server")
mkdir "$T/export"
nbdfuse -r "$T/export/one.img" --unix "$T/slow.sock" 2>"$T/nbdfuse.log" &
PIDS+=($!)
wait_until 10 test -s "$T/export/one.img"
kill -STOP "$server"
"$IMAGEFS" -f "$T/export/one.img" "$MNT" 2>"$T/imagefs.log" &
pid=$!
PIDS+=("$pid")
mounted() { grep -q " $MNT fuse.imagefs " /proc/self/mounts; }
wait_until 10 mounted
confined() { ! grep -hE '^Cap(Eff|Prm):' "/proc/$pid/task"/*/status | grep -qv '0000000000000000$'; }
wait_until 10 confined
# It reads: the storage that does not answer has somebody who waits for it.
waits() { grep -qE 'io_|cqring|fuse|folio|page' "/proc/$pid/task"/*/wchan; }
wait_until 10 waits
kill -CONT "$server"
served() { [ "$(cat "$MNT/config.txt" 2>/dev/null)" = one ]; }
wait_until 20 served
