#!/bin/bash
# What is wrong comes first in status, and alone by --problems, whose exit status says whether
# there is anything: links that lead to nothing, at their own names; a board without a link;
# damage; an image that is never at rest. What is over is gone. 80 columns. Names are text only.
. "$(dirname "$0")/../lib.sh"
requires root netns dnsmasq
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
[ -x "$IMAGEFSCTL" ] || fail "$IMAGEFSCTL is not built"
ctl() { "$IMAGEFSCTL" --control "$CONTROL" "$@"; }
json() { "$PYTHON" -c 'import json, sys; status = json.load(open(sys.argv[1])); images = {i["name"]: i for i in status["images"]}; print(eval(sys.argv[2]))' "$CONTROL/status.json" "$1"; }
# problems STATUS: what --problems prints, in $T/problems, with lines that were folded made whole.
problems() {
	local status=0
	ctl status --problems >"$T/folded" || status=$?
	unfolded "$T/folded" >"$T/problems"
	is "exit status ($(cat "$T/problems"))" $status "$1"
}
has() { grep -qxE -- "$1" "$T/problems" || fail "no '$1' in: $(cat "$T/problems")"; }
has_not() { ! grep -qE -- "$1" "$T/problems" || fail "'$1' in: $(cat "$T/problems")"; }
missing() { refuses 'error 1' tftp get 127.0.0.1 69 "$1"; }

for name in jammy focal; do board "$SRC/$name.img"; done
ln -s jammy.img "$SRC/89025d75"
ln -s jammy:1 "$SRC/dc-a6-32-01-36-c2"
ln -s jammy/bootcode.bin "$SRC/bootcode.bin"
ln -s "$T" "$SRC/elsewhere"
mount_imagefs
start_dnsmasq "$MNT"
tftp get 127.0.0.1 69 89025d75/config.txt >/dev/null
problems 0
has_not .
is "none" "$(head -n 1 "$CONTROL/status")" 'problems: none'
is "none, for programs" "$(json "status['problems']")" '[]'

# Links, at their own names, whether anybody asked or not; of links to links, too.
ln -s gone.img "$SRC/11111111"
ln -s 11111111 "$SRC/22222222"
ln -s /nowhere/pi.img "$SRC/33333333"
echo archive >"$SRC/raspios.img.xz"
ln -s raspios.img.xz "$SRC/44444444"
echo archive >"$T/noble.zip"
ln -s "$T/noble.zip" "$SRC/55555555"
ln -s around "$SRC/round"
ln -s round "$SRC/around"
ln -s jammy:7 "$SRC/66666666"
ln -s no-image/bootcode.bin "$SRC/bootsig.bin"
ln -s jammy:01 "$SRC/66666667"
ln -s jammy:99999999 "$SRC/66666668"
echo notes >"$SRC/notes"
ln -s notes "$SRC/77777777"
mkdir "$SRC/unpacked" && echo x >"$SRC/unpacked/config.txt"
ln -s unpacked "$SRC/88888888"
ln -s ./unpacked/ "$SRC/88888889"
ln -s unpacked/config.txt "$SRC/config.txt"
ln -s "$SRC/unpacked" "$SRC/88888880" # served by whoever follows it
ln -s 99999999 "$SRC/99999999"
ln -s 99999998.img "$SRC/99999998"
ln -s focal.img "$SRC/focal" # as it is
problems 1
has '11111111: leads to gone, which is not there'
has '22222222: leads to gone, which is not there'
has '33333333: leads to /nowhere/pi.img, which is not there'
has '44444444: leads to raspios.img.xz, by its name an archive: unpack it'
has "55555555: leads to $T/noble.zip, by its name an archive: unpack it"
has 'round: leads to around, and on in a circle, or through too many links'
has '66666666: leads to jammy:7, and jammy has no FAT partition 7'
has '66666667: leads to jammy:01, and jammy has no FAT partition 01'
has '66666668: leads to jammy:99999999, and jammy has no FAT partition 99999999'
has '88888888: leads to unpacked, and directories are not shown: link to it by its whole path'
has '88888889: leads to ./unpacked/, and directories are not shown: link to it by its whole path'
has 'config.txt: leads to unpacked/config.txt, and directories are not shown: link to it by its whole path'
has '99999999: leads to 99999999, and on in a circle, or through too many links'
has '99999998: leads to 99999998.img, which is not there'
has 'bootsig.bin: leads to no-image/bootcode.bin, which is not there'
has_not '^(89025d75|dc-a6|bootcode|elsewhere|77777777|88888880|raspios|jammy|focal|unpacked)'
# A board that asks through one.
missing 11111111/start4.elf
missing 66666666/start4.elf
missing 77777777/start4.elf
problems 1
has '11111111: leads to gone, which is not there; asked for [0-9]+ s ago'
has '66666666: leads to jammy:7, and jammy has no FAT partition 7; asked for [0-9]+ s ago'
has '77777777: leads to notes, which is no image; asked for [0-9]+ s ago'
is "not of the root" "$(json "status['not_found']")" 0
refuses 'leads to gone, which is not there' ctl status 11111111
refuses 'no such image or board' ctl status no-such

