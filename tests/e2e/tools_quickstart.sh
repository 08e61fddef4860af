#!/bin/bash
# tools/quickstart, both forms, again and again: files come over TFTP, a change behind the
# mount's back is new at the next fetch, the mount stays, what is not ours is left alone.
. "$(dirname "$0")/../lib.sh"
requires root netns dnsmasq fuse
export IMAGEFS # the daemon under test; no installing and building here
mount -t tmpfs tmpfs /srv
"$TOP/tools/quickstart" --fast >"$T/quickstart.log" 2>&1 || fail "exit $?"
grep -q '  new: ' "$T/quickstart.log"
grep -q 'umount /srv/boot' "$T/quickstart.log"
[ -s /srv/boot/89025d75/kernel8.img ] || fail "the mount is gone"
! udp_bound 69 || fail "dnsmasq is still there"
# Again, with port 69 taken by another server.
start_dnsmasq "$MNT"
"$TOP/tools/quickstart" --fast >"$T/quickstart.log" 2>&1 || fail "exit $? the second time"
grep -q '  new: ' "$T/quickstart.log"
is "mounted once" "$(grep -c ' /srv/boot ' /proc/self/mounts)" 1
umount /srv/boot

# The user's own directory: mounted, nothing in it changed.
board "$SRC/mine.img" mine
sha256sum "$SRC/mine.img" >"$T/sum"
"$TOP/tools/quickstart" "$SRC" "$T/boot" >"$T/quickstart.log" 2>&1 || fail "exit $?"
is "own directory" "$(cat "$T/boot/mine/config.txt")" mine
grep -q 'mine/config.txt' "$T/quickstart.log"
sha256sum --quiet -c "$T/sum"
is "nothing added" "$(ls -A "$SRC")" mine.img

# Places that are somebody's.
rm -r /srv/images && mkdir /srv/images && echo x >/srv/images/precious
refuses 'in use' "$TOP/tools/quickstart"
refuses 'no such file' "$TOP/tools/quickstart" "$T/nowhere" "$T/boot2"
