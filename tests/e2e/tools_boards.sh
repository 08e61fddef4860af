#!/bin/bash
# imagefsctl boards, link and unlink: each board with its image, its root and what it asked for; each kind of what is wrong
# with one, by its name; who asked and has no link, with the line that links it, which then works.
. "$(dirname "$0")/../lib.sh"
requires root netns dnsmasq nbd-server
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
[ -x "$IMAGEFSCTL" ] || fail "$IMAGEFSCTL is not built"
ctl() { "$IMAGEFSCTL" "$@"; }
# boards STATUS [OPTION]...: what it prints, in $T/boards; lines that were folded made whole.
boards() {
	local status=0 want=$1
	shift
	ctl boards "$@" >"$T/folded" 2>"$T/said" || status=$?
	unfolded "$T/folded" >"$T/boards"
	is "exit status ($(cat "$T/boards" "$T/said"))" $status "$want"
}
has() { grep -qxE -- "$1" "$T/boards" || fail "no '$1' in: $(cat "$T/boards")"; }
has_not() { ! grep -qE -- "$1" "$T/boards" || fail "'$1' in: $(cat "$T/boards")"; }
leads() { is "$1" "$(readlink "$SRC/$1")" "$2"; }
missing() { refuses 'error 1' tftp get 127.0.0.1 69 "$1"; }

# An image with a second FAT (3) and a root (2), whose command line says that its root is itself.
image() { # image NAME [CMDLINE]
	local file=$SRC/$1.img
	truncate -s 12M "$file"
	printf 'label: dos\nstart=2048, size=8192, type=c\nstart=10240, size=4096, type=83\nstart=14336, type=c\n' | sfdisk -q "$file"
	make_fat "$file" 2048 4096 12
	make_fat "$file" 14336 4096 12
	put "$1" "$file" /config.txt
	put x "$file" /start4.elf
	put "${2:-console=tty1 ip=dhcp nbdroot=127.0.0.1/$1 root=/dev/nbd0p2 rootwait}" "$file" /cmdline.txt
	put second "$file@@7M" /config.txt
}

# --- without a running imagefs ---------------------------------------------------

image jammy
image noble
export_of() { printf '[%s]\nexportname = %s\n' "$1" "$SRC/$1.img"; }
{
	printf '[generic]\nuser = root\ngroup = root\nlistenaddr = 127.0.0.1\n'
	export_of jammy
	export_of noble
} >"$T/nbd.conf"
nbd-server -d -C "$T/nbd.conf" >"$T/nbd.log" 2>&1 &
PIDS+=($!)
nbd_there() { ctl boards --images "$SRC" >/dev/null; }
boards 0 --images "$SRC"
has "no boards: no link in $SRC leads to an image"

ctl link --images "$SRC" 1000000089025D75 jammy >"$T/out"
is "said" "$(cat "$T/out")" '89025d75 -> jammy.img'
leads 89025d75 jammy.img
wait_until 10 nbd_there
ctl link --images "$SRC" 89025d75 "$SRC/jammy.img" >"$T/out"
is "twice" "$(cat "$T/out")" '89025d75 -> jammy.img already'
refuses '89025d75: leads to jammy.img already; --move moves it' ctl link --images "$SRC" 89025d75 noble
leads 89025d75 jammy.img
is "moved" "$(ctl link --move --images "$SRC" 0x89025d75 noble)" '89025d75 -> noble.img (was jammy.img)'
leads 89025d75 noble.img
ctl link --images "$SRC" --move 89025d75 jammy.img >/dev/null
ctl link --images "$SRC" DC:A6:32:01:36:C2 noble:1 >/dev/null
leads dc-a6-32-01-36-c2 noble:1
ctl link --images "$SRC" kitchen jammy:3 >/dev/null
boards 0 --images "$SRC"
has '89025d75 +jammy +1 +nbd 127.0.0.1/jammy +-'
has 'dc-a6-32-01-36-c2 +noble +1 +nbd 127.0.0.1/noble +-'
has 'kitchen +jammy +3 +- +-'
is "as nobodd-boards has it" "$(printf '[board:1000000089025d75]\nimage=%s\n[board:1]\nimage=%s\npartition=3\n' "$SRC/jammy.img" "$SRC/jammy.img" >"$T/nobodd.conf" &&
	"$TOP/tools/nobodd-boards" --images "$SRC" --apply "$T/nobodd.conf" && readlink "$SRC/89025d75" "$SRC/00000001")" "$(printf 'jammy.img\njammy:3')"
is "gone" "$(ctl unlink --images "$SRC" 00000001)" '00000001: no link any more (was jammy:3)'
[ ! -L "$SRC/00000001" ] || fail "it is there"
refuses '00000001: no such board' ctl unlink --images "$SRC" 1000000000000001
refuses 'jammy.img: is no link, and stays' ctl unlink --images "$SRC" jammy.img
[ -f "$SRC/jammy.img" ] || fail "the image is gone"

