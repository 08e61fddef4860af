#!/bin/bash
# R: which image a page of NAME@writes counts. All names of one image have one page, and an image
# that took another one's place is another instance; so is every start of the server.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
requires nbdinfo
stop_server() { kill "$SERVER" && wait_until 10 gone "$SERVER"; }
listed() {
	"$PYTHON" -c 'import nbd, sys
client = nbd.NBD()
client.set_opt_mode(True)
client.connect_uri(sys.argv[1])
client.opt_list(lambda name, description: print(name))
client.opt_abort()' "$(uri)" | sort
}
write() { client "$1" <<<'nbd.pwrite(b"x" * 512, 0)'; }
# seen NAME: instance, and writes begun.
seen() {
	PYTHONPATH=$TOOLS "$PYTHON" -c 'import sys
from writes_page import *
seen = Page(connect(sys.argv[1]))
print(seen.instance.hex(), seen.begun, seen.size)' "$(uri "$1@writes")"
}
instance() { seen "$1" | cut -d' ' -f1; }
count() { seen "$1" | cut -d' ' -f2; }
refused() { refuses 'ENOENT' nbdinfo --size "$(uri "$1")"; }

# A directory: by the file, however it is called.
truncate -s 8M "$SRC/jammy.img" "$SRC/noble.img" "$SRC/odd@writes"
ln -s jammy.img "$SRC/89025d75" && ln "$SRC/jammy.img" "$SRC/linked.img" && mkdir "$SRC/dir"
start_filtered file dir="$SRC"
is "exports" "$(listed)" "$(printf '%s\n' 89025d75 89025d75@writes jammy.img jammy.img@writes linked.img linked.img@writes \
	noble.img noble.img@writes)"
write jammy.img && write 89025d75 && write linked.img && write noble.img
for name in jammy.img 89025d75 linked.img; do is "$name" "$(count $name)" 3; done
is "the other one" "$(count noble.img)" 1
is "one page" "$(instance 89025d75)" "$(instance linked.img)"
[ "$(instance noble.img)" != "$(instance jammy.img)" ] || fail "two images are one instance"
for name in none@writes @writes dir@writes dir%2f..%2fjammy.img@writes odd@writes jammy.img@writes@writes; do refused $name; done
is "that which cannot be reached" "$(od -An -tx1 -N8 "$SRC/odd@writes" | tr -d ' ')" 0000000000000000

# Replaced, grown, removed: with the page and the image open.
rounds=20
[ "$(stat -c %W "$SRC/jammy.img")" -gt 0 ] || rounds=1
PYTHONPATH=$TOOLS "$PYTHON" - "$(uri jammy.img)" "$(uri jammy.img@writes)" "$SRC" "$rounds" <<'PYTHON'
import os, sys
from writes_page import *
image, pages, src = connect(sys.argv[1]), connect(sys.argv[2]), sys.argv[3]
first = Page(pages)
os.truncate(src + "/jammy.img", 16 << 20)
grown = connect(sys.argv[1])
grown.pwrite(b"y", 12 << 20)
seen = Page(pages)
assert seen.instance == first.instance and seen.size == 16 << 20 and seen.units == {0: (3, 3), 12: (1, 1)}, vars(seen)
instances = {first.instance}
# An inode number that is used again is another image all the same, where the filesystem notes the time of birth.
for i in range(int(sys.argv[4])):
    os.unlink(src + "/jammy.img") if i % 2 else os.rename(src + "/jammy.img", src + "/old.img")
    open(src + "/jammy.img", "w").close()
    os.truncate(src + "/jammy.img", 4 << 20)
    seen = Page(pages)
    assert seen.instance not in instances and seen.begun == 0, i
    instances.add(seen.instance)
image.pwrite(b"z", 0)  # goes to the file that was replaced
assert Page(pages).begun == 0 and Page(connect(sys.argv[1].replace("jammy", "linked") .replace("?", "@writes?"))).begun == 5
os.unlink(src + "/jammy.img")
try:
    Page(pages)
    raise AssertionError("a page of nothing")
except libnbd.Error as error:
    assert error.errnum == 5, error
PYTHON
stop_server

# Restarted: another instance.
start_filtered file "$SRC/noble.img"
write '' && write another-name
is "one file, any name" "$(count '') $(count x)" "2 2"
one=$(instance '')
stop_server
start_filtered file "$SRC/noble.img"
[ "$(instance '')" != "$one" ] || fail "the instance of before"
is "begun anew" "$(count '')" 0
mv "$SRC/linked.img" "$SRC/noble.img"
one=$(instance '')
write ''
is "the file that is there now" "$(count '')" 1
is "its instance" "$(instance '')" "$one"
stop_server

# Other plugins: one image, unless it is said that they are many.
start_filtered memory 1M
write a && write b
is "one image" "$(count a) $(count '') $(count c)" "2 2 2"
refused a@writes@writes
stop_server
start_filtered memory 1M imagefs-by-name=true
write a
is "by name" "$(count a) $(count b) $(count '')" "1 0 0"
stop_server
refuses 'boolean' nbdkit -f -U "$T/none.sock" --filter="$FILTER" null imagefs-by-name=perhaps

# Who writes to what is served read-only is not seen: there are no pages, and none of an image that the plugin cannot write to says
# how large that is.
start_filtered -r file dir="$SRC"
is "read-only" "$(listed | grep -c @writes || true)" 0
refused noble.img@writes
stop_server
start_filtered info mode=time
client '' <<<'assert nbd.is_read_only()'
is "not to be written to" "$(seen '' | cut -d' ' -f2-)" "0 0"
stop_server

# More exports than a list can have: all of the images are in it, and all have a page.
mkdir "$T/many"
for i in {1..6000}; do echo "$T/many/$i.img"; done | xargs truncate -s 4096
start_filtered file dir="$T/many"
listed >"$T/listed"
is "images" "$(grep -vc @writes "$T/listed")" 6000
is "in all" "$(wc -l <"$T/listed")" 10000
is "one that is not listed" "$(count "$(comm -23 <(printf '%s.img\n' {1..6000} | sort) <(sed -n 's/@writes$//p' "$T/listed") | sed -n 1p)")" 0
