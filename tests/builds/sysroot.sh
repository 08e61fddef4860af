#!/bin/bash
# Not a test: the libraries of another architecture, unpacked once for build.sh. apt works in a
# state of its own: the machine gets no foreign architecture. Without tests/lib.sh, whose network
# namespace would keep the packages out of reach. What cannot be had is skipped here, and with it
# what needs it.
# usage: sysroot.sh ARCHITECTURE TRIPLET DIRECTORY      (leaves DIRECTORY/root and DIRECTORY/made)
set -eu
skip() { echo "sysroot: $arch: skipped: $*"; exit 77; }
arch=$1 triplet=$2
mkdir -p "$3"
cd "$3"
[ ! -e made ] || exit 0
for program in apt-get dpkg-deb "$triplet-gcc"; do command -v "$program" >/dev/null || skip "needs $program"; done
rm -rf root cache
mkdir -p state/lists/partial cache/archives/partial root
: >state/status

private_apt() {
	apt-get -q -y -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User="$(id -un)" \
		-o Dir::State="$PWD/state" -o Dir::State::status="$PWD/state/status" -o Dir::Cache="$PWD/cache" \
		-o Acquire::Languages=none -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Debug::NoLocking=1 "$@"
}
# One source of several may know nothing of this architecture: what counts is what can be had then.
private_apt update >log 2>&1 || true
private_apt install --no-install-recommends --download-only \
	libc6-dev libfuse3-dev libblkid-dev liburing-dev libxxhash-dev libseccomp-dev \
	libarchive-dev libfdisk-dev nettle-dev zlib1g-dev libnbd-dev libgnutls28-dev >>log 2>&1 || skip "$(grep -m1 '^E:' log)"
for package in cache/archives/*.deb; do dpkg-deb -x "$package" root; done
# Where a release has all of it in usr.
[ -e root/lib ] || ln -s usr/lib root/lib
rm -rf state cache
: >made
