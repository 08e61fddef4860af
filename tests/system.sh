# A system of our own, to install into and to start; sourced after lib.sh. Bash.
#
# The root filesystem of this machine is its lower layer: everything is there, and what is
# changed is in $T. Its init is this machine's systemd, as process 1 of new mount, network,
# PID, UTS and cgroup namespaces. Where that does not go (no systemd, no cgroup2), the test
# is skipped.
#
# Gives: $ROOT, the system's root, not started; the functions below.
# shellcheck shell=bash
requires root netns fuse nsenter
ROOT=$T/root
BUILD=$(realpath -m "${BUILD:-$TOP/build}")
SYSTEM_PID='' CGROUP=''

make_system() { # an overlay of / at $ROOT, with an empty /srv, /etc/imagefs and /run
	local lower=/
	mkdir -p "$T/layer" "$ROOT"
	mount -t tmpfs -o mode=755 imagefs-system "$T/layer"
	mkdir "$T/layer/upper" "$T/layer/work"
	mount -t overlay overlay -o "lowerdir=$lower,upperdir=$T/layer/upper,workdir=$T/layer/work" "$ROOT" ||
		skip "needs overlayfs"
	mount -t tmpfs -o mode=755 tmpfs "$ROOT/srv"
	mount -t tmpfs -o mode=755 tmpfs "$ROOT/run"
	rm -rf "$ROOT/usr/sbin/policy-rc.d" "$ROOT/etc/imagefs" && mkdir "$ROOT/etc/imagefs"
	printf 'imagefs-test\n' >"$ROOT/etc/hostname"
	: >"$ROOT/etc/fstab"
	# Nothing that belongs to this machine rather than to the test.
	find "$ROOT/etc/systemd/system" -mindepth 1 -name '*.wants' -prune -exec rm -rf {} +
	local unit
	for unit in console-getty systemd-logind getty@ serial-getty@ systemd-modules-load systemd-timesyncd \
		systemd-update-utmp systemd-random-seed; do
		ln -sf /dev/null "$ROOT/etc/systemd/system/$unit.service"
	done
	for unit in sys-kernel-debug sys-kernel-tracing sys-fs-fuse-connections dev-hugepages dev-mqueue; do
		ln -sf /dev/null "$ROOT/etc/systemd/system/$unit.mount"
	done
	mkdir -p "$ROOT/srv/images" "$ROOT/srv/boot"
}

# install_packages DIRECTORY-OF-PACKAGES | install_build BUILD-DIRECTORY
install_build() {
	DESTDIR=$ROOT cmake --install "$1" --prefix /usr >"$T/install.out" 2>&1 ||
		fail "cmake --install: $(tail -n1 "$T/install.out")"
}

# Starts systemd in it, with only what units want; returns when it is up.
start_system() {
	[ -x /lib/systemd/systemd ] || skip "needs systemd"
	local cgroup starter i
	cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
	[ -n "$cgroup" ] || skip "needs cgroup2"
	CGROUP=$(mktemp -d "$cgroup/imagefs-test.XXXXXX") || skip "cannot make a cgroup"
	cat >"$T/boot" <<'BOOT'
set -e
root=$1
mount --make-rprivate /
cd "$root"
# The kernel is not this system's: its settings are for reading.
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/fuse dev/
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts && ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
ln -s /proc/self/fd dev/fd
: >dev/console
mount -t tmpfs tmpfs tmp
pivot_root . mnt
umount -l mnt
# As systemd does on a machine, and not where it is told that it is in a container.
mount --make-rshared /
ip link set lo up
exec env -i container=imagefs-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=no
BOOT
	# In its cgroup first: the cgroup namespace is rooted where its first process is.
	(
		echo 0 >"$CGROUP/cgroup.procs" || exit 1
		exec unshare --fork --pid --mount --net --uts --ipc --cgroup --kill-child \
			bash "$T/boot" "$ROOT" >"$T/systemd.log" 2>&1 </dev/null
	) &
	starter=$!
	PIDS+=("$starter")
	system_child() { SYSTEM_PID=$(pgrep -P "$starter" | head -n1) && [ -n "$SYSTEM_PID" ]; }
	system_is_up() {
		system_child
		grep -qE 'running|degraded' <(inside systemctl is-system-running 2>/dev/null)
	}
	for ((i = 0; i < 600; i++)); do
		gone "$starter" && skip "systemd does not start here: $(tail -n1 "$T/systemd.log")"
		! system_is_up || return 0
		sleep 0.1
	done
	inside systemctl list-jobs --no-pager || true
	fail "systemd does not come up"
}

# inside COMMAND...: in the running system.
inside() { nsenter -t "$SYSTEM_PID" -m -p -n -u -i -C -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"; }

dnsmasq_as_packaged() { # in the running system; where only dnsmasq-base is: what dnsmasq's package adds
	inside sh -c 'mkdir -p /etc/dnsmasq.d; id dnsmasq >/dev/null 2>&1 || useradd -r dnsmasq
		test -e /lib/systemd/system/dnsmasq.service || printf "[Service]\nExecStart=/usr/sbin/dnsmasq -k --conf-file=/dev/null --conf-dir=/etc/dnsmasq.d,*.conf\n" >/etc/systemd/system/dnsmasq.service
		systemctl daemon-reload'
}

stop_system() {
	[ -z "$SYSTEM_PID" ] || kill -KILL "$SYSTEM_PID" 2>/dev/null || true
	[ -z "$SYSTEM_PID" ] || wait_until 10 gone "$SYSTEM_PID"
	SYSTEM_PID=
	# The kernel empties it; the directories stay.
	[ -z "$CGROUP" ] || find "$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null || true
}
# With the status it was called with, which is the test's.
stop_system_at_exit() { local status=$?; set +e; stop_system; return $status; }
trap 'stop_system_at_exit; cleanup' EXIT
