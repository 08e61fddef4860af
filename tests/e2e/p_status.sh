#!/bin/bash
# P, 4: status for people, for programs and for Prometheus, by cat and by imagefsctl: what is
# reported shows there; names of any bytes do no harm; no image is opened for it; bad usage
# is refused with one line.
. "$(dirname "$0")/../lib.sh"
CHANGES=events
requires root netns
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
[ -x "$IMAGEFSCTL" ] || fail "$IMAGEFSCTL is not built"
ctl() { "$IMAGEFSCTL" "$@"; }
# In this namespace there are none but ours.
awk '$3 == "fuse.imagefs-control" { print $2 }' /proc/self/mounts | while read -r point; do umount -l "$point"; done
for name in first jammy focal idle; do board "$SRC/$name.img" text; done
ln -s jammy.img "$SRC/89025d75"
ln -s jammy:1 "$SRC/dc-a6-32-01-36-c2"
truncate -s 1M "$SRC/zeros.img"
odd=$'odd "name\\ \n\t\xff\xc3\xa9'
cp "$SRC/jammy.img" "$SRC/$odd.img"
ln -s "$odd.img" "$SRC/odd"
mount_imagefs -o changes=events "$SRC" "$MNT"
json() { "$PYTHON" -c 'import json, sys; status = json.load(open(sys.argv[1])); images = {i["name"]: i for i in status["images"]}; print(eval(sys.argv[2]))' "$CONTROL/status.json" "$1"; }

