#!/bin/bash
# imagefs-prep: killed, interrupted or out of space, nothing half made has the final name, and what had it is as it was.
. "$(dirname "$0")/../lib.sh"
PREP=$(dirname "$IMAGEFS")/imagefs-prep
[ -x "$PREP" ] || fail "$PREP is not built"
requires root netns loop xz sfdisk mkfs.fat mcopy
mkdir "$T/disk"
cd "$T/disk"
[ "$(id -u)" != 0 ] || mount -t tmpfs -o size=1G tmpfs . # nothing here is about disks, and they are slow
cd "$PWD"
make_image jammy.img 16 16
head -c 6000000 /dev/urandom >noise
put @noise jammy.img /kernel8.img
put 'root=/dev/mmcblk0p2 rootwait' jammy.img /cmdline.txt
xz -0 -k jammy.img
size=$(stat -c %s jammy.img.xz)
mkdir out

# half_way: an unpacking that has written something, and waits for the rest; $victim.
half_way() {
	rm -f fifo
	mkfifo fifo
	"$PREP" "$@" - out/a.img <fifo >steps 2>said &
	victim=$!
	exec 8>fifo
	head -c $((size / 2)) jammy.img.xz >&8
	wait_until 20 written
}
written() { local file; file=$(echo out/.a.img.*.imagefs-prep) && [ -f "$file" ] && [ "$(stat -c %s "$file")" -gt 1500000 ]; }
end() { exec 8>&-; wait "$victim" && fail "it did not fail"; status=$?; }

half_way
is "the final name meanwhile" "$(ls out)" ""
kill -9 "$victim"
end
is "killed: names that are seen" "$(ls out)" ""
is "killed: what is left" "$(ls -A out | wc -l)" 1
# The next one for the same name takes it away; not what another is writing just now.
half_way
is "two of them: what is there" "$(ls -A out | wc -l)" 1
"$PREP" -q jammy.img.xz out/a.img
cmp jammy.img out/a.img
is "beside it the one at work" "$(ls -A out | wc -l)" 2
cat jammy.img.xz | tail -c +$((size / 2 + 1)) >&8
exec 8>&-
wait "$victim" && fail "the slower one replaced the faster"
grep -q 'File exists' said || fail "the slower says: $(cat said)"
is "the slower one's is gone" "$(ls -A out)" a.img

sum=$(sha256sum <out/a.img)
inode=$(stat -c %i out/a.img)
for signal in INT TERM HUP; do
	half_way -f
	kill -$signal "$victim"
	end
	is "$signal: exit status" $status $((128 + $(kill -l $signal)))
	is "$signal: files" "$(ls -A out)" a.img
	grep -q interrupted said || fail "$signal: says $(cat said)"
done
half_way -f
kill -9 "$victim"
end
is "an INSTANCE that was there" "$(sha256sum <out/a.img) $(stat -c %i out/a.img)" "$sum $inode"
rm -f out/.a*

# Killed at any time: not there, or all of it; in place as it was, or all of it.
whole() { # whole FILE: what the options below make of it
	is "$1: size" "$(stat -c %s "$1")" $((20 * 1048576))
	is "$1: the line" "$(mtype -i "$1@@1M" ::/cmdline.txt)" 'root=x rootwait a=b'
	mtype -i "$1@@1M" ::/b/c/noise | cmp - noise
}
options=(-q --size 20M --set a=b --set root=x --copy noise:b/c/noise --ssh)
begun=$(date +%s%N)
"$PREP" "${options[@]}" jammy.img.xz out/b.img
took=$((($(date +%s%N) - begun) / 1000000))
rm -f out/b.img
there=0
for round in $(seq 12); do
	rm -f c.img
	cp jammy.img c.img
	for target in "jammy.img.xz out/b.img" c.img; do
		# shellcheck disable=SC2086 # two names
		"$PREP" "${options[@]}" $target 2>/dev/null &
		victim=$!
		sleep "$(awk -v r="$round" -v t=$took 'BEGIN { print r / 10 * t / 1000 }')"
		kill -9 $victim 2>/dev/null || true
		wait $victim || true
	done
	[ ! -e out/b.img ] || { whole out/b.img && there=$((there + 1)) && rm out/b.img; }
	cmp -s jammy.img c.img || whole c.img
done
rm -f out/.b* .c*
echo "killed at 12 times of $took ms: it was there $there times"
is "names" "$(ls -A out)" a.img

# No space, at many points: while it is unpacked, grown, changed.
mkdir small
for mib in 1 5 6 7 13 20; do
	mount -t tmpfs -o size=${mib}M small small
	echo keep >small/other
	for options in "" "--grow-root --size 64M" "--copy noise:a/b/kernel.img"; do
		for template in jammy.img.xz jammy.img; do
			status=0
			# shellcheck disable=SC2086 # a list
			TMPDIR=$PWD/small "$PREP" -q $options $template small/a.img >steps 2>said || status=$?
			if [ $status = 0 ]; then
				[ -f small/a.img ] || fail "$mib MiB: done, and nothing there"
				fsck.fat -n "$(echo small/a.img)" >/dev/null 2>&1 || true
				rm small/a.img
			else
				is "$mib MiB: $options $template: lines ($(cat said))" "$(grep -c . said)" 1
				grep -qE 'No space|no space|full|no partition|behind|FAT' said || fail "$mib MiB: $options $template: says $(cat said)"
			fi
			is "$mib MiB, status $status: $options $template: files" "$(ls -A small)" other
		done
	done
	# With an INSTANCE that was there.
	rm -f small/other
	echo old >small/a.img
	"$PREP" -q -f jammy.img.xz small/a.img 2>said && [ $mib -lt 6 ] && fail "$mib MiB were enough"
	[ $mib -gt 5 ] || is "$mib MiB: what was there" "$(cat small/a.img) $(ls -A small)" "old a.img"
	umount small
done
truncate -s 30M disk
mkfs.ext4 -q disk
mount -o loop disk small
echo old >small/a.img
(ulimit -f 4096 && exec "$PREP" -q -f jammy.img.xz small/a.img) 2>said && fail "more than the limit of a file"
grep -q 'File too large' said || fail "a limit: $(cat said)"
is "a limit: what was there" "$(cat small/a.img) $(ls -A small | tr '\n' ' ')" "old a.img lost+found "
mount -o remount,ro small
"$PREP" -q -f jammy.img.xz small/a.img 2>said && fail "read-only, and written"
grep -q 'Read-only' said || fail "read-only: $(cat said)"
umount small

# Edits that cannot be: nothing of any is there, in place as well.
cp jammy.img b.img
sum=$(sha256sum <b.img)
for options in "--copy noise:x/kernel.img --copy noise:y/kernel.img --copy noise:z/kernel.img" "--set a=b --remove .." \
	"--set a=b --copy nothing" "--ssh --root nbd --server s" "--boot-partition 7 --ssh" "--size 64M --ssh --boot-partition 7"; do
	# shellcheck disable=SC2086 # a list
	"$PREP" -q $options b.img 2>said && fail "$options: done"
	is "$options: lines ($(cat said))" "$(grep -c . said)" 1
	is "$options: the image ($(cat said))" "$(sha256sum <b.img)" "$sum"
	# shellcheck disable=SC2086 # a list
	"$PREP" -q $options jammy.img.xz out/c.img 2>said && fail "$options: made"
	is "$options: files" "$(ls -A out)" a.img
done
