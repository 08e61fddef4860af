#!/bin/bash
# S5: fifty users each hold open all they get, files of as many images as they can and directories, while
# these images are written and what they read is kept in temporary files: descriptors (256) are not used up, no
# image is refused to another user, and root and a TFTP server get each of them.
. "$(dirname "$0")/../lib.sh"
requires root netns
truncate -s 4M "$T/proto"
mkfs.fat -F 12 "$T/proto" >/dev/null
put text "$T/proto@@0" /config.txt
head -c 200000 /dev/urandom >"$T/kernel"
put "@$T/kernel" "$T/proto@@0" /kernel8.img
mmd -i "$T/proto" ::overlays
for i in $(seq 250); do cp --sparse=always "$T/proto" "$SRC/i$i.img"; done
bash -c 'ulimit -Sn 256; ulimit -Hn 256; exec "$@"' - "$IMAGEFS" -o keep=0 "$SRC" "$MNT" 2>"$T/imagefs.log"
pid=$(daemon_pid)
start_tftpd "$MNT"
mkfifo "$T/go"
cat >"$T/users.py" <<'PY'
import errno, os, resource, sys
shown, source, go = sys.argv[1:4]
resource.setrlimit(resource.RLIMIT_NOFILE, (3000, 3000))
counts = []
for uid in range(2000, 2050):
    out, said = os.pipe()
    if os.fork() == 0:
        os.setgroups([]); os.setgid(uid); os.setuid(uid)
        held, images = [], 0
        for i in (first % 250 + 1 for first in range(uid * 5, uid * 5 + 60)):
            try:
                held.append(os.open("%s/i%d/kernel8.img" % (shown, i), os.O_RDONLY))
                os.pread(held[-1], 100, 0)
                images += 1
            except OSError as error:
                assert error.errno in (errno.EIO, errno.ESTALE), error
        for i in range(1, 101):
            try:
                held.append(os.open("%s/i%d/overlays" % (shown, i % 250 + 1), os.O_RDONLY | os.O_DIRECTORY))
                os.listdir(held[-1])
            except OSError as error:
                assert error.errno == errno.EIO, error
                break
        os.write(said, b"%d %d\n" % (images, len(held) - images))
        os.close(said)
        open(go).read()
        os._exit(0)
    os.close(said)
    counts.append(open(out).read().split())
    assert len(counts[-1]) == 2, (uid, counts)
print("images of users:", " ".join(c[0] for c in counts), "directories:", sum(int(c[1]) for c in counts), flush=True)
assert all(int(c[0]) >= 2 for c in counts)
# All are written: what they hold open is kept for them, as far as there is room.
for i in range(1, 251):
    with open("%s/i%d.img" % (source, i), "r+b") as image:
        old = image.read(400000)
        image.seek(0)
        image.write(old)
PY
"$PYTHON" "$T/users.py" "$MNT" "$SRC" "$T/go"
descriptors() { find "/proc/$pid/fd" -mindepth 1 | wc -l; }
echo "$(descriptors) descriptors"
[ "$(descriptors)" -lt 240 ] || fail "$(descriptors) descriptors are in use"
cat >"$T/look.py" <<'PY'
import os, sys
os.setgroups([]); os.setuid(int(sys.argv[2]))
for i in range(1, 251):
    assert open("%s/i%d/config.txt" % (sys.argv[1], i)).read() == "text", i
PY
for user in 0 1; do "$PYTHON" "$T/look.py" "$MNT" $user; done
for i in $(seq 1 7 250); do
	tftp get 127.0.0.1 6969 "i$i/kernel8.img" --out "$T/got" >"$T/said" 2>&1 || fail "$i: $(cat "$T/said")"
	cmp "$T/got" "$T/kernel"
done
exec 8>"$T/go"
exec 8>&-
