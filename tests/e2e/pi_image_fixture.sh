#!/bin/bash
# Not a test: makes the realistic Pi image that others use, once per run of CTest.
# Real firmware when an earlier make-pi-image or quickstart left it in the cache,
# else made-up files of the same names and sizes: tests need no network.
. "$(dirname "$0")/../lib.sh"
cache=${IMAGEFS_CACHE:-/var/cache/imagefs}
fast=--fast
if compgen -G "$cache/debs/raspi-firmware/*.deb" >/dev/null &&
	compgen -G "$cache/debs/linux-image-arm64/*.deb" >/dev/null; then
	fast=
fi
"$TOP/tools/make-pi-image" --force $fast "$PI_IMAGE"