# Nothing was looked at, and status looks at nothing.
for i in {1..5}; do cat "$CONTROL"/{status,status.json,metrics} >"$T/out"; done
is "idle" "$(json "sorted(i['state'] for i in status['images'])")" "['idle', 'idle', 'idle', 'idle', 'idle', 'idle']"
is "files of images that are open" "$(find "/proc/$(daemon_pid)/fd" -lname "$SRC/*.img" | sort -u | wc -l)" 0
is "complete" "$(json "status['complete']")" True

cat "$MNT/jammy/config.txt" >/dev/null
refuses EIO cat "$MNT/zeros/config.txt"
exec 7<"$MNT/jammy/config.txt"
is "boards" "$(json "images['jammy']['boards']")" "['89025d75', 'dc-a6-32-01-36-c2']"
is "partition" "$(json "images['jammy']['partition'] == dict(number=1, reason='only FAT', offset_bytes=1<<20, length_bytes=3<<20)")" True
is "changes" "$(json "images['jammy']['changes']")" 'inotify+ctime'
is "open files" "$(json "images['jammy']['open_files']")" 1
is "not looked at" "$(json "images['focal']['state']")" idle
is "a problem" "$(json "images['zeros']['problem'] and images['zeros']['last_error']['age_seconds'] < 60")" True
is "odd names" "$(json "[i for i in images if i.startswith('odd')]")" "['odd \"name\\\\ \\n\\t�é']"
exec 7<&-

# The text form, step by step.
wait_until 10 sh -c "grep -q '^reports: none' '$CONTROL/jammy'"
exec 8>"$CONTROL/jammy"
echo 'write 0x100000 4096 7' >&8
is "in flight" "$(json "images['jammy']['reports']['in_flight']")" 1
echo 'write 0x200000 512' >&8
is "in flight" "$(json "images['jammy']['reports']['in_flight']")" 2
is "its form" "$(json "images['jammy']['reports']['reporters'][0]['form']")" text
is "its process" "$(json "images['jammy']['reports']['reporters'][0]['pid']")" $$
is "its name" "$(json "images['jammy']['reports']['reporters'][0]['name']")" bash
printf 'done 7\ndone\n' >&8
is "ended" "$(json "[images['jammy']['reports'][k] for k in ('in_flight', 'writes', 'written_bytes')]")" '[0, 2, 4608]'
believed() { [ "$(json "images['jammy']['reports']['exact']")" = True ]; }
wait_until 10 believed
grep -qE '^jammy .* exact: text ' "$CONTROL/status" || fail "not in the table: $(cat "$CONTROL/status")"
# Somebody else writes to it, and tells nobody: seen at the next look, and over when he is.
doubted() {
	dd if=/dev/zero of="$SRC/jammy.img" bs=512 seek=8191 count=1 conv=notrunc status=none
	cat "$MNT/jammy/config.txt" >/dev/null 2>&1 || true
	[ "$(json "images['jammy']['reports']['why_not']")" = 'somebody writes who does not tell' ]
}
wait_until 20 doubted
is "not believed" "$(json "images['jammy']['reports']['exact']")" False
is "since" "$(json "images['jammy']['reports']['stranger_seconds'] < 20")" True
wait_until 20 believed
# No good line: not understood, and not believed, until it is closed.
echo 'no such report' >&8
wait_until 10 sh -c "grep -q 'not understood' '$CONTROL/jammy'"
! believed || fail "a reporter that is not understood is believed"
exec 8>&-
wait_until 10 sh -c "grep -q '^reports: none' '$CONTROL/jammy'"

# Pieces of one reading are of one text.
for tool in 'cat' 'tail -n 100' 'head -c 100000' 'dd bs=7 status=none' 'wc -l'; do
	# shellcheck disable=SC2086 # a command
	[ -n "$($tool <"$CONTROL/status")" ] || fail "$tool reads nothing"
done
! command -v jq >/dev/null || jq -e '.images | length > 4' "$CONTROL/status.json" >/dev/null

# imagefsctl.
ctl status >"$T/out"
grep -q '^jammy .*89025d75' "$T/out" || fail "no table"
for name in jammy 89025d75 jammy.img; do ctl status $name | grep -q '^image: jammy' || fail "$name"; done
ctl status --json | "$PYTHON" -c 'import json, sys; assert json.load(sys.stdin)["images"]'
one() { ctl status --json "$1" | "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["name"])'; }
is "by name" "$(one jammy)" jammy
is "by board" "$(one dc-a6-32-01-36-c2)" jammy
is "an odd board" "$(one odd)" "$(one "$odd")"
is "none before" "$(json "images['focal'].get('reports')")" None
ctl flush focal
is "flushed" "$(json "images['focal']['reports']['quiet_seconds'] < 30")" True
ctl flush 89025d75 idle
ctl flush --all
ctl metrics >"$T/metrics"
"$PYTHON" - "$T/metrics" <<'PY'
import re, sys
kinds, series = {}, set()
label = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
for line in open(sys.argv[1], encoding="utf-8"):
    line = line.rstrip("\n")
    if line.startswith("# HELP "):
        assert len(line.split(" ", 3)) == 4, line
    elif line.startswith("# TYPE "):
        name, kind = line.split(" ")[2:]
        assert name not in kinds and kind in ("gauge", "counter"), line
        assert (kind == "counter") == name.endswith("_total"), line
        kinds[name] = kind
    else:
        match = re.fullmatch(r'([a-z_]+)(\{%s(?:,%s)*\})? ([-+.e0-9]+)' % (label, label), line)
        assert match and match[1] in kinds, line
        assert (match[1], match[2]) not in series, line
        series.add((match[1], match[2]))
        float(match[3])
for name in "imagefs_info", "imagefs_images", "imagefs_image_reported_writes_total":
    assert name in kinds
assert ("imagefs_image_open_files", '{image="jammy"}') in series
PY

# usage_of STATUS NAMED ARGUMENTS...
usage_of() {
	local want=$1 named=$2 status=0
	shift 2
	ctl "$@" >"$T/stdout" 2>"$T/stderr" || status=$?
	is "imagefsctl $*: exit status" $status "$want"
	is "imagefsctl $*: lines ($(cat "$T/stderr"))" "$(grep -c . "$T/stderr")" 1
	grep -qF -- "$named" "$T/stderr" || fail "imagefsctl $*: does not name $named: $(cat "$T/stderr")"
	[ ! -s "$T/stdout" ] || fail "imagefsctl $*: prints all the same"
}
usage_of 2 --help
usage_of 2 no-such-command no-such-command
usage_of 2 --no-such --no-such status
usage_of 2 --no-such status --no-such
usage_of 2 -c -c
usage_of 2 focal status jammy focal
usage_of 2 flush flush
usage_of 2 x metrics x
for image in no-such status metrics ../mnt '' .; do
	usage_of 1 'no such image' status "$image"
	usage_of 1 'no such image' flush "$image"
done
usage_of 1 no-such status --json no-such
usage_of 1 "$T" --control "$T" status
usage_of 1 "$T/nowhere" --control "$T/nowhere" flush jammy
ctl --control "$CONTROL" status jammy >/dev/null
mkdir "$T/second"
mount_imagefs "$SRC" "$T/second"
usage_of 1 --control status
grep -qF "$CONTROL" "$T/stderr" && grep -qF /run/imagefs/second "$T/stderr" || fail "not both: $(cat "$T/stderr")"
ctl -c /run/imagefs/second status | grep -qF "$T/second"
unmount_imagefs "$T/second"
kill -KILL "$(daemon_pid)"
wait_until 10 sh -c "! cat '$CONTROL/status' 2>/dev/null"
usage_of 1 died status
umount "$CONTROL" "$MNT"
usage_of 1 'no imagefs' status
for command in check ls "cat --"; do
	if ctl $command --nonsense >"$T/out" 2>&1; then fail "$command --nonsense"; fi
done
cd "$SRC"
cp first.img ./-l.img
ctl ls -- -l.img | grep -qx config.txt || fail "ls -- -l.img"
is "cat --" "$(ctl cat -- -l.img config.txt)" text
{ ctl check -- -l.img >"$T/out" || [ $? = 1 ]; } && grep -q FAT12 "$T/out" || fail "check -- -l.img: $(cat "$T/out")"
mount_imagefs
ctl status -- -l | grep -q '^image: -l' || fail "status -- -l: $(ctl status -- -l)"
ctl flush -- -l || fail "flush -- -l"
ctl --version | grep -q '^imagefsctl [0-9]'
ctl --help | grep -q BOARD