# A board without a link; not the files that a Pi asks for without a name.
missing deadbeef/start4.elf
missing 10.0.0.7/start4.elf
missing start4.elf
missing jammy:9/start4.elf
missing 99999999/start4.elf # there is a link
problems 1
has 'deadbeef: asked for [0-9]+ s ago, no link'
has '10.0.0.7: asked for [0-9]+ s ago, no link'
has_not '^(start4|jammy|99999999: asked)'
is "for programs" "$(json "[(p['name'], p['asked_seconds'] < 60) for p in status['problems'] if p['kind'] == 'no_link']")" \
	"[('10.0.0.7', True), ('deadbeef', True)]"
grep -qE '^imagefs_no_image_asked_timestamp_seconds\{board="deadbeef"\} [0-9.]+$' "$CONTROL/metrics" || fail "$(cat "$CONTROL/metrics")"
grep -qx 'imagefs_problems{kind="no_link"} 2' "$CONTROL/metrics" || fail "$(cat "$CONTROL/metrics")"
# It is over as soon as there is one.
ln -s focal.img "$SRC/deadbeef"
ln -sfn focal.img "$SRC/11111111"
problems 1
has_not '^(deadbeef|11111111|22222222)'
! unfolded "$CONTROL/status" | grep '^  deadbeef  ' >/dev/null || fail "asked for, and it is there: $(cat "$CONTROL/status")"

# Problems come first, and all fits 80 columns.
is "first" "$(head -n 2 "$CONTROL/status" | tr '\n' '|')" "problems:|  10.0.0.7: $(sed -n 's/^10.0.0.7: //p' "$T/problems")|"
for i in {1..12}; do ln -s jammy.img "$SRC/0000$((1000 + i))"; done
for name in status jammy; do
	[ -z "$(awk 'length > 80' "$CONTROL/$name")" ] || fail "$name: too wide: $(cat "$CONTROL/$name")"
done
[ -z "$(awk 'length > 80' "$T/folded")" ] || fail "--problems: too wide: $(cat "$T/folded")"
find "$SRC" \( -lname '*gone*' -o -lname '*nowhere*' -o -lname '*.xz' -o -lname '*.zip' -o -lname '*round' -o -lname '*:[079]*' -o -lname '*unpacked*' -o -lname '9999*' -o -lname 'no*' \) -delete
ln -s jammy.img "$SRC/99999999"

# Damage: the file, the reason, what to do; for a shell, whatever the name.
truncate -s 1M "$SRC/zeros.img"
odd="it's \$(odd)"
board "$SRC/$odd.img"
put "$(head -c 9000 /dev/zero | tr '\0' x)" "$SRC/$odd.img" /big.txt
read -r -a chain <<<"$(edit "$SRC/$odd.img" chain /big.txt)"
edit "$SRC/$odd.img" setfat "${chain[1]}" "${chain[0]}"
refuses 'error 0' tftp get 127.0.0.1 69 zeros/config.txt
refuses 'error 0' tftp get 127.0.0.1 69 "$odd/big.txt"
problems 1
has 'zeros: config.txt: lookup: EIO: it holds neither a partition table nor a FAT: imagefsctl check zeros; asked for [0-9]+ s ago'
grep -qE "^it's \\$\(odd\): big.txt: open: EIO: its clusters make no sense, or cannot be read: imagefsctl check 'it'\\\\''s \\$\(odd\)'; asked for" "$T/problems" ||
	fail "$(cat "$T/problems")"
