#!/bin/bash
# What boards asked for, and what was not there, as status tells it: through dnsmasq (one
# thread for all boards) and tftpd-hpa (a process for each request); a board without a link;
# one that asks without its prefix; bounded; not for ls -l.
. "$(dirname "$0")/../lib.sh"
requires root netns dnsmasq in.tftpd
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
[ -x "$IMAGEFSCTL" ] || fail "$IMAGEFSCTL is not built"
ctl() { "$IMAGEFSCTL" --control "$CONTROL" "$@"; }
status() { "$PYTHON" -c 'import json, sys; status = json.load(open(sys.argv[1])); images = {i["name"]: i for i in status["images"]}; asked = {a["board"]: a for i in status["images"] for a in i["asked"]}; print(eval(sys.argv[2]))' "$CONTROL/status.json" "$1"; }
for name in jammy focal; do
	board "$SRC/$name.img" "$name"
	mmd -i "$SRC/$name.img@@1M" ::overlays
	put tree "$SRC/$name.img" /overlays/dwc2.dtbo
done
ln -s jammy.img "$SRC/89025d75"
ln -s jammy.img "$SRC/11111111"
ln -s focal "$SRC/dc-a6-32-01-36-c2"
ln -s 89025d75 "$SRC/kitchen"
ln -s jammy/config.txt "$SRC/config.txt"
mount_imagefs
start_dnsmasq "$MNT"
start_tftpd "$MNT"

# Nobody asked yet; who lists does not ask.
ls -lR "$MNT" >/dev/null
is "nothing" "$(status "status['not_found'], status['names_not_found'], [i['opened'] for i in status['images']]")" "(0, [], [0, 0])"

get() { tftp get 127.0.0.1 "$1" "$2" >/dev/null; }
missing() { refuses 'error 1' tftp get 127.0.0.1 "$1" "$2"; }
for port in 69 6969; do
	get $port 89025d75/config.txt
	get $port dc-a6-32-01-36-c2/config.txt
	missing $port 89025d75/kernel8.img
	missing $port 89025d75/kernel8.img
	missing $port dc-a6-32-01-36-c2/overlays/gone.dtbo
	get $port 11111111/overlays/dwc2.dtbo
	get $port kitchen/config.txt
	get $port jammy/config.txt
	missing $port ffffffff/start4.elf
	missing $port start4.elf
	get $port config.txt
done
is "who" "$(status "sorted(str(b) for b in asked)")" "['11111111', '89025d75', 'None', 'dc-a6-32-01-36-c2', 'kitchen']"
is "found" "$(status "asked['89025d75']['opened'], asked['11111111']['opened'], asked['kitchen']['opened']")" "(2, 2, 2)"
is "not found" "$(status "[(n['name'], n['count']) for n in asked['89025d75']['names_not_found']]")" "[('kernel8.img', 4)]"
is "in a directory" "$(status "asked['dc-a6-32-01-36-c2']['names_not_found'][0]['name'], asked['11111111']['requests'][0]['name']")" \
	"('overlays/gone.dtbo', 'overlays/dwc2.dtbo')"
is "in order" "$(status "[(r['name'], r['result'], r['times']) for r in asked['89025d75']['requests']]")" \
	"[('kernel8.img', 'not found', 2), ('config.txt', 'found', 1), ('kernel8.img', 'not found', 2), ('config.txt', 'found', 1)]"
is "its version" "$(status "asked['89025d75']['requests'][1]['version']")" "$(stat -c %i "$MNT/89025d75/config.txt")"
is "without a board" "$(status "asked[None]['opened']")" 4
is "of the image" "$(status "images['jammy']['opened'], images['jammy']['not_found']")" "(10, 4)"
is "in the root" "$(status "status['not_found'], sorted((n['name'], n['count']) for n in status['names_not_found'])")" \
	"(4, [('ffffffff', 2), ('start4.elf', 2)])"

# For people.
ctl status >"$T/out"
grep -q '^asked for, and no image or board' "$T/out" && grep -qE '^  ffffffff  2 times, ' "$T/out" || fail "$(cat "$T/out")"
ctl status 89025d75 >"$T/out"
grep -q '^last requests of 89025d75 (2 opened, 4 not found):' "$T/out" || fail "$(cat "$T/out")"
grep -qE '^  kernel8.img  4 times, ' "$T/out" || fail "$(cat "$T/out")"
! grep -q 11111111: "$T/out" || fail "another board: $(cat "$T/out")"
is "of an image: all" "$(ctl status jammy | grep -c '^last requests')" 4
ctl metrics >"$T/metrics"
grep -qx 'imagefs_image_opens_total{image="jammy"} 10' "$T/metrics" || fail "$(cat "$T/metrics")"
grep -qx 'imagefs_image_not_found_total{image="jammy"} 4' "$T/metrics" || fail "$(cat "$T/metrics")"
grep -qx 'imagefs_board_opens_total{image="jammy",board="89025d75"} 2' "$T/metrics" || fail "$(cat "$T/metrics")"
grep -qx 'imagefs_board_not_found_total{image="focal",board="dc-a6-32-01-36-c2"} 2' "$T/metrics" || fail "$(cat "$T/metrics")"
grep -qx 'imagefs_board_name_not_found_total{image="jammy",board="89025d75",name="kernel8.img"} 4' "$T/metrics" ||
	fail "$(cat "$T/metrics")"
