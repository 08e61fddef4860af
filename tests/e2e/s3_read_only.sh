#!/bin/bash
# S3: nothing imagefs does writes to an image: every way to write is refused, the
# image's descriptor is read-only, and its bytes and times are the same afterwards.
. "$(dirname "$0")/../lib.sh"
board "$SRC/a.img" text
mmd -i "$SRC/a.img@@1M" ::dir
sha256sum "$SRC/a.img" >"$T/sum"
stat -c '%y %z %s' "$SRC/a.img" >"$T/times"
mount_imagefs -o rw "$SRC" "$MNT"
D=$MNT/a
refuses EROFS touch "$D/new"
refuses EROFS bash -c "echo x >$D/config.txt"
refuses EROFS rm -f "$D/config.txt"
refuses EROFS mkdir "$D/new"
refuses EROFS rmdir "$D/dir"
refuses EROFS mv "$D/config.txt" "$D/other"
refuses EROFS ln -s x "$D/link"
refuses EROFS ln "$D/config.txt" "$D/link"
refuses EROFS chmod 777 "$D/config.txt"
refuses EROFS chown 1 "$D/config.txt"
refuses EROFS truncate -s 0 "$D/config.txt"
refuses EROFS touch "$MNT/new.img"
refuses EROFS rm -rf "$MNT/a"
refuses EROFS mkdir "$MNT/new"
exec 7<"$D/config.txt" # an open file: whatever the daemon keeps open, it has open now
cat <&7 >/dev/null
pid=$(daemon_pid)
seen=0
for fd in /proc/"$pid"/fd/*; do
	case $(readlink "$fd") in
	*.img)
		seen=$((seen + 1))
		flags=$(awk '/^flags:/ { print $2 }' "/proc/$pid/fdinfo/${fd##*/}")
		is "access mode of $(readlink "$fd")" $((0$flags & 3)) 0 ;;
	esac
done
echo "descriptors of images seen: $seen"
! grep -q '\.img' "/proc/$pid/maps" || fail "an image is mapped"
is text "$(cat "$D/config.txt")" text
sha256sum --quiet -c "$T/sum"
is "times" "$(stat -c '%y %z %s' "$SRC/a.img")" "$(cat "$T/times")"
grep -q '^[^ ]* [^ ]* fuse.imagefs ro,' <(grep " $MNT " /proc/self/mounts) || fail "not mounted ro"
