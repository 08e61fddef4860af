#!/bin/bash
# Not a test: the guest of contrib_kernel.sh, made once. Where its packages cannot be had
# it is skipped, and with it that test.
# usage: TARGETS=directory targets_fixture.sh
set -u
skip() { echo "targets_fixture: skipped: $*"; exit 77; }
guest=$(dirname "$0")/../guest
for program in qemu-system-x86_64 cpio apt-get dpkg-deb; do
	PATH=$PATH:/usr/sbin:/sbin command -v $program >/dev/null || skip "needs $program"
done
"$guest/make-guest" "$TARGETS/guest" virtio_blk fuse loop dm_mod target_core_mod target_core_file \
	target_core_iblock iscsi_target_mod iscsi_tcp || skip "its kernel cannot be downloaded"
"$guest/make-targets" "$TARGETS/tree" || skip "its packages cannot be downloaded"
