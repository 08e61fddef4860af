#!/bin/bash
# N2, N7, N8, C1-C4, S5: files of one name's own, NAME.d/ beside an image or a link to one, stand before the image's
# in MOUNTPOINT/NAME. dnsmasq serves both; what is changed, added, removed or renamed there is what the next open sees;
# what is shared has one inode and is read once.
. "$(dirname "$0")/../lib.sh"
requires root netns dnsmasq
board "$SRC/jammy.img" jammy
put shared "$SRC/jammy.img" /cmdline.txt
head -c 700000 /dev/urandom >"$T/kernel"
put "@$T/kernel" "$SRC/jammy.img" /kernel8.img
put 'a long name' "$SRC/jammy.img" /longer-than-8-3.txt
mmd -i "$SRC/jammy.img@@1M" ::/overlays
put overlay "$SRC/jammy.img" /overlays/a.dtbo
board "$SRC/noble.img" noble
put 'noble shared' "$SRC/noble.img" /cmdline.txt
board "$T/elsewhere" elsewhere
ln -s jammy.img "$SRC/89025d75"
ln -s jammy "$SRC/2a3b4c5d"
ln -s jammy.img "$SRC/plain"
ln -s 89025d75 "$SRC/pi7"
ln -s jammy:1 "$SRC/first-partition"
ln -s "$T/elsewhere" "$SRC/outside"
mkdir "$SRC/89025d75.d" "$SRC/2a3b4c5d.d" "$SRC/first-partition.d" "$SRC/outside.d"
echo own >"$SRC/89025d75.d/cmdline.txt"
echo other >"$SRC/2a3b4c5d.d/cmdline.txt"
echo first >"$SRC/first-partition.d/cmdline.txt"
echo outside >"$SRC/outside.d/cmdline.txt"
# As libfuse traces requests with -d.
"$IMAGEFS" -d ${CHANGES:+-o "changes=$CHANGES"} "$SRC" "$MNT" 2>"$T/trace" >&2 &
PIDS+=($!)
wait_until 10 is_mounted
start_dnsmasq "$MNT"
fetch() { tftp get 127.0.0.1 69 "$1" --out "$T/got" >/dev/null && cat "$T/got"; }
names() { (cd "$1" && find . -mindepth 1 -maxdepth 1 -printf '%f\n' | LC_ALL=C sort | tr '\n' ' '); }
all="cmdline.txt config.txt kernel8.img longer-than-8-3.txt overlays "

# Whose is what.
is "its own" "$(fetch 89025d75/cmdline.txt)" own
fetch 89025d75/kernel8.img >/dev/null
cmp "$T/got" "$T/kernel"
is "below a directory" "$(fetch 89025d75/overlays/a.dtbo)" overlay
is "another board's" "$(fetch 2a3b4c5d/cmdline.txt)" other
is "a board without" "$(fetch plain/cmdline.txt)" shared
is "the image itself" "$(fetch jammy/cmdline.txt)" shared
is "a link to the board" "$(fetch pi7/cmdline.txt)" own
is "by a partition" "$(cat "$MNT/first-partition/cmdline.txt" "$MNT/first-partition/config.txt")" "$(printf 'first\njammy')"
is "an image elsewhere" "$(cat "$MNT/outside/cmdline.txt" "$MNT/outside/config.txt")" "$(printf 'outside\nelsewhere')"
is "listed" "$(names "$MNT/89025d75")" "$all"
is "the root" "$(names "$MNT")" "2a3b4c5d 89025d75 first-partition jammy noble outside pi7 plain "
is "links of the root" "$(find "$MNT" -maxdepth 1 -type l -printf '%f\n' | sort | tr '\n' ' ')" "pi7 plain "
refuses ENOENT stat "$MNT/89025d75.d"
refuses EROFS touch "$MNT/89025d75/cmdline.txt"
is "owner and mode" "$(stat -c '%u %g %a %F %s' "$MNT/89025d75/cmdline.txt")" "0 0 444 regular file 4"

