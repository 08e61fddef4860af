#!/bin/bash
# N7: ten thousand images are normal: all are listed, any is served, and memory stays
# small. (How long a listing takes is for tools/bench to say.)
. "$(dirname "$0")/../lib.sh"
make_image "$T/board.img" 2 12
put text "$T/board.img" /config.txt
truncate -s 2M "$SRC/00000.img"
cp --sparse=always "$T/board.img" "$SRC/00000.img"
"$PYTHON" - "$T/board.img" "$SRC" <<'PY'
import os, sys
data = open(sys.argv[1], "rb").read()
used = [i for i in range(0, len(data), 4096) if any(data[i:i + 4096])]
for n in range(10000):
    fd = os.open("%s/%05d.img" % (sys.argv[2], n), os.O_RDWR | os.O_CREAT, 0o644)
    os.ftruncate(fd, len(data))
    for at in used:
        os.pwrite(fd, data[at:at + 4096], at)
    os.close(fd)
    os.symlink("%05d.img" % n, "%s/b%07x" % (sys.argv[2], n))
PY
mount_imagefs
is "images listed" "$(ls -U "$MNT" | wc -l)" 20000
is "directories" "$(find "$MNT" -maxdepth 1 -type d -name '[0-9]*' | wc -l)" 10000
is "links" "$(find "$MNT" -maxdepth 1 -type l | wc -l)" 10000
for n in 00000 04711 09999; do is "$n" "$(cat "$MNT/$n/config.txt")" text; done
is "through a link" "$(cat "$MNT/b000270f/config.txt")" text
rm "$SRC/05000.img"
is "one gone" "$(ls -U "$MNT" | wc -l)" 19999

# Memory: of a listing, of several at once, and of every image that somebody has gone into.
pid=$(daemon_pid)
resident() { awk '/VmRSS/ { print $2 }' "/proc/$pid/status"; }
listed=$(resident)
for ((i = 0; i < 4; i++)); do ls -U "$MNT" >/dev/null & listings[i]=$!; done
wait "${listings[@]}"
at_once=$(resident) threads=$(ls "/proc/$pid/task" | wc -l)
"$PYTHON" - "$MNT" <<'PY'
import os, sys
wrong = 0
for n in range(10000):
    if n == 5000:
        continue
    try:
        with open("%s/b%07x/config.txt" % (sys.argv[1], n)) as file:
            wrong += file.read() != "text"
    except OSError: # a busy machine
        pass
    if os.path.exists("%s/%05d/start4.elf" % (sys.argv[1], n)):
        wrong += 1
sys.exit(wrong != 0)
PY
read_all=$(resident)
echo "$NAME: $listed KiB resident after listings, $at_once after four at once ($threads threads)," \
	"$read_all with all 10,000 images in use: $((read_all * 1024 / 10000)) bytes for each, all told"
for kib in "$listed" "$at_once" "$read_all"; do [ "$kib" -lt 98304 ] || fail "$kib KiB resident"; done
