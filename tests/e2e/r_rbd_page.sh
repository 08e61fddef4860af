#!/bin/bash
# R: NAME@writes of an RBD image moves exactly when it must, whoever writes: a counter when its object has another
# content than one that was read, the instance when the image is another one or of another size or parent.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../ceph.sh"
start_ceph
rbd create --size 64M rbd/pi7
start_imagefs_rbd rbd

on_ceph <<'PYTHON'
M = 1 << 20
pages, data = connect(uri("pi7@writes")), connect(uri("pi7"))
assert pages.is_read_only() and data.is_read_only() and pages.can_multi_conn() and data.can_multi_conn()
image = rbd.Image(pool, "pi7")
first = Page(pages)
assert first.header == 4096 and first.shift == 22 and first.size == 64 * M and first.quiet() and not first.slots and not first.units

def counters():
    now = Page(pages)
    got = now.further(pages, 0)
    assert all(begun == ended and begun <= Page(pages).begun for begun, ended in got.values())
    return got
def moved(what, wanted, instance=False):
    """Which counters another one's action moves."""
    then, instance_then = counters(), Page(pages).instance
    what()
    assert instance == (Page(pages).instance != instance_then), "instance"
    now = counters()
    got = [unit for unit in range(4096) if instance or now.get(unit) != then.get(unit)]
    assert instance or got == wanted, (got, wanted)

# Of what nobody has read there is nothing to tell.
moved(lambda: image.write(b"z" * 512, 0), [])
data.pread(64 * M, 0)
assert not counters()
moved(lambda: None, [])
moved(lambda: image.write(b"a" * 512, 0), [0])
moved(lambda: image.write(b"b" * 512, 5 * M), [1])
moved(lambda: image.write(b"b" * M, 12 * M - 512), [2, 3])
moved(lambda: data.pread(64 * M, 0), [])
moved(lambda: image.discard(0, 4 * M), [0])
moved(lambda: image.write(b"c" * 512, 0), [0])
moved(lambda: image.write(b"c" * 512, 0), [0])
for i in range(200): moved(lambda: image.write(os.urandom(512), 4096 * i), [0])
# Pieces of the page, as they come.
whole = bytes(pages.pread(4096 + 8 * 20, 0))
assert bytes(pages.pread(8 * 20, 4096)) == whole[4096:] and bytes(pages.pread(13, 4096 + 7)) == whole[4103:4116]
assert len(pages.pread(4 * M, pages.get_size() - 4 * M)) == 4 * M

# An object that was absent, read while it was there, and is absent again: has been touched.
def came_and_went():
    image.write(b"x" * 512, 40 * M)
    assert bytes(data.pread(512, 40 * M)) == b"x" * 512
    image.discard(40 * M, 4 * M)
    assert bytes(data.pread(512, 40 * M)) == bytes(512)
moved(came_and_went, [10])

# Snapshots change nothing, a rollback does.
moved(lambda: image.create_snap("before"), [])
moved(lambda: image.write(b"d" * 512, 4 * M), [1])
def rollback():
    image.rollback_to_snap("before")
    assert bytes(data.pread(512, 4 * M)) == bytes(512) and bytes(data.pread(512, 5 * M)) == b"b" * 512
then = counters()
rollback()
assert counters().get(1) != then.get(1)
image.remove_snap("before")

# A size is another instance; and so is the same one again, if somebody saw that between.
moved(lambda: image.resize(128 * M), [], instance=True)
assert Page(pages).size == 128 * M
moved(lambda: image.resize(10 * M), [], instance=True)
assert Page(pages).size == 10 * M and bytes(data.pread(512, 9 * M)) == bytes(512)
assert bytes(data.pread(512, 5 * M)) == b"b" * 512 and bytes(data.pread(512, 40 * M)) == bytes(512)
moved(lambda: image.resize(64 * M), [], instance=True)
image.close()

# Another image of the name.
def recreate():
    librbd.remove(pool, "pi7")
    assert fails(data.pread, 512, 30 * M).errnum and fails(pages.pread, 4096, 0).errnum and fails(data.pread, 512, 0).errnum
    librbd.create(pool, "pi7", 8 * M)
    with rbd.Image(pool, "pi7") as new: new.write(b"new!" * 128, 0)
moved(recreate, [], instance=True)
assert Page(pages).size == 8 * M
assert fails(data.pread, 512, 0).errnum  # the image that this one opened is no more
data = connect(uri("pi7"))
assert data.get_size() == 8 * M and bytes(data.pread(512, 0)) == b"new!" * 128
def exchange():
    librbd.rename(pool, "pi7", "old")
    librbd.create(pool, "pi7", 8 * M)
moved(exchange, [], instance=True)
assert bytes(connect(uri("pi7")).pread(512, 0)) == bytes(512) and bytes(connect(uri("old")).pread(512, 0)) == b"new!" * 128

# A clone becomes independent; its parent's bytes are no more behind what it discards.
with rbd.Image(pool, "old") as old:
    old.create_snap("template")
    old.protect_snap("template")
librbd.clone(pool, "old", "template", pool, "kid")
pages, data, kid = connect(uri("kid@writes")), connect(uri("kid")), rbd.Image(pool, "kid")
assert bytes(data.pread(512, 0)) == b"new!" * 128
moved(lambda: kid.write(b"kid" * 512, 4096), [0])
assert bytes(data.pread(512, 0)) == b"new!" * 128 and bytes(data.pread(3, 4096)) == b"kid"
moved(lambda: kid.discard(0, 4 * M), [0])
assert bytes(data.pread(8 * M, 0)) == bytes(8 * M)
librbd.clone(pool, "old", "template", pool, "kid2")
pages, data, kid = connect(uri("kid2@writes")), connect(uri("kid2")), rbd.Image(pool, "kid2")
assert bytes(data.pread(512, 0)) == b"new!" * 128
moved(kid.flatten, [], instance=True)
assert bytes(data.pread(512, 0)) == b"new!" * 128
kid.discard(0, 4 * M)
assert bytes(data.pread(512, 0)) == bytes(512)
# And without anybody having looked between.
librbd.clone(pool, "old", "template", pool, "kid3")
data, kid = connect(uri("kid3")), rbd.Image(pool, "kid3")
assert bytes(data.pread(512, 0)) == b"new!" * 128
kid.flatten()
kid.discard(0, 4 * M)
assert bytes(data.pread(512, 0)) == bytes(512)

# Names.
for name in "", "none", "none@writes", "@writes", "pi7@writes@writes", "../pi7", "rbd/pi7", "pi7\n", "\x01", "pi7@template", "x" * 4000:
    client = libnbd.NBD()
    client.set_export_name(name)
    assert fails(client.connect_unix, sys.argv[1]).errnum, name
names = []
client = libnbd.NBD()
client.set_opt_mode(True)
client.connect_unix(sys.argv[1])
client.opt_list(lambda name, description: names.append(name) or 0)
assert sorted(names) == sorted(n + page for n in ("pi7", "old", "kid", "kid2", "kid3") for page in ("", "@writes")), names
print(Page(connect(uri("pi7@writes"))).instance.hex(), file=open(os.path.dirname(sys.argv[1]) + "/instance", "w"))
PYTHON

# What a process noted is gone with it.
stop_imagefs_rbd
start_imagefs_rbd rbd
on_ceph <<'PYTHON'
assert Page(connect(uri("pi7@writes"))).instance.hex() != open(os.path.dirname(sys.argv[1]) + "/instance").read().strip()
PYTHON