# What is shared has one inode, of which the page cache has the bytes: no READ through the other name.
is "one inode" "$(stat -c %i "$MNT/89025d75/kernel8.img")" "$(stat -c %i "$MNT/jammy/kernel8.img")"
[ "$(stat -c %i "$MNT/89025d75/overlays")" != "$(stat -c %i "$MNT/jammy/overlays")" ] || fail "a directory in two places"
is "below it" "$(stat -c %i "$MNT/89025d75/overlays/a.dtbo")" "$(stat -c %i "$MNT/jammy/overlays/a.dtbo")"
through_all() { cat "$MNT/2a3b4c5d/kernel8.img" "$MNT/plain/kernel8.img" "$MNT/89025d75/kernel8.img" | cmp - <(cat "$T"/kernel{,,}); }
through_all
without_reads "through another name" through_all
# Neither is an own file that did not change read again.
own_again() { is "again" "$(cat "$MNT/89025d75/cmdline.txt" "$MNT/2a3b4c5d/cmdline.txt")" "$(printf 'own\nother')"; }
number=$(stat -c %i "$MNT/89025d75/cmdline.txt")
own_again
without_reads "of own files" own_again
is "an unchanged one keeps its number" "$(stat -c %i "$MNT/89025d75/cmdline.txt")" "$number"

# C1: each change is there at the next open; C3: with a number of its own; C2: who has it open keeps what it was.
own=$SRC/89025d75.d
exec 7<"$MNT/89025d75/cmdline.txt"
declare -A seen=([$number]=1)
for round in {1..10}; do
	case $((round % 3)) in
	0) echo "round $round" >"$own/cmdline.txt" ;;
	1) echo "round $round" >"$own/new" && mv "$own/new" "$own/cmdline.txt" ;;
	2) printf 'round %s\n' "$round" | dd of="$own/cmdline.txt" conv=notrunc,fsync status=none ;;
	esac
	is "changed" "$(head -n1 "$MNT/89025d75/cmdline.txt")" "round $round"
	number=$(stat -c %i "$MNT/89025d75/cmdline.txt")
	[ -z "${seen[$number]:-}" ] || fail "round $round has a number that was used"
	seen[$number]=1
done
# What is written under the same size and mtime is told by the ctime, also when the bytes are not compared any more.
at_rest() { [ $(($(date +%s) - $(stat -c %Z "$own/cmdline.txt"))) -ge 4 ]; }
wait_until 10 at_rest
cat "$MNT/89025d75/cmdline.txt" >/dev/null
touch -r "$own/cmdline.txt" "$T/time"
printf 'ROUND 10\n' >"$own/cmdline.txt"
touch -r "$T/time" "$own/cmdline.txt"
is "under the same mtime" "$(cat "$MNT/89025d75/cmdline.txt")" "ROUND 10"
is "as it was opened" "$(cat <&7)" own
is "by its size" "$(stat -Lc %s /proc/self/fd/7)" 4
exec 7<&-
echo bye >"$own/cmdline.txt"
is "by TFTP" "$(fetch 89025d75/cmdline.txt)" bye
fetch 89025d75/config.txt >/dev/null
unfolded <("$(dirname "$IMAGEFS")/imagefsctl" status 89025d75) >"$T/board"
sed -n '/^last requests of 89025d75/,$p' "$T/board" | grep -q 'cmdline.txt  found' || fail "not seen as asked for by the board"
grep -q '^89025d75: own files: 1$' "$T/board" || fail "its status does not count them"
# Two writes of the same length within a tick, and the same bytes under other times.
for round in {1..5}; do
	printf 'aaa%d' "$round" >"$own/tick.txt"
	printf 'bbb%d' "$round" >"$own/tick.txt"
	is "the second write" "$(cat "$MNT/89025d75/tick.txt")" "bbb$round"
