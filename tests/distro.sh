#!/bin/bash
# imagefs on a Debian as it comes: a minimal tree of the release, a clean clone in it, and there
# what README says, word for word, as root. By hand, not in CI: it downloads half a gigabyte.
#
# usage: sudo tests/distro.sh RELEASE [PART]...       (RELEASE: trixie, bookworm)
#   quickstart  tools/quickstart: the real firmware and kernel, and says no untrue word
#   build       tools/install-deps build, then CMake as README says
#   package     tools/build-deb; the package installed, mounted, removed
#   unit        the unit and the package under a systemd of the release's
#   tests       tests/run $TESTS (full: every test that CI runs; "unit n8_" takes minutes)
# Without a PART: all five, in this order.
#   TESTS, SANITIZE, CTEST_ARGS, CMAKE_BUILD_PARALLEL_LEVEL  are passed on to tests/run
#   IMAGEFS_CACHE  where the bare tree and packages are kept (/var/cache/imagefs)
#   TMPDIR         where the tree is while it is used (/var/tmp): three gigabytes
#   KEEP=1         leaves the tree there, and says where
#
# The tree is the root of mount and PID namespaces of its own: what is mounted or started in it ends
# with it, however it ends. The kernel is this machine's, and so is the network. What is cloned is
# what is committed.
set -euo pipefail

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '/^set/d'; }
die() { echo "distro: $*" >&2; exit 1; }
parts='quickstart build package unit tests'
marker=/run/imagefs-distro # only in a tree: the parts change the system that they run in

# --- in the tree ----------------------------------------------------------------

says() { grep -q -- "$1" "$2" || die "nothing like '$1' in: $(cat "$2")"; }
says_not() { ! grep -q -- "$1" "$2" || die "'$1' in: $(cat "$2")"; }
log() { tee /run/log; }

part_quickstart() {
	tools/quickstart 2>&1 | log
	says '^  new: what came' /run/log
	# What it says is real is, to the last file; the rest it calls made up.
	says "from raspi-firmware and Debian's arm64 kernel, device trees and modules; made up: .* overlays" /run/log
	local package
	for package in raspi-firmware linux-image-arm64; do
		dpkg-deb -x /var/cache/imagefs/debs/$package/*.deb /run/real
	done
	(cd /run/real/usr/lib/raspi-firmware && find . -type f -exec cmp {} /srv/boot/89025d75/{} \;) >/run/differences 2>&1
	(cd /run/real/usr/lib/linux-image-*/broadcom && find . -name '*.dtb' -exec cmp {} /srv/boot/89025d75/{} \;) >>/run/differences 2>&1
	[ ! -s /run/differences ] || die "not the real files: $(head -n 5 /run/differences)"
	{ zcat /srv/boot/89025d75/initramfs8 2>/dev/null || true; } | head -c 65536 | grep -aq 'lib/modules/.*-arm64/' ||
		die "no modules in the initramfs"
	rm -rf /run/real
	umount /srv/boot
	tools/quickstart --fast 2>&1 | log # the image is there already
	says '^  new: what came' /run/log
	umount /srv/boot
	rm -rf /srv/images
	tools/quickstart --fast 2>&1 | log
	says '^  new: what came' /run/log
	says 'made-up files (--fast)' /run/log
	umount /srv/boot
	rm -rf build
}

part_build() {
	tools/install-deps build
	cmake -B build -DCMAKE_INSTALL_PREFIX=/usr
	cmake --build build --parallel "$(nproc)"
	DESTDIR=/run/installed cmake --install build >/run/log
	[ -s /run/installed/usr/lib/systemd/system/imagefs@.service ] || die "the unit is elsewhere: $(grep '@' /run/log)"
	rm -rf build
}

part_package() {
	tools/install-deps package
	tools/build-deb 2>&1 | log
	says_not '^[EW]:' /run/log
	apt-get install -y ./build-deb/imagefs_*.deb
	local units mounted
	units=$(pkg-config --variable=systemdsystemunitdir systemd)
	dpkg -L imagefs | log | grep -qxE "(/usr)?$units/imagefs@.service" || die "the unit is not in $units: $(cat /run/log)"
	mkdir -p /srv/images /srv/boot
	tools/install-deps quickstart # for the image
	tools/make-pi-image --fast --small --size 64 /srv/images/jammy.img
	mount -t fuse.imagefs /srv/images /srv/boot
	[ -s /srv/boot/jammy/config.txt ] || die "nothing is served"
	imagefsctl status jammy
	apt-get remove -y imagefs
	mounted=$(grep fuse.imagefs /proc/self/mounts || true)
	[ -z "$mounted" ] || die "mounted after removal: $mounted"
	! command -v imagefs || die "installed after removal"
	rm -rf /srv/images build-deb
}