# What is refused changes nothing.
ls -l "$SRC" >"$T/before"
echo x >"$SRC/focal.img.xz"
image_before=$(ls "$SRC")
refuses 'focal.img.xz: by its name an archive: unpack it' ctl link --images "$SRC" 11111111 focal.img.xz
refuses 'nothere: no such image' ctl link --images "$SRC" 11111111 nothere
refuses 'jammy.img: partition 9: there is none of that number' ctl link --images "$SRC" 11111111 jammy:9
refuses 'jammy.img: partition 2: holds no FAT' ctl link --images "$SRC" 11111111 jammy:2
refuses "/$NAME" ctl link --images "$SRC" 11111111 "/$NAME"
cp "$SRC/jammy.img" "$T/else.img"
refuses "is not in $SRC; link to it there first: ln -s $T/else.img $SRC/else.img" ctl link --images "$SRC" 11111111 "$T/else.img"
refuses 'no board can be called so' ctl link --images "$SRC" jammy:2 jammy
refuses 'no board can be called so' ctl link --images "$SRC" ../x jammy
refuses 'noble: is the name of an image' ctl link --images "$SRC" noble jammy
mkdir "$SRC/22222222"
refuses '22222222: is there, and is no link' ctl link --move --images "$SRC" 22222222 jammy
rmdir "$SRC/22222222"
refuses 'which board, and which image?' ctl link 89025d75
refuses 'one argument too many' ctl unlink 1 2
refuses 'unknown option' ctl unlink --move 1
refuses 'No such file' ctl boards --images "$T/nowhere"
is "nothing was changed" "$(ls "$SRC")" "$image_before"
rm "$SRC/focal.img.xz"

# --- what is wrong, each kind --------------------------------------------------------

ln -s gone.img "$SRC/10000001"
echo archive >"$SRC/raspios.img.xz" && ln -s raspios.img.xz "$SRC/10000002"
ln -s jammy:9 "$SRC/10000003"
ln -s jammy:2 "$SRC/10000004"
echo notes >"$SRC/notes" && ln -s notes "$SRC/10000005"
ln -s around "$SRC/round" && ln -s round "$SRC/around"
mkdir "$SRC/tree" && ln -s tree "$SRC/10000006"
ln -s "$SRC/tree" "$SRC/10000007" # by its whole path it is served
ln -s /nowhere/pi.img "$SRC/10000008"
ln -s jammy.img "$SRC/ABCDEF01"
ln -s jammy.img "$SRC/DC:A6:32:01:36:C3"
ln -s jammy/bootcode.bin "$SRC/bootcode.bin" # a file, no board
ln -s jammy.img "$SRC/jammy"		     # its own name
image other "ip=dhcp nbdroot=127.0.0.1/jammy root=/dev/nbd0p2"
ln -s other.img "$SRC/10000009"
image unserved
ln -s unserved.img "$SRC/1000000a"
image silent "ip=dhcp nbdroot=127.0.0.1:1/silent root=/dev/nbd0p2"
ln -s silent.img "$SRC/1000000b"
image foreign "root=PARTUUID=12345678-02"
ln -s foreign.img "$SRC/1000000c"
image card "root=/dev/mmcblk0p2"
ln -s card.img "$SRC/1000000d"
truncate -s 1M "$SRC/zeros.img" && ln -s zeros.img "$SRC/1000000e"
# Own files stand before the image's: here a board has its root elsewhere, and that is meant.
ln -s jammy.img "$SRC/1000000f" && mkdir "$SRC/1000000f.d"
printf 'nbdroot=127.0.0.1/noble root=/dev/nbd0p2' >"$SRC/1000000f.d/cmdline.txt"
boards 1 --images "$SRC"
has '10000001: leads to gone.img, which is not there'
has '10000002: raspios.img.xz: by its name an archive: unpack it'
has '10000003: jammy:9: partition 9: there is none of that number'
has '10000004: jammy:2: partition 2: holds no FAT'
has '10000005: notes: neither a partition table nor a FAT: this is no disk image'
has 'round: leads to .*, and on in a circle, or through too many links'
has '10000006: leads to tree, and directories are not shown: link to it by its whole path'
has '10000008: leads to /nowhere/pi.img, which is not there'
has 'ABCDEF01: no board asks by that name: the same serial number is abcdef01'
has 'DC:A6:32:01:36:C3: no board asks by that name: the same MAC is dc-a6-32-01-36-c3'
has '10000009: cmdline.txt: nbdroot=127.0.0.1/jammy: names another image: jammy is not other'
has '1000000a: nbdroot=127.0.0.1/unserved: 127.0.0.1 has no export unserved'
has '1000000b: nbdroot=127.0.0.1:1/silent: no NBD server answers there'
has '1000000c: cmdline.txt: root=PARTUUID=12345678-02: names another image.*'
has '1000000d: cmdline.txt: root=/dev/mmcblk0p2: is the board.s own card or disk, not this image'
has '1000000e: zeros.img: neither a partition table nor a FAT: this is no disk image'
has_not '^(89025d75|dc-a6-32-01-36-c2|kitchen|10000007|1000000f): '
has_not '^(jammy|bootcode.bin|notes|tree)'
has '1000000f +jammy +1 +nbd 127.0.0.1/noble +-'
ctl boards --json --images "$SRC" >"$T/json" || true
is "for programs" "$("$PYTHON" -c 'import json, sys; b = {b["name"]: b for b in json.load(open(sys.argv[1]))["boards"]}
print(b["89025d75"]["image"], b["89025d75"]["partition"], b["89025d75"]["root"], b["89025d75"]["problems"], b["10000001"]["image"], len(b["10000001"]["problems"]))' "$T/json")" \
	'jammy 1 nbd 127.0.0.1/jammy [] None 1'