grep -qx 'imagefs_root_not_found_total 4' "$T/metrics" || fail "$(cat "$T/metrics")"

# What a file that was opened is now: another version, seen as such.
put changed "$SRC/jammy.img" /config.txt
get 69 89025d75/config.txt
is "another version" "$(status "[r['version'] for r in asked['89025d75']['requests'] if r['result'] == 'found'][0]")" \
	"$(stat -c %i "$MNT/89025d75/config.txt")"
# A board that is given another image goes on.
ln -sfn focal.img "$SRC/11111111"
get 69 11111111/config.txt
is "moved" "$(status "images['focal']['asked'][0]['board'], images['focal']['asked'][0]['opened']")" "('11111111', 3)"

# Broken: neither found nor absent.
read -r -a chain <<<"$(edit "$SRC/focal.img" chain /overlays)"
edit "$SRC/focal.img" setfat "${chain[0]}" "${chain[0]}"
refuses 'error 0' tftp get 127.0.0.1 69 dc-a6-32-01-36-c2/overlays/dwc2.dtbo
is "an error" "$(status "asked['dc-a6-32-01-36-c2']['requests'][0]['result']")" error

# Who looks himself is no board: neither at what is there, nor at what is not, nor in the root. The image counts it.
before=$(status "asked['89025d75'], status['not_found'], status['names_not_found'], len(asked)" | sed -E "s/'age_seconds': [0-9.]+//g")
opened=$(status "images['jammy']['opened']")
cat "$MNT/89025d75/config.txt" >"$T/got"
refuses ENOENT cat "$MNT/89025d75/start.elf"
refuses ENOENT ls "$MNT/no-board"
[ ! -e "$MNT/no-board-either" ] || fail "there"
is "not the board's" "$(status "asked['89025d75'], status['not_found'], status['names_not_found'], len(asked)" | sed -E "s/'age_seconds': [0-9.]+//g")" "$before"
is "the image's" "$(status "images['jammy']['opened']")" $((opened + 1))
is "of no board" "$(status "asked[None]['requests'][0]['name'], asked[None]['requests'][0]['result']")" "('start.elf', 'not found')"
is "its program" "$(status "sorted({r['program'] for r in status['requests'][-4:]})")" "['bash', 'cat', 'ls']"
is "boards' servers" "$(status "sorted({r['program'] for r in status['requests'] if r['board']})")" "['dnsmasq', 'in.tftpd']"

# Any names, thousands of them: bounded, and harmless.
"$PYTHON" - "$MNT" <<'PY'
import os, sys
root = os.fsencode(sys.argv[1])
names = [b"noise%d" % i for i in range(3000)] + [b'"\\\n\t\xff' + b"x" * 200, b"a\x1b[31mb"]
for name in names:
    for place in (root, root + b"/jammy", root + b"/89025d75"):
        try:
            os.stat(place + b"/" + name)
            sys.exit("found %r" % name)
        except FileNotFoundError:
            pass
PY
is "counted" "$(status "status['not_found'], len(status['names_not_found']), max(len(a['requests']) for a in asked.values())")" "(3006, 16, 16)"
ctl status >"$T/out"
ctl status jammy >>"$T/out"
ctl metrics >"$T/metrics"
is "names as metrics" "$(grep -c '^imagefs_board_name_not_found_total{image="jammy",board="89025d75"' "$T/metrics")" 16
! grep -q $'\033' "$T/out" || fail "control characters of a name"
[ "$(grep -c . "$T/out")" -lt 150 ] || fail "too long: $(wc -l <"$T/out") lines"

# In the log at -v, so many in a while.
mkdir "$T/second"
"$IMAGEFS" -f -v -o control=none "$SRC" "$T/second" 2>"$T/verbose.log" &
PIDS+=($!)
wait_until 10 is_mounted "$T/second"
refuses ENOENT cat "$T/second/89025d75/kernel7.img"
refuses ENOENT cat "$T/second/start.elf"
wait_until 10 grep -q 'jammy.img: 89025d75: kernel7.img: asked for, and not there' "$T/verbose.log"
wait_until 10 grep -q '/: start.elf: asked for, and not there' "$T/verbose.log"
for i in {1..300}; do [ ! -e "$T/second/jammy/noise$i" ] || fail "noise"; done
[ "$(grep -c noise "$T/verbose.log")" -lt 100 ] || fail "not limited"
