#!/bin/bash
# imagefs-prep on xfs and btrfs shares the blocks of its template, at once, as often as one likes; elsewhere the copy is
# sparse. A template that somebody writes to is refused, with who it is.
. "$(dirname "$0")/../lib.sh"
PREP=$(dirname "$IMAGEFS")/imagefs-prep
[ -x "$PREP" ] || fail "$PREP is not built"
requires root netns loop mkfs.xfs mkfs.btrfs filefrag sfdisk mkfs.fat mcopy python3
cd "$T"
mkdir fs
used() { sync -f fs && df --output=used -B1 fs | tail -n1; }
for kind in xfs btrfs; do
	truncate -s 512M disk.$kind
	if [ $kind = xfs ]; then mkfs.xfs -q -m reflink=1 disk.xfs; else mkfs.btrfs -q disk.btrfs; fi
	mount -o loop disk.$kind fs
	make_image fs/jammy.img 180 16
	head -c 150M /dev/urandom | mcopy -Q -i fs/jammy.img@@1M - ::/kernel8.img
	put 'root=/dev/mmcblk0p2' fs/jammy.img /cmdline.txt
	sync -f fs
	before=$(used)
	# Twice from the same, once with a change, once in place.
	for name in pi1 pi2 pi3; do
		begun=$(date +%s%N)
		"$PREP" -q fs/jammy.img fs/$name.img
		took=$((($(date +%s%N) - begun) / 1000000))
		echo "$kind: $took ms"
		[ $took -lt 3000 ] || fail "$kind: an instance by reflink took $took ms"
		cmp fs/jammy.img fs/$name.img
		filefrag -v fs/$name.img | grep -q shared || fail "$kind: nothing is shared: $(filefrag -v fs/$name.img)"
	done
	"$PREP" -q --set a=b --size 300M fs/pi3.img
	is "$kind: changed" "$(mtype -i fs/pi3.img@@1M ::/cmdline.txt)" 'root=/dev/mmcblk0p2 a=b'
	is "$kind: the template" "$(mtype -i fs/jammy.img@@1M ::/cmdline.txt)" 'root=/dev/mmcblk0p2'
	filefrag -v fs/pi3.img | grep -q shared || fail "$kind: the changed one shares nothing"
	more=$(($(used) - before))
	[ $more -lt $((40 * 1048576)) ] || fail "$kind: three instances take $more bytes"
	# A/B: by their names.
	chown 12:34 fs/jammy.img
	chmod 640 fs/jammy.img
	"$PREP" --images "$T/fs" --clone jammy jammy-new >steps
	is "$kind: the clone" "$(stat -c '%u:%g %a' fs/jammy-new.img)" '12:34 640'
	cmp fs/jammy.img fs/jammy-new.img
	"$PREP" -q --images "$T/fs" --clone jammy jammy-new 2>said && fail "over another"
	grep -q 'is there already' said
	ln -s jammy.img fs/89025d75
	"$PREP" -q --clone --board 89025d75 fs/jammy.img fs/third.img 2>said && fail "a board that has one"
	[ ! -e fs/third.img ] && grep -q -- --move said || fail "a board that has one: $(cat said)"
	"$PREP" -q --clone --board 10000000ABCD1234 --board 89025d75 --move fs/jammy.img fs/third.img
	is "$kind: switched" "$(readlink fs/89025d75 fs/abcd1234 | tr '\n' ' ')" 'third.img third.img '
	umount fs
done

# Elsewhere: sparse, also where the template is not.
make_image plain.img 60 16
head -c 1M /dev/urandom | mcopy -Q -i plain.img@@1M - ::/kernel8.img
cp --sparse=never plain.img full.img
"$PREP" -q full.img copy.img
cmp plain.img copy.img
[ "$(stat -c %b copy.img)" -lt 8000 ] || fail "not sparse: $(stat -c %b copy.img) blocks"

# Somebody writes to it.
"$PYTHON" -c 'import os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
print(os.getpid(), flush=True)
time.sleep(1000)' "$T/plain.img" >holder &
PIDS+=($!)
wait_until 10 test -s holder
for options in --clone "" "--size 80M"; do
	# shellcheck disable=SC2086 # a list
	"$PREP" -q $options plain.img b.img 2>said && fail "$options: it is open for writing"
	grep -q "open for writing by .*python3.*$(cat holder)" said || fail "$options: says $(cat said)"
	[ ! -e b.img ] || fail "$options: and yet"
done
sum=$(sha256sum <plain.img)
"$PREP" -q --ssh plain.img 2>said && fail "in place: it is open for writing"
"$PREP" -q --size 80M plain.img 2>said && fail "in place, grown: it is open for writing"
"$PREP" -n -q plain.img b.img 2>said && fail "--dry-run does not see it"
is "as it was" "$(sha256sum <plain.img)" "$sum"
"$PREP" --force plain.img b.img >steps 2>said || fail "--force: $(cat said)"
grep -q 'may be half of a change' said || fail "--force names no risk: $(cat said)"
cmp plain.img b.img
"$PREP" -f full.img b.img >/dev/full 2>said && fail "a full disk for the steps"
cmp full.img b.img || fail "and yet it is to be done: $(cat said)"
sleep 1000 9<>b.img &
wait_until 10 grep -q sleep "/proc/$!/comm"
PIDS+=($!)
"$PREP" -f full.img b.img >steps 2>said || fail "--force: $(cat said)"
grep -q "b.img is open for writing by sleep.*lost" said || fail "a replaced one that is in use: $(cat said)"
{ "$PREP" -f full.img b.img 2>/dev/null || true; } | true
is "nobody reads the steps: what is left" "$(ls -A | grep -c imagefs-prep$ || true)" 0
# Who reads does no harm.
exec 7<full.img
"$PREP" -q --clone full.img c.img
cmp full.img c.img