is "kinds" "$(json "[(p['kind'], p['name']) for p in status['problems'] if p['name'] != '10.0.0.7']")" \
	"[('image', 'zeros'), ('file', \"it's \$(odd)\")]"

# What is gone is gone from status.
rm "$SRC/zeros.img" "$SRC/$odd.img" "$SRC/focal.img" "$SRC/focal"
not_there() { ! grep -qE '^ *(zeros|focal|it.s)' "$CONTROL/status"; }
wait_until 10 not_there
problems 1
has '11111111: leads to focal, which is not there; asked for .*'
has_not '^(zeros|it.s)'

# Names of any bytes control no terminal.
ln -s $'e\x1b[31m\xc2\x9b\nmil' "$SRC/"$'b\x1b[31mad'
ctl status --problems >"$T/out" || true
cat "$CONTROL/status" >>"$T/out"
grep -q 'b.\[31mad: leads to e.\[31m' "$T/out" || fail "$(cat "$T/out")"
! grep -qP '\x1b|\xc2\x9b' "$T/out" || fail "control characters of a name"
rm "$SRC/"$'b\x1b[31mad'

# An image that is never at rest: how long nobody has been answered; over when it rests.
board "$SRC/jammy.img" "$(head -c 400 /dev/zero | tr '\0' 0)"
"$PYTHON" - "$SRC/jammy.img" <<'PY' &
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
with open(sys.argv[1], "rb") as file:
    at = file.read().index(b"0" * 400)
for i in range(100000):
    os.pwrite(fd, b"%d" % (i % 10) * 400, at)
    time.sleep(0.01)
PY
writer=$!
PIDS+=($writer)
flux() { tftp get 127.0.0.1 69 89025d75/config.txt >/dev/null 2>&1 || true; json "images['jammy']['flux_seconds']"; }
in_flux() { [ "$(flux | cut -d. -f1)" -ge "$1" ]; }
wait_until 60 in_flux 11
problems 1
has 'jammy: is being written for [0-9]+ s, and nobody who asks gets an answer'
kill $writer
at_rest() { [ "$(flux)" = 0.0 ]; }
wait_until 20 at_rest
problems 1
has_not '^jammy'

# What tftpd-hpa wants for itself in its chroot (/dev/log, /etc/localtime, ...) is no board.
if command -v in.tftpd >/dev/null; then
	in.tftpd -L -4 -vvv -a :6969 --secure "$MNT" 2>"$T/tftpd.log" &
	PIDS+=($!)
	wait_until 10 udp_bound 6969
	refuses 'error 1' tftp get 127.0.0.1 6969 abad1dea/start4.elf
	problems 1
	has 'abad1dea: asked for [0-9]+ s ago, no link'
	has_not '^(dev|etc|usr|run|lib|var|proc): '
fi

# Completion: boards, those whose links lead to nothing, and names with anything in them, which no shell executes.
ln -s jammy.img "$SRC/"'x$(touch pwned) y'
(
	cd "$T"
	bash -c '. "$1"; COMP_WORDS=(imagefsctl status "$2"); COMP_CWORD=2; _imagefsctl 2>/dev/null; printf "%s\n" "${COMPREPLY[@]}"' \
		- "$TOP/contrib/completions/imagefsctl.bash" '' >"$T/known"
	for name in jammy 89025d75 dc-a6-32-01-36-c2 11111111 'x$(touch pwned) y'; do grep -qxF -- "$name" "$T/known" || fail "bash: $name: $(cat "$T/known")"; done
	if command -v zsh >/dev/null; then
		"$TOOLS/known.zsh" "$TOP/contrib/completions" 'imagefsctl status ' >"$T/known"
		for name in jammy 89025d75 dc-a6-32-01-36-c2 11111111; do grep -qxF -- "$name" "$T/known" || fail "zsh: $name: $(cat "$T/known")"; done
	fi
	[ ! -e pwned ] || fail "a name was executed"
)

# Usage; and no answer is another one than problems.
refuses '--problems are those of all' ctl status --problems jammy
status=0
"$IMAGEFSCTL" --control "$T" status --problems 2>/dev/null || status=$?
is "no imagefs" $status 2
