#!/bin/bash
# Another test with its images on another filesystem, made in a file.
# usage: on_filesystem.sh xfs|btrfs|ext4 TEST [its arguments]
. "$(dirname "$0")/../lib.sh"
filesystem=$1 test=$2
shift 2
requires root netns loop "mkfs.$filesystem"
truncate -s 1G "$T/disk"
mkfs."$filesystem" -q "$T/disk" >"$T/mkfs.log" 2>&1
mkdir "$T/$filesystem"
mount -o loop "$T/disk" "$T/$filesystem" || skip "cannot mount $filesystem"
chmod 755 "$T/$filesystem"
TMPDIR=$T/$filesystem bash "$HERE/e2e/$test.sh" "$@"
