#!/bin/bash
# imagefs-prep --export and --dnsmasq: what is printed is what contrib's pages have; --install tells the real
# servers; what cannot be done is said, and leaves what was there.
. "$(dirname "$0")/../lib.sh"
PREP=$(dirname "$IMAGEFS")/imagefs-prep
[ -x "$PREP" ] || fail "$PREP is not built"
requires root netns sfdisk mkfs.fat mcopy nbd-server nbdinfo nbdkit tgtd tgtadm tgt-admin dnsmasq
# Of this test alone; and no way to the machine's systemd.
mkdir -p /srv /etc/tgt /etc/nbd-server /etc/dnsmasq.d
for directory in /srv /run /etc/tgt /etc/nbd-server /etc/dnsmasq.d; do mount -t tmpfs tmpfs "$directory"; done
mkdir -p /srv/images /srv/boot /etc/tgt/conf.d /etc/nbd-server/conf.d
image=/srv/images/jammy.img
board $image jammy
getent passwd nbd >/dev/null || skip "needs the user nbd"

# --- printed: each line is one of contrib's -------------------------------------------

printed() { "$PREP" -q --export "$@" $image 2>/dev/null | grep -v '^#'; }
agrees() { # agrees FILE: standard input's lines are in it
	sed -E 's/^[ \t]+//' "$1" >"$T/there"
	local line lines=0
	while read -r line; do
		lines=$((lines + 1))
		[ -z "$line" ] || grep -qxF -- "$line" "$T/there" || fail "$1 has no '$line'"
	done
	[ $lines -gt 3 ] || fail "$1: $lines lines"
}
printed nbd-server | sed 's,^transactionlog = /run/imagefs/boot/jammy$,,' | agrees "$TOP/contrib/nbd-server/imagefs.conf"
printed tgt | agrees "$TOP/contrib/tgt/imagefs.conf"
printed lio --board 89025d75 | grep -v saveconfig | agrees "$TOP/contrib/lio/README.md"
printed nbdkit | grep -vE '^(Description|ExecStart|ReadWritePaths)=' | agrees <(sed 's/^After=.*/After=network.target srv-boot.mount imagefs@boot.service/' "$TOP/contrib/nbdkit/nbdkit-imagefs.service")
"$PREP" -q --dnsmasq --network 192.168.1.0 $image 2>/dev/null | grep -v '^#' | agrees "$TOP/contrib/dnsmasq/imagefs.conf"

# --- nbdkit as the unit starts it: the second image needs nothing ---------------------

read -r -a start < <(printed nbdkit | sed -n 's/^ExecStart=//p')
words=() # this machine may have no filter, and no imagefs runs
for word in "${start[@]}"; do case $word in --filter=*|imagefs-dir=*) ;; *) words+=("$word") ;; esac; done
"${words[0]}" --foreground "${words[@]:1}" >"$T/nbdkit.log" 2>&1 &
nbdkit=$!
PIDS+=($nbdkit)
has() { nbdinfo --size "nbd://127.0.0.1/$1" >/dev/null; }
wait_until 10 has jammy.img
board /srv/images/noble.img noble
has noble.img
kill $nbdkit
wait $nbdkit || true

# --- nbd-server: what it reads when it starts -------------------------------------------

conf=/etc/nbd-server/conf.d/imagefs-jammy.conf
install() { "$PREP" "$@" --install $image >"$T/steps" 2>"$T/said"; }
printf '[generic]\nincludedir = /etc/nbd-server/conf.d\n' >/etc/nbd-server/config
install --export nbd-server || fail "$(cat "$T/said")"
grep -qx "write $conf" "$T/steps" || fail "$(cat "$T/steps")"
grep -q 'has to be restarted' "$T/said" || fail "$(cat "$T/said")"
is "whose it is" "$(stat -c %U:%G $image)" nbd:nbd
is "its mode" "$(stat -c %a $conf)" 644
nbd-server -C /etc/nbd-server/config -p /run/nbd-server.pid 2>"$T/nbd-server.log"
wait_until 10 has jammy
PIDS+=("$(cat /run/nbd-server.pid)")
install --export nbd-server || fail "twice: $(cat "$T/said")"
grep -qx "leave $conf: it says so already" "$T/steps" || fail "$(cat "$T/steps")"
has jammy
# A file that says something else is somebody's.
echo '# mine' >>$conf
cp $conf "$T/mine"
install --export nbd-server && fail "it says something else"
grep -q 'says something else; it was left as it is' "$T/said" || fail "$(cat "$T/said")"
cmp $conf "$T/mine"
rm -r /etc/nbd-server/conf.d
install --export nbd-server && fail "it is not installed"
grep -q 'install the package nbd-server' "$T/said" || fail "$(cat "$T/said")"
# Killed or out of space, there is no half a file.
mount -t tmpfs -o size=4k tmpfs /etc/nbd-server && mkdir /etc/nbd-server/conf.d
head -c 8192 /dev/zero >/etc/nbd-server/full 2>/dev/null || true
install --export nbd-server && fail "no space"
is "no space: what is left" "$(ls -A /etc/nbd-server/conf.d)" ''

# --- tgt: one target more, by tgt-admin -------------------------------------------------

echo 'include /etc/tgt/conf.d/*.conf' >/etc/tgt/targets.conf
conf=/etc/tgt/conf.d/imagefs-jammy.conf
install --export tgt && fail "no tgtd runs"
[ ! -e $conf ] || fail "what nobody has taken in is left: $(cat "$T/said")"
tgtd -f --iscsi portal=127.0.0.1:3260 >"$T/tgtd.log" 2>&1 &
PIDS+=($!)
tgt_answers() { tgtadm --lld iscsi --mode target --op show >"$T/targets"; }
wait_until 10 tgt_answers
exec 7<$image # as imagefs has it
install --export tgt || fail "$(cat "$T/said")"
tgt_answers
grep -q 'Target 1: iqn.2026-01.org.example:jammy' "$T/targets" && grep -q "$image" "$T/targets" || fail "$(cat "$T/targets")"
install --export tgt || fail "twice: $(cat "$T/said")"

# --- dnsmasq -----------------------------------------------------------------------------

# What it does not take in is taken away again: a file that it does not understand would stop its next start.
conf=/etc/dnsmasq.d/imagefs.conf
install --dnsmasq --network nonsense && fail "dnsmasq took nonsense"
grep -q "dnsmasq --test" "$T/said" || fail "$(cat "$T/said")"
[ ! -e $conf ] || fail "it is left"
grep -qx "remove $conf" "$T/steps" || fail "$(cat "$T/steps")"
# There is no systemd here.
install --dnsmasq --network 192.168.1.0 && fail "who restarted it?"
grep -qE 'systemctl restart dnsmasq.service: ' "$T/said" || fail "$(cat "$T/said")"
[ ! -e $conf ] || fail "it is left"