part_unit() { SANITIZE='no' tests/run inst_ contrib_pages_systemd 2>&1 | log && says_not '(Skipped)' /run/log; }

# shellcheck disable=SC2086 # TESTS is a list
part_tests() { tests/run ${TESTS-full}; }

inside() {
	local part begin
	[ -e $marker ] || die "--inside is for the tree"
	cd "$(dirname "$0")/.."
	. /etc/os-release
	echo "distro: $PRETTY_NAME $(cat /etc/debian_version), $(uname -r)"
	for part; do
		begin=$SECONDS
		printf '\n== distro: %s: %s\n' "$VERSION_CODENAME" "$part"
		"part_$part"
		echo "distro: $VERSION_CODENAME: $part: ok, $((SECONDS - begin)) s"
	done
	dpkg-query -W -f '${Package} ${Version}\n' libfuse3-3 libfuse3-4 fuse3 systemd nbd-server libblkid1 gcc 2>/dev/null || true
}
if [ "${1:-}" = --inside ]; then shift; inside "$@"; exit; fi

# --- the tree ---------------------------------------------------------------------

case ${1:-} in -h|--help) usage; exit 0 ;; ''|-*) usage >&2; exit 2 ;; esac
release=$1
shift
# shellcheck disable=SC2086 # a list
[ $# -gt 0 ] || set -- $parts
for part; do [[ " $parts " == *" $part "* ]] || { usage >&2; exit 2; }; done
[ "$(id -u)" = 0 ] || die "run it as root"
top=$(cd "$(dirname "$0")/.." && pwd)
"$top/tools/install-deps" distro
cache=${IMAGEFS_CACHE:-/var/cache/imagefs}/distro
mkdir -p "$cache/$release-debs" "${TMPDIR:=/var/tmp}"
work=$(mktemp -d "$TMPDIR/imagefs-distro.XXXXXX")
tree=$work/tree
mkdir -m 755 "$tree"
running=
cleanup() {
	# With unshare its child ends, which is the first process of the namespaces; with them, their mounts.
	[ -z "$running" ] || kill -KILL "$running" 2>/dev/null || true
	wait
	if [ -n "${KEEP:-}" ]; then echo "distro: left: $tree"; else rm -rf --one-file-system "$work"; fi
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# The mirror of this machine, where it is a Debian: the one that it can reach.
if [ ! -s "$cache/$release.tar" ]; then
	# shellcheck disable=SC2016 # apt expands it
	mirror=$(apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Identifier: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null |
		awk '$2 == "main" { print $1; exit }')
	# shellcheck disable=SC2086 # none, or one
	debootstrap --variant=minbase "$release" "$work/bare" $mirror || die "debootstrap: see above"
	rm -f "$work"/bare/var/cache/apt/archives/*.deb
	tar -C "$work/bare" --numeric-owner -cf "$cache/$release.tar.partial" .
	mv "$cache/$release.tar.partial" "$cache/$release.tar"
	rm -rf --one-file-system "$work/bare"
fi
tar -C "$tree" --numeric-owner -xpf "$cache/$release.tar"
cp -L /etc/resolv.conf "$tree/etc/"
git clone -q --no-hardlinks "$top" "$tree/root/imagefs"

cat >"$work/enter" <<'ENTER'
set -e
mount --bind "$1" "$1"
cd "$1"
mount --bind "$2" var/cache/apt/archives
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
: >run/imagefs-distro
mount -t tmpfs tmpfs tmp
shift 2
pivot_root . mnt
umount -l mnt
passed=()
for name in TESTS SANITIZE CTEST_ARGS CMAKE_BUILD_PARALLEL_LEVEL; do
	[ -z "${!name+set}" ] || passed+=("$name=${!name}")
done
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
	DEBIAN_FRONTEND=noninteractive "${passed[@]}" bash /root/imagefs/tests/distro.sh --inside "$@"
ENTER
unshare --mount --pid --fork --kill-child --propagation private \
	bash "$work/enter" "$tree" "$cache/$release-debs" "$@" &
running=$!
wait $running
