#!/bin/bash
# vfat's options keep their names and meaning; the defaults are root:root, 0444, 0555,
# UTC; and the permissions shown are the ones that count.
. "$(dirname "$0")/../lib.sh"
requires root
make_image "$SRC/a.img" 4 12
echo text >"$T/config.txt"
touch -d '2024-07-01 12:00:00 UTC' "$T/config.txt"
mcopy -m -i "$SRC/a.img@@1M" "$T/config.txt" ::/
F=$MNT/a/config.txt
shown() { stat -c '%u:%g %a' "$1"; }
with() { mount_imagefs -o "$1" "$SRC" "$MNT"; }

mount_imagefs
is "root by default" "$(shown "$MNT")" '0:0 555'
is "image by default" "$(shown "$MNT/a")" '0:0 555'
is "file by default" "$(shown "$F")" '0:0 444'
is "time by default" "$(stat -c %Y "$F")" "$(date -d '2024-07-01 12:00 UTC' +%s)"
[ "$(stat -c %s "$MNT")" -gt 0 ] && [ "$(stat -c %s "$MNT/a")" -gt 0 ] || fail "directories of size 0"
setpriv --reuid 65534 --regid 65534 --clear-groups cat "$F" >/dev/null || fail "others cannot read"
unmount_imagefs

with uid=33,gid=44
is "uid and gid" "$(shown "$F") $(shown "$MNT/a")" '33:44 444 33:44 555'
unmount_imagefs
with umask=027
# As in vfat, masks are taken off 0777: the x bits are shown too. Write bits never are.
is "umask" "$(shown "$F") $(shown "$MNT/a")" '0:0 550 0:0 550'
refuses EACCES setpriv --reuid 65534 --regid 65534 --clear-groups cat "$F"
unmount_imagefs
with fmask=077,dmask=022
is "fmask and dmask" "$(shown "$F") $(shown "$MNT/a")" '0:0 500 0:0 555'
refuses EACCES setpriv --reuid 65534 --regid 65534 --clear-groups cat "$F"
unmount_imagefs
with tz=UTC
is "tz=UTC" "$(stat -c %Y "$F")" "$(date -d '2024-07-01 12:00 UTC' +%s)"
unmount_imagefs
# time_offset is minutes of local time before UTC (mount(8)): 120 is UTC+2.
with time_offset=120
is "time_offset=120" "$(stat -c %Y "$F")" "$(date -d '2024-07-01 10:00 UTC' +%s)"
unmount_imagefs
with time_offset=-300
is "time_offset=-300" "$(stat -c %Y "$F")" "$(date -d '2024-07-01 17:00 UTC' +%s)"
unmount_imagefs
