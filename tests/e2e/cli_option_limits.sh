#!/bin/bash
# What is out of range is refused with the range and its unit; imagefs(8) names the same range; both ends
# of it are accepted. uid and gid are names or numbers.
. "$(dirname "$0")/../lib.sh"
ln -s "$IMAGEFS" "$T/mount.imagefs" # with -f it does all but mount
board "$SRC/a.img" text
MANUAL=$TOP/fuse/imagefs.8
takes() { "$T/mount.imagefs" "$SRC" "$MNT" -f -o "$1" 2>"$T/said"; }
# The paragraph of an option, as people read it.
paragraph() { awk -v name="$1" '/^\.TP/ { getline; ours = index($0, name "=") } ours' "$MANUAL" | sed 's/\\-/-/g; s/\\f.//g' | tr '\n' ' '; }
octal() { if [[ $1 == *mask ]]; then printf %o $((8#$2 + $3)); else echo $(($2 + $3)); fi; }

while read -r name unit; do
	if takes "$name=x"; then fail "$name=x is accepted"; fi
	[[ $(cat "$T/said") =~ from\ (-?[0-9]+)\ to\ ([0-9]+) ]] || fail "$name: no range: $(cat "$T/said")"
	range=${BASH_REMATCH[0]} low=${BASH_REMATCH[1]} high=${BASH_REMATCH[2]}
	[[ $(cat "$T/said") == *"${unit/-/ }"* ]] || fail "$name: not '$unit': $(cat "$T/said")"
	[[ $(paragraph "$name") == *"$range"* ]] || fail "$name: imagefs(8) does not say '$range': $(paragraph "$name")"
	for value in "$low" "$high"; do takes "$name=$value" || fail "$name=$value: $(cat "$T/said")"; done
	for value in "$(octal "$name" "$low" -1)" "$(octal "$name" "$high" 1)" '' "${high}x" "+$high" " $high"; do
		if takes "$name=$value"; then fail "$name=$value is accepted"; fi
		grep -qF -- "$range" "$T/said" || fail "$name=$value: $(cat "$T/said")"
	done
done <<'NAMES'
uid user
gid group
umask octal
fmask octal
dmask octal
time_offset minutes
partition number
settle milliseconds
keep MiB
control_group group
NAMES

if [ "$(id -u)" = 0 ]; then
	mount_imagefs -o "uid=daemon,gid=tty" "$SRC" "$MNT"
	is "by name" "$(stat -c '%U %G' "$MNT/a/config.txt")" 'daemon tty'
	unmount_imagefs
fi
refuses "uid=no-such-user" "$IMAGEFS" -o uid=no-such-user "$SRC" "$MNT"
refuses "gid=no-such-group" "$IMAGEFS" -o gid=no-such-group "$SRC" "$MNT"
