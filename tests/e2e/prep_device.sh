#!/bin/bash
# imagefs-prep to and from block devices: one that holds something is refused, one that is too small as well; interrupted
# it is no image; a GPT is fitted to it; edits in place.
. "$(dirname "$0")/../lib.sh"
PREP=$(dirname "$IMAGEFS")/imagefs-prep
[ -x "$PREP" ] || fail "$PREP is not built"
requires root netns loop strace fsck.fat xz sfdisk sgdisk mkfs.fat mcopy mkfs.ext4
# Journals of devices are there: of this test alone.
mkdir -p /var/lib/imagefs
mount -t tmpfs journals /var/lib/imagefs
mkdir "$T/disk"
mount -t tmpfs -o size=1G tmpfs "$T/disk"
cd "$T/disk"
truncate -s 24M gpt.img
sfdisk -q gpt.img <<<'label: gpt
	start=2048, size=14336, type=uefi
	start=18432, size=16384, type=linux'
make_fat gpt.img 2048 7168 12
mkfs.ext4 -q -F -E offset=$((9 * 1048576)) gpt.img 8M 2>/dev/null
head -c 3M /dev/urandom >noise
put @noise gpt.img /kernel8.img
put 'root=/dev/mmcblk0p2' gpt.img /cmdline.txt
xz -0 -k gpt.img
truncate -s 40M back
tr '\0' x <back >back.x
loop_device empty back
truncate -s 40M full
cp back.x full
loop_device full full
truncate -s 16M little
loop_device little little

"$PREP" -q --grow-root --root nbd --server s --name pi1 gpt.img.xz "$empty"
sgdisk -v "$empty" >out && grep -q 'No problems found' out || fail "sgdisk: $(cat out)"
is "the root's end" "$(sfdisk -l -o End "$empty" | tail -n1 | tr -d ' ')" $((39 * 2048 - 1))
is "the line" "$(mtype -i "$empty@@1M" ::/cmdline.txt)" 'ip=dhcp nbdroot=s/pi1 root=/dev/nbd0p2'
mtype -i "$empty@@1M" ::/kernel8.img | cmp - noise
# In place, and again.
"$PREP" -q --set a=b --config arm_boost=1 "$empty"
is "in place" "$(mtype -i "$empty@@1M" ::/cmdline.txt)" 'ip=dhcp nbdroot=s/pi1 root=/dev/nbd0p2 a=b'
is "in place" "$(mtype -i "$empty@@1M" ::/config.txt)" 'arm_boost=1'

# Something is there.
for device in "$empty" "$full"; do
	sum=$(sha256sum <"$device")
	"$PREP" -q gpt.img.xz "$device" 2>said && fail "over what a device holds"
	grep -q 'holds something already; --force' said || fail "says $(cat said)"
	is "as it was" "$(sha256sum <"$device")" "$sum"
done
# What was there shows nowhere, holes included.
"$PREP" -q -f gpt.img "$full"
cmp -n $((23 * 1048576)) -i 1048576 gpt.img "$full" || fail "old bytes are left"
sgdisk -v "$full" >out && grep -q 'No problems found' out || fail "sgdisk: $(cat out)"
"$PREP" -q "$empty" out.img
cmp out.img "$empty" && [ "$(stat -c %b out.img)" -lt 10000 ] || fail "from a device: not the same, or not sparse"

# Too small, a wrong sum, interrupted: no partition table.
"$PREP" -q gpt.img.xz "$little" 2>said && fail "too small"
grep -q 'larger than the device' said || fail "too small: says $(cat said)"
is "too small: what it says of itself" "$(head -c 1048576 "$little" | tr -d '\0' | wc -c)" 0
echo keep >"$little"
"$PREP" -q -f gpt.img "$little" 2>said && fail "too small"
is "too small, and known before: as it was" "$(head -c 4 "$little"):$(grep -c 'larger than the device' said)" keep:1
"$PREP" -q --size 100M -f gpt.img.xz "$full" 2>said && fail "--size over the device's"
grep -q 'smaller than that --size' said || fail "says $(cat said)"
"$PREP" -q -f --sha256 "$(sha256sum <noise | cut -d' ' -f1)" gpt.img.xz "$full" 2>said && fail "a wrong sum"
is "a wrong sum: what it says of itself" "$(head -c 1048576 "$full" | tr -d '\0' | wc -c)" 0

# Killed while its boot partition is changed: all of the change, or nothing of it, once it is opened again.
add=(--set c=d --config a=b --copy "noise:kernel8.img" --copy noise:other)
prep_traced() { ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -qq "$@" "$PREP" -q -f "${add[@]}" gpt.img "$full"; }
prep_traced -o calls -e trace=pwrite64
calls=$(grep -c pwrite64 calls)
was=0 new=0
for ((n = calls; n > 0 && was < 3; n--)); do
	! prep_traced -o /dev/null -e trace=pwrite64 -e inject=pwrite64:signal=KILL:when=$n 2>/dev/null || fail "not killed at $n"
	"$(dirname "$IMAGEFS")/imagefsctl" cat "$full" cmdline.txt >line 2>said || fail "killed at $n: $(cat said)"
	if [[ $(cat line) == *c=d ]]; then
		new=$((new + 1))
		mtype -i "$full@@1M" ::/other | cmp - noise || fail "killed at $n: half of it"
	else
		was=$((was + 1))
		is "killed at $n" "$(mdir -b -i "$full@@1M" ::/ | tr '\n' ' ')" '::/kernel8.img ::/cmdline.txt '
	fi
	dd if="$full" of=fat bs=1M skip=1 count=7 status=none
	fsck.fat -n fat >fsck.log || fail "killed at $n: $(cat fsck.log)"
done
echo "killed: $new with the change, $was without, of $calls writes"
[ $new -gt 0 ] || fail "never after its journal"

# Mounted.
mkfs.ext4 -q -F "$little"
mkdir mounted
mount "$little" mounted
"$PREP" -q -f gpt.img "$little" 2>said && fail "a mounted one"
grep -q 'is it mounted' said || fail "mounted: says $(cat said)"
umount mounted
# The link of a board leads to a device by a link of its own.
mkdir links
"$PREP" -q --images links --board DC:A6:32:01:36:C2 "$empty"
is "links" "$(readlink links/dc-a6-32-01-36-c2) $(readlink "links/$(readlink links/dc-a6-32-01-36-c2)")" "${empty##*/}.img $empty"
