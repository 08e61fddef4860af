#!/bin/bash
# R: boards that are clones of one RBD image: what they have in common is read from the cluster once for all of them, also when they
# all ask for it at the same time; and each one sees what was written to itself.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../ceph.sh"
start_ceph
head -c $((16 << 20)) /dev/urandom >"$T/template"
rbd import --no-progress "$T/template" rbd/template
rbd snap create --no-progress rbd/template@s
rbd snap protect rbd/template@s
for i in {1..16}; do rbd clone rbd/template@s "rbd/board$i"; done

cat >"$T/clones.py" <<'PYTHON'
M = 1 << 20
template = open(os.path.dirname(sys.argv[1]) + "/template", "rb").read()
def reads():
    """Of the OSD: operations that read, and bytes."""
    counters = json.loads(subprocess.run(["ceph", "daemon", os.path.dirname(sys.argv[1]) + "/ceph/osd0.asok", "perf", "dump", "osd"], check=True, capture_output=True).stdout)["osd"]
    return counters["op_r"], counters["op_r_out_bytes"]
def read_all(name, order):
    client = connect(uri(name))
    for at in order:
        assert bytes(client.pread(65536, at)) == template[at:at + 65536], (name, at)
def boot(names, order):
    before = reads()
    failed = []
    def run(name):
        try: read_all(name, order)
        except BaseException as error: failed.append((name, error))
    threads = [threading.Thread(target=run, args=[name]) for name in names]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert not failed, failed
    after = reads()
    return after[1] - before[1]
order = range(0, 16 * M, 65536)
names = ["board%d" % i for i in range(1, 17)]
PYTHON

# All 16 at once, each 16 MiB: 16 MiB are read, and a little. What OSD and names cost: 10 % more.
start_imagefs_rbd rbd
on_ceph <<PYTHON
import json
$(cat "$T/clones.py")
read = boot(names, order)
print("16 boards of 16 MiB, cold: %.1f MiB from the OSD" % (read / M))
assert 16 * M <= read < 17.6 * M, read
read = boot(names, order)
print("again: %.1f MiB" % (read / M))
assert read < 1.6 * M, read

# One writes: it alone sees it, in the object where it is; the others read nothing anew.
with rbd.Image(pool, "board3") as image: image.write(b"mine" * 128, 5 * M)
client = connect(uri("board3"))
assert bytes(client.pread(512, 5 * M)) == b"mine" * 128
assert bytes(client.pread(M, 5 * M))[512:] == template[5 * M + 512:6 * M]
assert boot([name for name in names if name != "board3"], order) < 1.6 * M
# Grown: behind the parent's end there is nothing. Shrunk and grown: nothing of the parent comes back.
with rbd.Image(pool, "board4") as image: image.resize(18 * M)
assert bytes(connect(uri("board4")).pread(4 * M, 14 * M)) == template[14 * M:] + bytes(2 * M)
with rbd.Image(pool, "board4") as image:
    image.resize(6 * M)
    image.resize(16 * M)
assert bytes(connect(uri("board4")).pread(16 * M, 0)) == template[:6 * M] + bytes(10 * M)
# A clone of a clone.
with rbd.Image(pool, "board3") as image:
    image.create_snap("s")
    image.protect_snap("s")
librbd.clone(pool, "board3", "s", pool, "grandchild")
with rbd.Image(pool, "board3") as image: image.write(b"newer" * 100, 5 * M)
with rbd.Image(pool, "grandchild") as image: image.write(b"own", 0)
got = bytes(connect(uri("grandchild")).pread(16 * M, 0))
assert got == b"own" + template[3:5 * M] + b"mine" * 128 + template[5 * M + 512:]
PYTHON
stop_imagefs_rbd

# With less memory than they have in common: read more often, and right.
start_imagefs_rbd rbd cache-size=1M
on_ceph <<PYTHON
import json, random
$(cat "$T/clones.py")
shuffled = list(order)
random.shuffle(shuffled)
boot(["board%d" % i for i in range(5, 13)], shuffled[:100])
boot(["board%d" % i for i in range(5, 13)], order[:100])
PYTHON
