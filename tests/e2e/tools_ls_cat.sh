#!/bin/bash
# imagefsctl ls and cat read what mtools reads, without a mount; and refuse in one line.
. "$(dirname "$0")/../lib.sh"
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
[ -x "$IMAGEFSCTL" ] || fail "$IMAGEFSCTL is not built"
ctl() { "$IMAGEFSCTL" "$@"; }
image=$SRC/jammy.img
"$TOP/tools/make-pi-image" --small --size 64 "$image"
extract "$image@@4M" "$T/want"

# Every name, every byte, size and time.
is "the root" "$(ctl ls "$image" | sort)" "$(find "$T/want" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort)"
is "below" "$(ctl ls "$image" overlays | sort)" "$(find "$T/want/overlays" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort)"
is "sizes and times" "$(ctl ls -l "$image:1" /overlays/ | awk '{ print $1, $2, $3, $4, $5 }' | sort)" \
	"$(cd "$T/want/overlays" && find . -type f -printf '%P %s %TY-%Tm-%Td %TH:%TM:%.2TS\n' | awk '{ print "-", $2, $3, $4, $1 }' | sort)"
is "a file" "$(ctl ls "$image" CONFIG.TXT)" CONFIG.TXT
while read -r name; do
	ctl cat "$image" "$name" | cmp - "$T/want/$name" || fail "$name"
done < <(cd "$T/want" && find . -maxdepth 2 -type f -size +0 -printf '%P\n' | head -n 40)
is "an empty one" "$(ctl cat "$image" /start4.sig | wc -c)" 0

# Another partition, and none.
truncate -s 16M "$SRC/two.img"
printf 'start=2048,size=8192,type=c\nstart=10240,size=8192,type=c\nstart=18432,type=83\n' | sfdisk -q "$SRC/two.img"
make_fat "$SRC/two.img" 2048 4096 12
make_fat "$SRC/two.img" 10240 4096 12
put first "$SRC/two.img@@1M" /config.txt
put second "$SRC/two.img@@5M" /other.txt
is "the boot partition" "$(ctl cat "$SRC/two.img" config.txt)" first
is "another" "$(ctl ls "$SRC/two.img:2"):$(ctl cat "$SRC/two.img:2" other.txt)" other.txt:second

# Fresh: what was just written is seen.
for round in $(seq 5); do
	put "round $round" "$image@@4M" /config.txt
	is "after a change" "$(ctl cat "$image" config.txt)" "round $round"
done

# usage_of STATUS NAMED ARGUMENTS...
usage_of() {
	local want=$1 named=$2 status=0
	shift 2
	ctl "$@" >"$T/stdout" 2>"$T/stderr" || status=$?
	is "imagefsctl $*: exit status" $status "$want"
	is "imagefsctl $*: lines" "$(grep -c . "$T/stderr")" 1
	grep -qF -- "$named" "$T/stderr" || fail "imagefsctl $*: does not name $named: $(cat "$T/stderr")"
	[ ! -s "$T/stdout" ] || fail "imagefsctl $*: prints all the same"
}
usage_of 2 image ls
usage_of 2 more ls "$image" / more
usage_of 2 -x ls -x "$image"
usage_of 2 file cat "$image"
usage_of 2 more cat "$image" a more
usage_of 1 'No such file' cat "$image" nothing
usage_of 1 'Not a directory' cat "$image" config.txt/below
usage_of 1 'Is a directory' cat "$image" overlays
usage_of 1 'no such partition' ls "$SRC/two.img:3"
usage_of 1 'no such partition' ls "$SRC/two.img:9"
usage_of 1 'No such file' ls "$SRC/nothing.img"
usage_of 1 'no such file' ls no-such-board
usage_of 1 regular ls "$SRC"
truncate -s 1M "$SRC/zeros.img"
usage_of 1 zeros ls "$SRC/zeros.img"
# Broken: an error, never other bytes.
board "$SRC/broken.img" text
head -c 20000 /dev/urandom >"$T/data"
put "@$T/data" "$SRC/broken.img" /victim.bin
read -r -a chain <<<"$(edit "$SRC/broken.img" chain /victim.bin)"
edit "$SRC/broken.img" setfat "${chain[2]}" free
usage_of 1 'Input/output error' cat "$SRC/broken.img" victim.bin
is "its neighbour" "$(ctl cat "$SRC/broken.img" config.txt)" text
