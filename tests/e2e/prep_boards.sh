#!/bin/bash
# imagefs-prep makes the board's link and tells the servers: from an archive to a board that gets its files by TFTP and its
# disk by NBD, in one command, with stock servers.
. "$(dirname "$0")/../lib.sh"
PREP=$(dirname "$IMAGEFS")/imagefs-prep
[ -x "$PREP" ] || fail "$PREP is not built"
requires root netns fuse xz sfdisk mkfs.fat mcopy mkfs.ext4 nbd-server nbdinfo nbdcopy dnsmasq
mount -t tmpfs tmpfs /srv
mount -t tmpfs tmpfs /etc/nbd-server
mount -t tmpfs tmpfs /run
mkdir /srv/images /srv/boot /etc/nbd-server/conf.d /run/imagefs
"$IMAGEFS" /srv/images /srv/boot # on a tmpfs the kernel does not tell of writes: the server has to, to its control file
cd "$T"
truncate -s 24M raspios.img
sfdisk -q raspios.img <<<'label: dos
	start=2048, size=14336, type=c
	start=18432, size=16384, type=83'
make_fat raspios.img 2048 7168 12
mkfs.ext4 -q -F -E offset=$((9 * 1048576)) raspios.img 8M 2>/dev/null
put 'console=tty1 root=PARTUUID=1-02 rootwait' raspios.img /cmdline.txt
put 'arm_64bit=1' raspios.img /config.txt
xz -0 -k raspios.img
printf '[generic]\nincludedir = /etc/nbd-server/conf.d\nallowlist = true\n' >/etc/nbd-server/config
cp raspios.img /srv/images/first.img
printf '[first]\nexportname = /srv/images/first.img\n' >/etc/nbd-server/conf.d/first.conf

all=(--size 32M --grow-root --root nbd --server 10.0.0.1 --ssh --board 10000000ABCD1234 --export nbd-server --install
	raspios.img.xz /srv/images/jammy.img)
"$PREP" --dry-run "${all[@]}" >dry 2>said || fail "dry: $(cat said)"
is "--dry-run" "$(ls /srv/images /etc/nbd-server/conf.d | tr '\n' ' ')" '/etc/nbd-server/conf.d: first.conf  /srv/images: first.img '
"$PREP" "${all[@]}" >steps 2>said || fail "$(cat said)"
is "the lines of --dry-run" "$(cat dry)" "$(cat steps)"
grep -qx 'link abcd1234 -> jammy.img' steps
is "the link" "$(readlink /srv/images/abcd1234)" jammy.img
nbd-server -C /etc/nbd-server/config -p /run/nbd-server.pid 2>"$T/nbd-server.log"
wait_until 10 test -s /run/nbd-server.pid
PIDS+=("$(cat /run/nbd-server.pid)")
nbdcopy nbd://127.0.0.1/jammy disk.img
cmp disk.img /srv/images/jammy.img

# What is printed for dnsmasq serves the board.
"$PREP" -q --dnsmasq /srv/images/jammy.img >dnsmasq.conf
grep -q '^tftp-root=/srv/boot$' dnsmasq.conf
dnsmasq --keep-in-foreground --conf-file="$T/dnsmasq.conf" --user=root --pid-file= --log-facility="$T/dnsmasq.log" &
PIDS+=($!)
wait_until 10 udp_bound 69
tftp get 127.0.0.1 69 abcd1234/cmdline.txt --out got >/dev/null
is "what the board gets" "$(cat got)" 'ip=dhcp nbdroot=10.0.0.1/jammy root=/dev/nbd0p2 console=tty1 rootwait'
umount -l /srv/boot

# Again: only what has to be done; another image only with --move; what is no link never.
"$PREP" --board abcd1234 --export nbd-server --install /srv/images/jammy.img >steps 2>said || fail "again: $(cat said)"
grep -q 'it says so already' steps || fail "again: $(cat steps)"
"$PREP" -q --board 10000000abcd1234 raspios.img.xz /srv/images/noble.img 2>said && fail "another image's board"
[ ! -e /srv/images/noble.img ] && grep -q 'abcd1234: leads to another image: --move' said || fail "another image's board: $(cat said)"
"$PREP" --board 10000000abcd1234 --board dca6320136c2 --move raspios.img.xz /srv/images/noble.img >steps 2>said || fail "$(cat said)"
is "moved" "$(readlink /srv/images/abcd1234 /srv/images/dc-a6-32-01-36-c2 | tr '\n' ' ')" 'noble.img noble.img '
grep -q 'abcd1234 led to jammy.img' said
"$PREP" -q --board first.img /srv/images/noble.img 2>said && fail "an image's name"
for name in first noble; do
	"$PREP" -q --board $name --move /srv/images/noble.img 2>said && fail "a board called as the image $name"
	grep -q "^imagefs-prep: $name: is the name of an image" said || fail "says $(cat said)"
done
"$PREP" -q --board third raspios.img.xz /srv/images/third.img 2>said && fail "a board called as its image"
[ ! -e /srv/images/third.img ] || fail "a board called as its image: it was made"
tar -c --xz -f notes.tar.xz said
"$PREP" -q --board x0 notes.tar.xz /srv/images/notes.img 2>said && fail "a board for what is no disk"
grep -q 'is it an image of a disk' said || fail "no disk: says $(cat said)"
is "no disk: what is left" "$(find /srv/images -name '*notes*' -o -name x0)" ''
"$PREP" notes.tar.xz notes.img >steps 2>said && grep -q 'is it an image of a disk' said || fail "no disk: says $(cat said)"
mkdir /srv/images/x1
"$PREP" -q --board x1 --move /srv/images/noble.img 2>said && fail "a directory"
grep -q 'is no link' said
"$PREP" -q --board a/b /srv/images/noble.img 2>said && fail "a name with a slash"

# The other servers: something to be told, that names the image; iSCSI's names agree with the command line.
for server in nbdkit tgt lio; do
	"$PREP" -q --export $server --board abcd1234 /srv/images/noble.img >out 2>said || fail "$server: $(cat said)"
	grep -q /srv/images out || fail "$server: $(cat out)"
done
"$PREP" -q --root iscsi --server 10.0.0.1 --board abcd1234 --export tgt /srv/images/noble.img >out
target=$(grep -oE 'iqn[^ >]*noble' out | head -n1)
[[ " $(mtype -i /srv/images/noble.img@@1M ::/cmdline.txt) " == *" iscsi_target_name=$target "* ]] || fail "$target: $(mtype -i /srv/images/noble.img@@1M ::/cmdline.txt)"
