#!/bin/bash
# status --follow: what boards ask for, as it happens: in the order of all, each request once, by
# which program; of one board alone, also of one that has no link; what went by unseen is
# said; a daemon that is gone ends it.
. "$(dirname "$0")/../lib.sh"
requires root netns dnsmasq
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
[ -x "$IMAGEFSCTL" ] || fail "$IMAGEFSCTL is not built"
for name in jammy focal; do board "$SRC/$name.img"; done
ln -s jammy.img "$SRC/89025d75"
ln -s focal.img "$SRC/11111111"
ln -s gone.img "$SRC/22222222"
mount_imagefs
start_dnsmasq "$MNT"
get() { tftp get 127.0.0.1 69 "$1" >/dev/null; }
missing() { refuses 'error 1' tftp get 127.0.0.1 69 "$1"; }
get 89025d75/config.txt
"$IMAGEFSCTL" --control "$CONTROL" status --follow >"$T/all" &
all=$!
"$IMAGEFSCTL" --control "$CONTROL" status --follow 89025d75 >"$T/one" &
one=$!
"$IMAGEFSCTL" --control "$CONTROL" status --follow ffffffff >"$T/unknown" &
unknown=$!
PIDS+=($all $one $unknown)
# What was there before is shown at first.
for file in all one; do wait_until 10 grep -qE '^[0-9:]{8} 89025d75 \(jammy\): config.txt: found \[dnsmasq\]$' "$T/$file"; done

get 11111111/config.txt
missing 89025d75/kernel8.img
missing 89025d75/kernel8.img
missing 22222222/start4.elf
missing ffffffff/start4.elf
cat "$MNT/jammy/config.txt" >"$T/got"
wait_until 10 grep -q 'cat]' "$T/all"
cut -d' ' -f2- "$T/all" >"$T/got"
diff - "$T/got" <<'END' || fail "not all, in order and once"
89025d75 (jammy): config.txt: found [dnsmasq]
11111111 (focal): config.txt: found [dnsmasq]
89025d75 (jammy): kernel8.img: not found [dnsmasq]
89025d75 (jammy): kernel8.img: not found [dnsmasq]
22222222: leads to gone: no image and no link [dnsmasq]
ffffffff: no image and no link [dnsmasq]
jammy: config.txt: found [cat]
END
wait_until 10 grep -q ffffffff "$T/unknown"
is "of one board" "$(grep -c . "$T/one") $(grep -c '89025d75' "$T/one")" '3 3'
is "of one that has no link" "$(grep -c . "$T/unknown")" 1

# More at once than are remembered: none twice, and how many were not seen.
kill -STOP $all
"$PYTHON" - "$MNT/jammy" <<'PY'
import os, sys
for i in range(300):
    try:
        os.stat("%s/noise%d" % (sys.argv[1], i))
    except FileNotFoundError:
        pass
PY
kill -CONT $all
wait_until 10 grep -q 'noise299: not found' "$T/all"
unseen=$(sed -nE 's/^\(([0-9]+) requests went by unseen\)$/\1/p' "$T/all" | awk '{ n += $1 } END { print n + 0 }')
is "all but what was not seen" "$(grep -c noise "$T/all")" $((300 - unseen))
is "each once" "$(grep -o 'noise[0-9]*' "$T/all" | sort | uniq -d)" ''
[ "$unseen" -ge 150 ] || fail "$unseen went by unseen"

# It asks the daemon little: also of many images no more than a part of the time. Names are text only.
missing $'89025d75/\x1b[31mRED'
wait_until 10 grep -q RED "$T/all"
! grep -q $'\x1b' "$T/all" || fail "control characters of a name"

# The daemon is gone: so is who follows.
umount "$MNT"
wait_until 10 gone $all
status=0
wait $all || status=$?
is "exit status" $status 1
