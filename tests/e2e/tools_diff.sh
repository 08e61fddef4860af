#!/bin/bash
# imagefsctl diff: two boot partitions by names and content, with the lines and the exit status of `diff -rq` over what
# mtools reads of them. Damage is said and hides nothing else; directories that contain themselves end.
. "$(dirname "$0")/../lib.sh"
requires mtools
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
[ -x "$IMAGEFSCTL" ] || fail "$IMAGEFSCTL is not built"
cd "$T"
# compare STATUS A B: as diff says it of the trees that mtools reads.
compare() {
	local status=0 wanted=0
	"$IMAGEFSCTL" diff "$2" "$3" >"$T/got" 2>"$T/said" || status=$?
	is "exit status ($(cat "$T/got" "$T/said"))" $status "$1"
	rm -rf a b
	extract "$2" a && extract "$3" b
	diff -rq a b >"$T/tree" || wanted=$?
	is "diff's" $wanted "$1"
	sed -E -e "s,^Only in a/([^:]*):,Only in $2:\1:," -e "s,^Only in b/([^:]*):,Only in $3:\1:," -e "s,^Only in a:,Only in $2:," \
		-e "s,^Only in b:,Only in $3:," -e "s, a/, $2:,g" -e "s, b/, $3:,g" "$T/tree" | LC_ALL=C sort >"$T/want"
	LC_ALL=C sort "$T/got" | diff "$T/want" - || fail "other lines"
}
make_image jammy.img 40 16
mmd -i jammy.img@@1M ::overlays ::overlays/deep
for ((i = 0; i < 30; i++)); do put "overlay $i" jammy.img "/overlays/overlay-$i.dtbo"; done
head -c 9M /dev/urandom >kernel && put @kernel jammy.img /kernel8.img
put '' jammy.img /empty
put k jammy.img /kind
put "console=tty1" jammy.img /cmdline.txt
put x jammy.img /overlays/deep/x
cp jammy.img new.img
compare 0 jammy.img new.img
is "nothing is said" "$(cat got)" ''

# One byte at the end of a large file; another length; only here, only there; a file that is a directory; in subdirectories.
printf y | dd of=kernel bs=1 seek=$((9 * 1048576 - 1)) conv=notrunc status=none
put @kernel new.img /kernel8.img
put "console=tty1 quiet" new.img /cmdline.txt
put z new.img /overlays/deep/x
put n new.img /overlays/new.dtbo
put n new.img "/Long name.txt"
mdel -i new.img@@1M ::overlays/overlay-7.dtbo ::kind
mmd -i new.img@@1M ::kind ::only
put in new.img /only/in
compare 1 jammy.img new.img
compare 1 new.img jammy.img
grep -qx 'Files jammy.img:kernel8.img and new.img:kernel8.img differ' <("$IMAGEFSCTL" diff jammy.img new.img) || fail "kernel8.img"

# Names in another case are the same ones, and times do not count.
make_image upper.img 4 12 && make_image lower.img 4 12
put x upper.img /CONFIG.TXT
put x lower.img /config.txt
mmd -i upper.img@@1M ::OVERLAYS && mmd -i lower.img@@1M ::overlays
put y upper.img /OVERLAYS/A.DTBO && put y lower.img /overlays/a.dtbo
"$IMAGEFSCTL" diff upper.img lower.img >got || fail "case: $(cat got)"
# Partitions by number; another size of FAT.
"$IMAGEFSCTL" diff upper.img:1 lower.img:1 || fail "by number"
make_fat32_image wide.img
put x wide.img /config.txt
mmd -i wide.img@@1M ::overlays
put y wide.img /overlays/a.dtbo
"$IMAGEFSCTL" diff wide.img lower.img || fail "FAT32 and FAT12"

# Not known is another answer than that they differ.
status() { local status=0; "$IMAGEFSCTL" diff "$@" >got 2>said || status=$?; echo $status; }
is "none" "$(status jammy.img nothere.img)" 2
is "no FAT" "$(status jammy.img:2 new.img)" 2
is "usage" "$(status jammy.img)" 2
full=0
"$IMAGEFSCTL" diff jammy.img new.img >/dev/full 2>said || full=$?
is "full" $full 2
# A file that cannot be read, and the rest all the same.
cp new.img damaged.img
read -r -a chain <<<"$(edit damaged.img chain /kernel8.img)"
edit damaged.img setfat "${chain[5]}" "${chain[0]}"
is "damaged" "$(status new.img damaged.img)" 2
grep -q 'damaged.img:kernel8.img: ' said || fail "said $(cat said)"
put other damaged.img /cmdline.txt
is "damaged, and another" "$(status new.img damaged.img)" 2
is "the other" "$(cat got)" 'Files new.img:cmdline.txt and damaged.img:cmdline.txt differ'
# A directory that is its own subdirectory, in both.
for name in around again; do
	cp jammy.img $name.img
	read -r -a chain <<<"$(edit $name.img chain /overlays)"
	edit $name.img start /overlays/deep "${chain[0]}"
done
is "a circle" "$(timeout 30 "$IMAGEFSCTL" diff around.img again.img >got 2>said || echo $?)" 2
[ -s said ] || fail "nothing is said"
