#!/bin/bash
# imagefs-prep changes the boot partition: nobodd-prep's rule for the command line, NBD, iSCSI and NFS, config.txt, files and trees,
# ssh and cloud-init; the same twice is the same once; --dry-run says the same lines.
. "$(dirname "$0")/../lib.sh"
PREP=$(dirname "$IMAGEFS")/imagefs-prep
[ -x "$PREP" ] || fail "$PREP is not built"
requires sfdisk mkfs.fat mcopy mkfs.ext4 fsck.fat
mkdir "$T/disk"
cd "$T/disk"
[ "$(id -u)" != 0 ] || mount -t tmpfs -o size=1G tmpfs . # nothing here is about disks, and they are slow
cd "$PWD"
# make NAME FATBITS: a FAT of 34 MiB from 1 MiB on, an ext4 behind it.
make() {
	truncate -s 40M "$1"
	sfdisk -q "$1" <<<'label: dos
		start=2048, size=69632, type=c
		start=71680, size=8192, type=83'
	if [ "$2" = 32 ]; then make_fat "$1" 2048 34816 32 -s 1; else make_fat "$1" 2048 34816 "$2"; fi
	mkfs.ext4 -q -F -L writable -E offset=$((35 * 1048576)) "$1" 4M 2>/dev/null
	put $'console=serial0,115200 console=tty1 root=LABEL=writable rootfstype=ext4 rootwait fixrtc quiet splash\n' "$1" /cmdline.txt
	put $'# a comment\n[all]\narm_64bit=1\n# another\narm_boost=1\n\n[cm4]\notg_mode=1\n' "$1" /config.txt
	put 'old' "$1" /issue.txt
	put '#cloud-config' "$1" /user-data
	mmd -i "$1@@1M" ::/overlays
}
cmdline() { mtype -i "$1@@1M" ::/cmdline.txt; }
tail='console=serial0,115200 console=tty1 rootfstype=ext4 rootwait fixrtc quiet splash'
sound() { dd if="$1" of=fat bs=1M skip=1 count=34 status=none && fsck.fat -n fat >fsck.log || fail "$1: $(cat fsck.log)"; }
mkdir -p tree/below
echo one >tree/one.dtbo
echo two >tree/below/two.txt
echo '#cloud-config # mine' >user
echo 'version: 2' >network

for bits in 12 16 32; do
	make jammy.img $bits
	# nobodd-prep: --nbd-host --nbd-name --cmdline.
	"$PREP" --nbd-host server --nbd-name jammy --cmdline cmdline.txt jammy.img a.img >steps 2>said || fail "$(cat said)"
	is "nobodd-prep's line" "$(cmdline a.img)" "ip=dhcp nbdroot=server/jammy root=/dev/nbd0p2 $tail"
	is "and no line end" "$(cmdline a.img | wc -l)" 0
	grep -q 'the root is partition 2 (ext4)' said || fail "which root? $(cat said)"
	all=(--root nbd --server 10.0.0.1 --set foo=bar --set console=ttyAMA0 --unset splash --config arm_boost=0 '[pi4]' --config 'arm_64bit=0'
		--copy tree:overlays --copy tree --copy user:new/dir/file.txt --copy user:overlays --remove issue.txt --remove nothing --ssh
		--user-data user --network-config network)
	"$PREP" --dry-run "${all[@]}" jammy.img b.img >dry 2>said || fail "dry: $(cat said)"
	[ ! -e b.img ] || fail "--dry-run made an image"
	"$PREP" "${all[@]}" jammy.img b.img >steps 2>said || fail "$(cat said)"
	is "the lines of --dry-run" "$(cat dry)" "$(cat steps)"
	sound b.img
	is "the line" "$(cmdline b.img)" "ip=dhcp nbdroot=10.0.0.1/b root=/dev/nbd0p2 ${tail% splash} foo=bar console=ttyAMA0"
	is "config.txt" "$(mtype -i b.img@@1M ::/config.txt)" $'# a comment\n[all]\narm_64bit=0\n# another\narm_boost=1\n\n[cm4]\notg_mode=1\n[all]\n[pi4]\narm_boost=0\n[all]'
	is "files" "$(mdir -b -/ -i b.img@@1M :: | sort | tr '\n' ' ')" "::/cmdline.txt ::/config.txt ::/meta-data ::/network-config ::/new/ ::/new/dir/ ::/new/dir/file.txt ::/overlays/ ::/overlays/below/ ::/overlays/below/two.txt ::/overlays/one.dtbo ::/overlays/user ::/ssh ::/tree/ ::/tree/below/ ::/tree/below/two.txt ::/tree/one.dtbo ::/user-data "
	is "user-data" "$(mtype -i b.img@@1M ::/user-data)" "$(cat user)"
	is "meta-data" "$(mtype -i b.img@@1M ::/meta-data)" "instance-id: b"
	is "below" "$(mtype -i b.img@@1M ::/overlays/below/two.txt)" two
	is "ssh" "$(mtype -i b.img@@1M ::/ssh | wc -c)" 0
	# Nothing outside of the boot partition.
	cmp <(tail -c +$((35 * 1048576 + 1)) jammy.img) <(tail -c +$((35 * 1048576 + 1)) b.img) || fail "the root was changed"
	cmp -n 1048576 jammy.img b.img || fail "the table was changed"

	# Twice, in place: the same bytes of what is edited.
	for round in 1 2; do
		"$PREP" "${all[@]}" b.img >steps 2>said || fail "again: $(cat said)"
		sound b.img
		for file in cmdline.txt config.txt meta-data; do mtype -i b.img@@1M ::/$file >"$file.$round"; done
	done
	for file in cmdline.txt config.txt meta-data; do cmp "$file.1" "$file.2" || fail "$file: twice is not once"; done
	is "the line again" "$(cmdline b.img)" "ip=dhcp nbdroot=10.0.0.1/b root=/dev/nbd0p2 ${tail% splash} foo=bar console=ttyAMA0"
	# What needs no edit is not written at all.
	sum=$(sha256sum <b.img)
	"$PREP" -q --root nbd --server 10.0.0.1 --set foo=bar --config arm_boost=0 '[pi4]' --ssh b.img
	is "nothing to do" "$(sha256sum <b.img)" "$sum"

	# iSCSI keeps root=LABEL, and finds a root for a card's; NFS.
	"$PREP" -q --root iscsi --server 10.0.0.1 --initiator iqn.2026-01.org.example:pi1 b.img
	for word in iscsi_initiator=iqn.2026-01.org.example:pi1 iscsi_target_name=iqn.2026-01.org.example:b iscsi_target_ip=10.0.0.1; do
		[[ " $(cmdline b.img) " == *" $word "* ]] || fail "iSCSI: no $word in $(cmdline b.img)"
	done
	uuid=$(dd if=b.img bs=1M skip=35 status=none | blkid -o value -s UUID - 2>/dev/null || blkid -p -O $((35 * 1048576)) -o value -s UUID b.img)
	[[ " $(cmdline b.img) " == *" root=UUID=$uuid "* ]] || fail "iSCSI: no root=UUID=$uuid in $(cmdline b.img)"
	[[ $(cmdline b.img) != *nbdroot=* ]] || fail "iSCSI: nbdroot= is still there"
	"$PREP" -q --root nfs --server 10.0.0.1 --name /srv/nfs/jammy b.img
	[[ " $(cmdline b.img) " == *" root=/dev/nfs nfsroot=10.0.0.1:/srv/nfs/jammy"* ]] || fail "NFS: $(cmdline b.img)"
	[[ $(cmdline b.img) != *iscsi_* ]] || fail "NFS: iSCSI is still there"
	sound b.img
	rm a.img b.img jammy.img