find "$SRC" \( -name '1000000[0-9a-e]' -o -name '*round' -o -name 'ABC*' -o -name 'DC:*' \) -delete
rm -r "$SRC"/{other,unserved,silent,foreign,card,zeros}.img "$SRC/jammy" "$SRC/tree" "$SRC/notes" "$SRC/raspios.img.xz"

# A server that takes the call and says nothing holds nobody up; names control no terminal.
"$PYTHON" -c 'import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 10999)); s.listen(); print("there", flush=True); time.sleep(100)' >"$T/mute" &
PIDS+=($!)
wait_until 10 grep -q there "$T/mute"
image mute "nbdroot=127.0.0.1:10999/mute root=/dev/nbd0p2"
for i in 1 2 3 4 5; do ln -s mute.img "$SRC/mute$i"; done
ln -s jammy.img "$SRC/"$'b\x1b[31mad'
before=$SECONDS
boards 1 --images "$SRC"
[ $((SECONDS - before)) -le 4 ] || fail "it took $((SECONDS - before)) s"
has 'mute5: nbdroot=127.0.0.1:10999/mute: no NBD server answers there'
! grep -qP '\x1b' "$T/boards" || fail "control characters of a name"
rm "$SRC"/mute* "$SRC/"$'b\x1b[31mad'

# --- with one: who asked -------------------------------------------------------------

mount_imagefs
start_dnsmasq "$MNT"
tftp get 127.0.0.1 69 89025d75/config.txt >/dev/null
missing 89025d75/kernel8.img
missing deadbeef/start4.elf
boards 1
has '89025d75 +jammy +1 +nbd 127.0.0.1/jammy +[0-9]+ s ago: kernel8.img, not found'
has 'dc-a6-32-01-36-c2 +noble +1 +nbd 127.0.0.1/noble +-'
has 'deadbeef: asked [0-9]+ s ago, and has no link: imagefsctl link deadbeef IMAGE'
boards 1 --images "$SRC"
has "deadbeef: asked [0-9]+ s ago, and has no link: imagefsctl link --images $SRC deadbeef IMAGE"
# The line, as it stands there, is what helps; the name of the only image is put into it.
mkdir "$T/away" && mv "$SRC/noble.img" "$T/away/"
boards 1
line=$(sed -n 's/^deadbeef: .*: imagefsctl //p' "$T/boards")
is "the line" "$line" 'link deadbeef jammy'
mv "$T/away/noble.img" "$SRC/"
read -r -a words <<<"$line"
is "linked" "$(ctl "${words[@]}")" 'deadbeef -> jammy.img'
got_of() { tftp get 127.0.0.1 69 "$1/config.txt" | cut -d" " -f1; }
is "served" "$(got_of deadbeef)" "$(got_of 89025d75)"
boards 0
has_not 'has no link'
has 'deadbeef +jammy +1 +nbd 127.0.0.1/jammy +[0-9]+ s ago: config.txt'
# Moved while it asks: it finds the one or the other, at every moment.
for ((i = 0; i < 20; i++)); do
	for name in noble jammy; do ctl link --move deadbeef $name >/dev/null; done
done &
moving=$!
PIDS+=($moving)
asked=0
while kill -0 $moving 2>/dev/null; do
	tftp get 127.0.0.1 69 deadbeef/config.txt >"$T/got"
	asked=$((asked + 1))
done
wait $moving || fail "link --move failed"
[ $asked -gt 0 ] || fail "nobody asked meanwhile"
ctl unlink deadbeef >/dev/null
missing deadbeef/config.txt
boards 1
has 'deadbeef: asked [0-9]+ s ago, and has no link: imagefsctl link deadbeef IMAGE'
# Nobody who is no board: what a Pi asks for without its name, and what people look at.
missing start4.elf
cat "$MNT/cafecafe/config.txt" 2>/dev/null || true
boards 1
has_not '^(start4|cafecafe)'
