#!/bin/bash
# imagefsctl check says what fsck.fat and blkid say of the same bytes: dirty flags of the boot sector and
# of FAT[1], the label of the root directory, the identifier or none; FAT12, 16 and 32, two sector sizes.
. "$(dirname "$0")/../lib.sh"
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
[ -x "$IMAGEFSCTL" ] || fail "$IMAGEFSCTL is not built"
requires fsck.fat blkid
f=$SRC/one.img
json() { "$PYTHON" -c 'import json, sys; fat = json.load(open(sys.argv[1]))["fat"]; print(eval(sys.argv[2]))' "$T/out" "$1"; }
blkid_says() { blkid -p -s "$1" -o value "$f" | "$PYTHON" -c 'import sys; print(sys.stdin.buffer.read().decode("cp437").rstrip("\n"))'; }
dirty_says() { if grep -q '^Dirty bit is set' "$T/fsck"; then echo True; else echo False; fi; }
lines() { grep -cE "$1" "$2" || true; }
# same WHAT: of $f, which is one FAT.
same() {
	"$IMAGEFSCTL" check --json "$f" >"$T/out" 2>"$T/stderr" || [ $? = 1 ] || fail "$1: $(cat "$T/stderr")"
	"$IMAGEFSCTL" check "$f" >"$T/text" || true
	fsck.fat -n "$f" >"$T/fsck" || true
	is "$1: label, id, label of the boot sector, dirty" \
		"$(json "'%s|%s|%s|%s' % (*(fat[key] or '' for key in ('label', 'id', 'boot_sector_label')), fat['dirty'])")" \
		"$(blkid_says LABEL)|$(blkid_says UUID)|$(blkid_says LABEL_FATBOOT)|$(dirty_says)"
	is "$1: dirty, in words" "$(lines 'dirty flag is set' "$T/text")" "$(lines '^Dirty bit is set' "$T/fsck")"
	is "$1: id, in words" "$(sed -n 's/^file system:.*, id \([^,]*\).*/\1/p' "$T/text")" "$(blkid_says UUID)"
	is "$1: labels differ" "$(lines 'the boot sector has another' "$T/text")" \
		"$(lines 'boot sector and different|no volume label in root' "$T/fsck")"
}
poke() { edit "$f@@0" poke "$@"; }
for kind in "12 512 2" "16 512 16" "16 4096 64" "32 512 40" "32 4096 300"; do
	read -r bits sector mib <<<"$kind"
	one() {
		rm -f "$f"
		truncate -s "${mib}M" "$f"
		mkfs.fat -F "$bits" -S "$sector" -s 1 --mbr=no "$@" "$f" >"$T/mkfs.log" || fail "mkfs.fat: $(cat "$T/mkfs.log")"
	}
	if [ "$bits" = 32 ]; then state=65 signature=66 id=67; else state=37 signature=38 id=39; fi
	one -n BOOTFS
	same "$kind"
	is "$kind: flags" "$(json "fat['dirty'], fat['errors'], fat['label']")" "(False, False, 'BOOTFS')"
	root=$("$PYTHON" -c 'import sys; print(open(sys.argv[1], "rb").read().index(b"BOOTFS     \x08"))' "$f")
	# Flags: Linux's, and those of FAT[1], in every copy as a driver writes them.
	poke $state 01 && same "$kind: dirty in the boot sector"
	grep -qF 'the dirty flag is set (boot sector)' "$T/text" || fail "$kind: $(cat "$T/text")"
	if [ "$bits" != 12 ]; then
		one -n BOOTFS
		if [ "$bits" = 32 ]; then clean=0x07ffffff good=0x0bffffff both=0x03ffffff; else clean=0x7fff good=0xbfff both=0x3fff; fi
		edit "$f@@0" setfat 1 $((clean)) && same "$kind: dirty in the FAT"
		grep -qF 'the dirty flag is set (FAT)' "$T/text" || fail "$kind: $(cat "$T/text")"
		edit "$f@@0" setfat 1 $((good)) && same "$kind: errors in the FAT"
		is "$kind: errors" "$(json "fat['errors'], fat['dirty']")" "(True, False)"
		grep -qF 'the error flag is set (FAT)' "$T/text" || fail "$kind: $(cat "$T/text")"
		edit "$f@@0" setfat 1 $((both)) && poke $state 01 && same "$kind: all flags"
		grep -qF 'the dirty flag is set (boot sector and FAT)' "$T/text" || fail "$kind: $(cat "$T/text")"
	fi
	# Labels: what the owner called it stands in the root.
	one -n BOOTFS
	poke $((signature + 5)) "$(printf 'ELSEWHERE  ' | od -An -tx1 | tr -d ' \n')" && same "$kind: another in the boot sector"
	is "$kind: label" "$(json "fat['label'], fat['boot_sector_label']")" "('BOOTFS', 'ELSEWHERE')"
	one -n BOOTFS
	poke "$root" e5 && same "$kind: deleted"
	one -n BOOTFS
	poke "$root" "$(printf 'NO NAME    ' | od -An -tx1 | tr -d ' \n')" && same "$kind: called NO NAME"
	one -n BOOTFS
	poke $((root + 11)) 28 && same "$kind: with the archive bit"
	one -n BOOTFS
	poke "$root" "9a6265722020784e" && poke $((signature + 5)) 9a6265722020784e && same "$kind: lower case, spaces and umlauts"
	is "$kind: umlauts" "$(json "fat['label'], fat['boot_sector_label']")" "('Über  xN', 'Über  xN')"
	one -n BOOTFS
	poke $((root + 26)) 0300 && { "$IMAGEFSCTL" check --json "$f" >"$T/out" || true; }
	is "$kind: with a cluster, where fsck.fat thinks otherwise" "$(json "fat['label'] or ''")" "$(blkid_says LABEL)"
	one
	same "$kind: none"
	is "$kind: none" "$(json "fat['label'], fat['boot_sector_label']")" "(None, None)"
	# Identifiers.
	one -n BOOTFS
	poke $signature 28 && same "$kind: an identifier, and no label in the boot sector"
	poke $signature 00 && same "$kind: no identifier"
	[ "$bits" = 32 ] || is "$kind: no identifier" "$(json "fat['id']")" None
	one -n BOOTFS
	poke $id 00000000 && same "$kind: identifier 0"
done
