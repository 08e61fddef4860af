#!/bin/bash
# Not a test: the guest whose kernel writes, made once (tests/guest/make-guest). Without
# tests/lib.sh, whose network namespace would keep the packages out of reach. What cannot
# be had is skipped here, and with it what needs the guest.
# usage: GUEST=directory guest_fixture.sh
set -eu
skip() { echo "guest_fixture: skipped: $*"; exit 77; }
PATH=$PATH:/usr/sbin:/sbin
for tool in cpio modprobe busybox nbd-client qemu-system-x86_64; do
	type "$tool" >/dev/null 2>&1 || skip "needs $tool"
done
[ "$(dpkg --print-architecture)" = amd64 ] || skip "only made for amd64"
"$(dirname "$0")/../guest/make-guest" "$GUEST" || skip "the guest's kernel cannot be downloaded"