done
rm "$own/tick.txt"
refuses ENOENT cat "$MNT/89025d75/tick.txt"
echo added >"$own/wifi.txt"
is "added" "$(fetch 89025d75/wifi.txt)" added
is "and listed" "$(names "$MNT/89025d75")" "${all}wifi.txt "
refuses ENOENT cat "$MNT/jammy/wifi.txt"
mv "$own/wifi.txt" "$own/lan.txt"
refuses ENOENT cat "$MNT/89025d75/wifi.txt"
is "renamed" "$(cat "$MNT/89025d75/lan.txt")" added
: >"$own/lan.txt"
is "empty" "$(stat -c %s "$MNT/89025d75/lan.txt") $(cat "$MNT/89025d75/lan.txt" | wc -c)" "0 0"
rm "$own/lan.txt" "$own/cmdline.txt"
is "the image's again" "$(fetch 89025d75/cmdline.txt)" shared

# N6: every spelling is the own file, and the image's is hidden, also by its short name.
echo SPELT >"$own/CMDLINE.TXT"
echo LONG >"$own/Longer-Than-8-3.TXT"
for name in CMDLINE.TXT cmdline.txt CmdLine.txt. ; do is "$name" "$(cat "$MNT/89025d75/$name")" SPELT; done
for name in LONGER-THAN-8-3.txt LONGER~1.TXT; do is "$name" "$(cat "$MNT/89025d75/$name")" LONG; done
is "spelt" "$(names "$MNT/89025d75")" "CMDLINE.TXT Longer-Than-8-3.TXT config.txt kernel8.img overlays "
rm "$own"/*
echo 'no directory' >"$own/overlays"
is "it hides a directory" "$(cat "$MNT/89025d75/overlays")" "no directory"
refuses ENOTDIR cat "$MNT/89025d75/overlays/a.dtbo"
rm "$own/overlays"
is "and no more" "$(cat "$MNT/89025d75/overlays/a.dtbo")" overlay

# What is none: links, directories, FIFOs, dot files. They hide nothing, and nobody waits for them.
echo secret >"$T/secret"
ln -s "$T/secret" "$own/config.txt"
ln -s "$SRC/jammy.img" "$own/raw"
mkdir "$own/cmdline.txt"
mkfifo "$own/kernel8.img" "$own/fifo"
mknod "$own/zero" c 1 5
echo dot >"$own/.dot"
is "none of them" "$(names "$MNT/89025d75")" "$all"
is "the image's" "$(cat "$MNT/89025d75/config.txt" "$MNT/89025d75/cmdline.txt")" jammyshared
cmp "$MNT/89025d75/kernel8.img" "$T/kernel"
for name in raw fifo zero .dot; do refuses ENOENT cat "$MNT/89025d75/$name"; done
rm -r "$own/cmdline.txt"
rm "$own"/* "$own/.dot"
# NAME.d that is a link is none.
mv "$own" "$T/away.d"
echo away >"$T/away.d/cmdline.txt"
ln -s "$T/away.d" "$own"
is "a link instead" "$(readlink "$MNT/89025d75") $(cat "$MNT/89025d75/cmdline.txt")" "jammy shared"
rm "$own"
echo file >"$own"
is "a file instead" "$(readlink "$MNT/89025d75")" jammy
rm "$own"
mv "$T/away.d" "$own"
is "back" "$(cat "$MNT/89025d75/cmdline.txt")" away

# imagefsctl shows of a board what the mount shows.
ctl() { "$(dirname "$IMAGEFS")/imagefsctl" "$@"; }
mv "$own/cmdline.txt" "$own/CmdLine.txt"
echo long >"$own/LONGER-than-8-3.txt"
echo extra >"$own/extra.txt"
for argument in "$SRC/89025d75" 89025d75 pi7; do
	is "ls $argument" "$(ctl ls "$argument" | sort)" "$(ls "$MNT/89025d75" | LC_ALL=C sort)"
	for name in cmdline.txt ./CMDLINE.TXT /extra.txt longer~1.txt config.txt overlays/a.dtbo; do
		is "cat $argument $name" "$(ctl cat "$argument" "$name")" "$(cat "$MNT/89025d75/$name")"
	done
	is "ls -l $argument" "$(ctl ls -l "$argument" cmdline.txt | awk '{ print $1, $2, $5 }')" "- $(stat -c %s "$own/CmdLine.txt") CmdLine.txt"
	ctl check "$argument" >"$T/check" || [ $? = 1 ]
	grep -q 'note: files: CmdLine.txt: is a file of its own' "$T/check" || fail "check $argument: $(cat "$T/check")"
done
is "cat jammy" "$(ctl cat jammy cmdline.txt)" shared
is "ls jammy" "$(ctl ls jammy | sort)" "$(ls "$MNT/jammy" | LC_ALL=C sort)"
ctl check jammy >"$T/check" || [ $? = 1 ]
if grep 'of its own' "$T/check"; then fail "the image has none"; fi
rm "$own/LONGER-than-8-3.txt" "$own/extra.txt"
mv "$own/CmdLine.txt" "$own/cmdline.txt"

# Too large, and too many: EIO for that one, said by name; its neighbours are served.
truncate -s 4M "$own/max"
truncate -s $((4 * 1048576 + 1)) "$own/huge"
is "the largest" "$(sha256sum <"$MNT/89025d75/max")" "$(sha256sum <"$own/max")"
refuses EIO cat "$MNT/89025d75/huge"
grep -q "89025d75.d/huge: EIO: it is larger than 4 MiB" "$T/trace" || fail "not said of what is too large"
cat "$CONTROL/status" >"$T/status"
unfolded "$T/status" >"$T/status.lines"
grep -q 'huge: EIO: it is larger' "$T/status.lines" || fail "status does not say it"
grep -q '^89025d75: own files: 3$' "$T/status.lines" || fail "status does not count them"
is "status.json" "$("$PYTHON" -c 'import json, sys; print([i["own_files"] for i in json.load(open(sys.argv[1]))["images"] if i["name"] == "jammy"][0]["89025d75"])' "$CONTROL/status.json")" 3
grep -qxF 'imagefs_own_files{image="jammy",board="89025d75"} 3' "$CONTROL/metrics" || fail "metrics do not count them: $(grep own_files "$CONTROL/metrics")"
is "beside it" "$(cat "$MNT/89025d75/cmdline.txt")" away
rm "$own/huge"
for i in 1 2 3 4; do cp "$own/max" "$own/max$i"; done
exec 7<"$MNT/89025d75/max" 8<"$MNT/89025d75/max1" 9<"$MNT/89025d75/max2" 6<"$MNT/89025d75/max3"
refuses EIO cat "$MNT/89025d75/max4"
refuses EIO cat "$MNT/89025d75/cmdline.txt"
is "not for others" "$(cat "$MNT/2a3b4c5d/cmdline.txt")" other
exec 6<&-
cat "$MNT/89025d75/max4" >/dev/null
exec 7<&- 8<&- 9<&-
rm "$own"/*
for i in {100..164}; do echo "$i" >"$own/f$i"; done
is "the 64th" "$(cat "$MNT/89025d75/f163")" 163
refuses EIO cat "$MNT/89025d75/f164"
rm "$own/f100"
is "one less" "$(cat "$MNT/89025d75/f164")" 164
rm "$own"/*
echo own >"$own/cmdline.txt"

# N7, N8: the link is switched, the directory comes and goes while somebody stands there.
cd "$MNT/89025d75"
is "in it" "$(cat cmdline.txt config.txt)" "$(printf 'own\njammy')"
ln -sfn noble.img "$SRC/89025d75"
is "switched" "$(cat cmdline.txt config.txt)" "$(printf 'own\nnoble')"
is "by path" "$(fetch 89025d75/config.txt)" noble
refuses ENOENT cat kernel8.img
ln -sfn jammy.img "$SRC/89025d75"
cmp kernel8.img "$T/kernel"
mv "$own" "$T/away.d"
refuses ESTALE cat cmdline.txt
is "a link again" "$(readlink "$MNT/89025d75") $(fetch 89025d75/cmdline.txt)" "jammy shared"
mv "$T/away.d" "$own"
is "and a directory" "$(cat cmdline.txt)" own
ln -sfn nowhere "$SRC/89025d75"
is "a link that leads nowhere" "$(readlink "$MNT/89025d75")" nowhere
ln -sfn jammy.img "$SRC/89025d75"
cd "$MNT/jammy/overlays"
exec 7<"$MNT/jammy"
mkdir "$SRC/jammy.d"
echo "the image's own" >"$SRC/jammy.d/cmdline.txt"
is "an image's, there" "$(cat ../cmdline.txt /proc/self/fd/7/cmdline.txt)" "$(printf "the image's own\nthe image's own")"
is "through a link" "$(cat "$MNT/plain/cmdline.txt")" "the image's own"
is "its neighbours" "$(cat a.dtbo ../config.txt)" overlayjammy
is "not below a board's" "$(cat "$MNT/89025d75/cmdline.txt")" own
rm -r "$SRC/jammy.d"
is "an image's, gone" "$(cat ../cmdline.txt /proc/self/fd/7/cmdline.txt)" sharedshared
exec 7<&-
cd /

# The image is written, and replaced, below them.
put changed "$SRC/jammy.img" /config.txt
wait_until 5 grep -q changed "$MNT/89025d75/config.txt"
mv "$SRC/noble.img" "$SRC/jammy.img"
is "replaced" "$(cat "$MNT/89025d75/cmdline.txt" "$MNT/89025d75/config.txt")" "$(printf 'own\nnoble')"

# A writer that never rests is an error within the bound, or one of its lines; never a part of one.
"$PYTHON" - "$own/busy.txt" <<'PY' &
import itertools, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for i in itertools.count():
    os.pwrite(fd, b"%08d" % (i % 10) * 4096, 0)
PY
writer=$!
PIDS+=($writer)
wait_until 5 test -s "$own/busy.txt"
for i in {1..10}; do
	start=$(date +%s%N)
	if cat "$MNT/89025d75/busy.txt" >"$T/busy" 2>/dev/null; then fail "believed while it was being written"; fi
	[ $((($(date +%s%N) - start) / 1000000)) -lt 2000 ] || fail "that took too long"
done
kill $writer
wait $writer || true
is "at rest" "$(cut -c1-8 "$MNT/89025d75/busy.txt")" "$(cut -c1-8 "$own/busy.txt")"

# A daemon without root: what its user may not read is EIO, for that file.
if [ -u "$(command -v fusermount3)" ]; then
	a_user
	mkdir "$T/mnt2"
	chmod 777 "$T/mnt2"
	echo 'not to be read' >"$own/cmdline.txt"
	chmod 600 "$own/cmdline.txt"
	echo 'to be read' >"$own/usercfg.txt"
	me "$IMAGEFS" ${CHANGES:+-o "changes=$CHANGES"} "$SRC" "$T/mnt2" 2>"$T/imagefs2.log"
	refuses EIO me cat "$T/mnt2/89025d75/cmdline.txt"
	is "beside it" "$(me cat "$T/mnt2/89025d75/usercfg.txt" "$T/mnt2/89025d75/config.txt")" "$(printf 'to be read\nnoble')"
	chmod 644 "$own/cmdline.txt"
	is "once it may" "$(me cat "$T/mnt2/89025d75/cmdline.txt")" 'not to be read'
	chmod 700 "$own"
	refuses EIO me cat "$T/mnt2/89025d75/usercfg.txt"
	refuses EIO me ls "$T/mnt2/89025d75/"
	is "another board's" "$(me cat "$T/mnt2/2a3b4c5d/cmdline.txt")" other
	unmount_imagefs "$T/mnt2"
fi
