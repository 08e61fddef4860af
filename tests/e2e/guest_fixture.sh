#!/bin/bash
# Not a test: the guest whose kernel writes, made once (tests/guest/make-guest).
# usage: GUEST=directory guest_fixture.sh
. "$(dirname "$0")/../lib.sh"
requires cpio modprobe busybox nbd-client qemu-system-x86_64
[ "$(dpkg --print-architecture)" = amd64 ] || skip "only made for amd64"
"$HERE/guest/make-guest" "$GUEST"