done

# Where config.txt says that the line is.
make prefix.img 16
mmd -i prefix.img@@1M ::/current
put $'os_prefix=current/\n' prefix.img /config.txt
put 'root=/dev/mmcblk0p2 inside' prefix.img /current/cmdline.txt
before=$(cmdline prefix.img)
"$PREP" -q --set new=1 prefix.img
is "os_prefix" "$(mtype -i prefix.img@@1M ::/current/cmdline.txt)" 'root=/dev/mmcblk0p2 inside new=1'
is "the other stays" "$(cmdline prefix.img)" "$before"

# Which root: the first with a file system; told when it is not sure; as it is said.
truncate -s 24M many.img
sfdisk -q many.img <<<'label: dos
	start=2048, size=8192, type=c
	start=10240, size=2048, type=83
	start=12288, size=8192, type=83
	start=20480, size=8192, type=83'
make_fat many.img 2048 4096 12
put 'quiet' many.img /cmdline.txt
for mib in 6 10; do mkfs.ext4 -q -F -E offset=$((mib * 1048576)) many.img 4M 2>/dev/null; done
"$PREP" --root nbd --server s many.img many-a.img >steps 2>said
is "by content" "$(cmdline many-a.img)" 'ip=dhcp nbdroot=s/many-a root=/dev/nbd0p3 quiet'
grep -q 'partition 3 (ext4); it might be 4' said || fail "not told: $(cat said)"
"$PREP" -q --root nbd --server s --root-partition 4 many-a.img
is "as it was said" "$(cmdline many-a.img)" 'ip=dhcp nbdroot=s/many-a root=/dev/nbd0p4 quiet'
"$PREP" -q --root nbd --server s --root-partition 9 many-a.img 2>said && fail "partition 9"
grep -q 'no partition 9' said
make_image alone.img 4 12
put quiet alone.img /cmdline.txt
"$PREP" -q --root nbd --server s alone.img 2>said && fail "no root"
grep -q 'all are FAT' said || fail "$(cat said)"

# Wrong usage: one line, status 2.
usage_of() {
	local named=$1 status=0
	shift
	"$PREP" "$@" >steps 2>said || status=$?
	is "$*: exit status" $status 2
	is "$*: lines" "$(grep -c . said)" 1
	grep -qF -- "$named" said || fail "$*: says $(cat said)"
	[ ! -s steps ] || fail "$*: prints all the same"
}
usage_of TEMPLATE
usage_of --nonsense --nonsense a
usage_of server --root nbd many.img
usage_of name --root nfs --server s many.img
usage_of nbd --root floppy many.img
usage_of INSTANCE a b c
usage_of 16G --size much many.img
usage_of lio --export ftp many.img
usage_of clone --clone many.img
