"""imagefs in a guest whose kernel has what this machine's may not: LIO and the device mapper.

usage: guest_targets.py GUEST TARGETS IMAGEFS-TREE DISK BLANK-DISK STORAGE LIO SCRATCH
STORAGE, LIO: the commands on these pages of contrib/.
"""
import sys

from guest import Guest

guest_directory, targets, imagefs, disk, blank, *pages, scratch = sys.argv[1:]
files = {}
for name, page in zip(("storage", "lio"), pages):
    with open(page, "rb") as file:
        files[name] = file.read()
devices = []
for path in (disk, blank):
    devices += ["-drive", "file=%s,format=raw,if=virtio" % path]
guest = Guest(guest_directory, files, scratch, devices, [targets, imagefs], 768)


def said(command):
    guest.run("{ %s; } && echo" % command)  # what it says may end within a line
    return guest.said.strip().replace("\r", "")


def until(condition):
    guest.run("n=0; until %s; do n=$((n+1)); [ $n -lt 600 ] || break; usleep 20000; done; %s" % (condition, condition))


def rounds(name, device, mountpoint, source):
    """A board writes, and syncs; whoever opens then sees it."""
    until("[ -b %s1 ]" % device)
    guest.run("mkdir -p /board && mount -t vfat %s1 /board" % device)
    for number in range(8):
        guest.run("{ echo '%s, %d'; head -c %d /dev/urandom; } >/tmp/wanted; cp /tmp/wanted /board/config.txt && sync"
                  % (name, number, number * 1000))
        guest.run("cmp /tmp/wanted %s/config.txt" % mountpoint)
    guest.run("umount /board")
    changes = said("imagefsctl status %s | sed -n 's/^changes: //p'" % mountpoint.split("/")[-1])
    assert changes == source, changes
    print(name, "8 of 8 fresh, seen by", changes)


guest.run("export PATH=/sbin:/usr/sbin:/bin:/usr/bin LC_ALL=C LVM_SUPPRESS_FD_WARNINGS=1 HOME=/tmp TERM=dumb")
guest.run("mount -t tmpfs tmpfs /run; mkdir -p /run/lock/lvm /run/lvm /var/lock /srv /sys/kernel/config; "
          "mkdir -p /etc/lvm /etc/target/alua /etc/target/pr /etc/rtslib-fb-target; ln -sf /proc/self/mounts /etc/mtab; mount -t configfs configfs /sys/kernel/config; mount -t ext4 /dev/vda /srv")
guest.run("imagefs /srv/images /srv/boot")
assert said("cat /srv/boot/jammy/config.txt") == "jammy"

# Both pages, as they stand: a volume group is there, as on a server that has one.
guest.run("{ pvcreate /dev/vdb && vgcreate vg0 /dev/vdb; } >/tmp/lvm.log 2>&1 || { cat /tmp/lvm.log; false; }")
print(said("sh -ex /storage 2>&1"))
print(said("sh -ex /lio 2>&1"))


def log_in(name):
    """As the board does: the disk that it gets."""
    guest.run("ls /sys/block >/tmp/before; iscsistart -i iqn.2026-01.org.example:89025d75 -t iqn.2026-01.org.example:%s "
              "-g 1 -a 127.0.0.1 >/tmp/iscsi.log 2>&1 || { cat /tmp/iscsi.log; false; }" % name)
    until("ls /sys/block | grep -vxFf /tmp/before | grep -q sd")
    return "/dev/" + said("ls /sys/block | grep -vxFf /tmp/before | grep sd")


rounds("fileio", log_in("jammy"), "/srv/boot/jammy", "inotify+ctime")
rounds("block on a logical volume", log_in("pi2"), "/srv/boot/pi2", "device counters")
guest.run("umount /srv/boot")
guest.end()
