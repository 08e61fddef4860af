#!/bin/bash
# tools/nobodd-boards: nobodd's configuration becomes links that the mount shows; printed
# commands and --apply make the same; whatever is wrong is said in one line, and nothing is made.
. "$(dirname "$0")/../lib.sh"
requires fuse
convert() { "$TOP/tools/nobodd-boards" --images "$SRC" "$@"; }
for name in jammy noble; do board "$SRC/$name.img" $name; done
board "$T/elsewhere.raw" elsewhere
mkdir -p "$T/etc/conf.d"
cat >"$T/etc/nobodd.conf" <<CONF
[tftp]
listen = ::
includedir = $T/etc/conf.d

[board:1000000089025d75]
image = $SRC/jammy.img
partition = 1
ip = 192.168.0.5
# another one
[board:00000000ABCD1234]
image=$SRC/noble.img
CONF
printf '[board:abcd1234]\nimage = %s\n' "$SRC/jammy.img" >"$T/etc/conf.d/10-later.conf"
printf '[board:1a2b]\nimage = %s\npartition = 5\n[board:abcd1234]\nimage = %s\n' "$T/elsewhere.raw" "$SRC/noble.img" \
	>"$T/etc/conf.d/20-last.conf"
printf 'nonsense\n' >"$T/etc/conf.d/30-not-read.conf.disabled"

before=$(ls "$SRC")
convert "$T/etc/nobodd.conf" >"$T/commands"
is "printing changes nothing" "$(ls "$SRC")" "$before"
grep -qx "# 89025d75: was served to 192.168.0.5 only" "$T/commands"
links() { find "$1" -type l -printf '%P -> %l\n' | sort; }
sh "$T/commands"
links "$SRC" >"$T/by-hand"
find "$SRC" -type l -delete
convert --apply "$T/etc/nobodd.conf" >"$T/out"
is "--apply says nothing" "$(cat "$T/out")" ''
is "links" "$(links "$SRC")" "$(printf '%s\n' '00001a2b -> elsewhere:5' '89025d75 -> jammy.img' 'abcd1234 -> noble.img' \
	"elsewhere.raw -> $T/elsewhere.raw")"
is "the same by hand" "$(cat "$T/by-hand")" "$(links "$SRC")"
convert --apply "$T/etc/nobodd.conf"
mount_imagefs
is "a board" "$(cat "$MNT/89025d75/config.txt")" jammy
is "the last one counts" "$(cat "$MNT/abcd1234/config.txt")" noble
is "elsewhere" "$(cat "$MNT/elsewhere/config.txt")" elsewhere

# complains STATUS NAMED ARGUMENTS...; the configuration comes on stdin
complains() {
	local want=$1 named=$2 status=0
	shift 2
	cat >"$T/wrong.conf"
	before=$(links "$SRC")
	convert --apply "$@" "$T/wrong.conf" >"$T/out" 2>"$T/err" || status=$?
	is "$named: exit status" $status "$want"
	grep -qF -- "$named" "$T/err" || fail "$named: said $(cat "$T/err")"
	[ "$want" = 2 ] || is "$named: lines" "$(wc -l <"$T/err")" 1
	is "$named: changed" "$(links "$SRC")" "$before"
}
rm -r "${T:?}/etc"
complains 1 'no [board' <<<'[tftp]'
complains 1 wrong.conf <<<'nonsense'
complains 1 '[board:xyz]' <<<$'[board:xyz]\nimage = /nowhere'
complains 1 'no image' <<<'[board:1]'
complains 1 '/nowhere' <<<$'[board:1]\nimage = /nowhere'
complains 1 'partition = 0' <<<$'[board:1]\npartition = 0\nimage = '"$SRC/jammy.img"
complains 1 --force <<<$'[board:89025d75]\nimage = '"$SRC/noble.img"
complains 1 'no such directory' --images "$T/nowhere" <<<$'[board:1]\nimage = '"$SRC/noble.img"
complains 2 --nonsense --nonsense <<<''
mkdir "$SRC/12345678"
complains 1 'is no link' --force <<<$'[board:12345678]\nimage = '"$SRC/noble.img"
# One that is right and one that is wrong: neither.
complains 1 /nowhere <<<$'[board:1]\nimage = '"$SRC/noble.img"$'\n[board:2]\nimage = /nowhere'
printf '[board:89025d75]\nimage = %s\n' "$SRC/noble.img" >"$T/force.conf"
convert --apply --force "$T/force.conf"
is "--force" "$(cat "$MNT/89025d75/config.txt")" noble
