#!/bin/bash
# R: beside each export NAME the nbdkit filter serves NAME@writes, which counts every write: before
# the plugin is called, and after it returned and before the client has its reply, however
# that went. The plugin is not opened for it, and no writer waits for a reader.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
requires nbdinfo
# page <<<PYTHON: with everything of writes_page.py, and uri(NAME).
page() {
	PYTHONPATH=$TOOLS "$PYTHON" -c 'import os, subprocess, sys, time
from writes_page import *
def uri(name=""): return "nbd+unix:///%s?socket=%s" % (name, sys.argv[1])
def fails(what, *arguments):
    try: what(*arguments)
    except libnbd.Error as error: return error
    raise AssertionError("no error")
def until(what):
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)
exec(sys.stdin.read())' "$SOCKET"
}
stop_server() { kill "$SERVER" && wait_until 10 gone "$SERVER"; }

# Every kind of write, and nothing else.
start_filtered --filter=log memory 3G logfile="$T/requests"
page <<'PYTHON'
pages = connect(uri("@writes"))
assert pages.is_read_only() and pages.can_multi_conn() and pages.get_size() >= FIRST_READ
assert not (pages.can_trim() or pages.can_zero() or pages.can_flush() or pages.can_fua() or pages.can_cache())
first = Page(pages)
assert first.units == {} and first.begun == 0 and first.header == 512 and first.shift == 20
client = connect(uri())
M = 1 << 20
client.pread(4096, 0)
client.flush()
client.cache(4096, 0)
assert Page(pages).begun == 0 and Page(pages).size == 3 << 30
client.pwrite(bytes(512), 0)
client.pwrite(bytes(512), 2 * M - 512, libnbd.CMD_FLAG_FUA)
client.pwrite(bytes(512), 3 * M - 256)
client.zero(4096, 5 * M)
client.zero(4096, 6 * M, libnbd.CMD_FLAG_FUA | libnbd.CMD_FLAG_NO_HOLE)
client.zero(4096, 7 * M, libnbd.CMD_FLAG_FAST_ZERO)
client.trim(4096, 8 * M)
client.trim(3 * M, 10 * M - 1, libnbd.CMD_FLAG_FUA)
seen = Page(pages)
assert seen.units == {unit: (1, 1) for unit in (0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12)}, seen.units
assert seen.begun == seen.ended == 8 and seen.instance == first.instance and seen.slots == []
# Above 448 MiB: in a further block.
client.pwrite(bytes(512), 448 * M)
client.pwrite(bytes(512), (3 << 30) - 512)
assert Page(pages).units == seen.units and Page(pages).begun == 10
assert seen.further(pages, 448) == {448: (1, 1)} and seen.further(pages, 3000) == {3071: (1, 1)}
assert seen.further(pages, 400000) == {}
# Each reply comes after its count.
for i in range(1, 2001):
    client.pwrite(bytes(512), 20 * M)
    assert Page(pages).units[20] == (i, i)
# The page is read-only, and its size is an end.
assert pages.set_strict_mode(0) is None
assert fails(pages.pwrite, b"x" * 512, 0).errnum and fails(pages.zero, 512, 0).errnum and fails(pages.trim, 512, 0).errnum
assert fails(pages.pread, 4096, pages.get_size() - 512).errnum
assert connect(uri("@writes")).pread(4096, 0)[:8] == b"imgfsWR1"
PYTHON
# Nobody asked the plugin anything for a page: one connection was opened behind the filter.
is "connections of the plugin" "$(grep -c ' Connect ' "$T/requests")" 1
stop_server

# In flight: which bytes, for as long as the plugin has not returned; and more than there are slots for.
start_filtered --filter=delay memory 1G wdelay=600ms
page <<'PYTHON'
pages, client = connect(uri("@writes")), connect(uri())
M = 1 << 20
def begin(offset, length): return client.aio_pwrite(libnbd.Buffer.from_bytearray(bytearray(length)), offset)
cookies = [begin(5 * M - 512, 1024), begin(9 * M, 512)]
until(lambda: Page(pages).begun == 2)
seen = Page(pages)
assert seen.slots == [(5 * M - 512, 1024), (9 * M, 512)] and seen.units == {4: (1, 0), 5: (1, 0), 9: (1, 0)}, vars(seen)
until(lambda: client.poll(0) + 1 and all(client.aio_command_completed(c) for c in cookies[:1]))
until(lambda: Page(pages).quiet())
others = [connect(uri()) for i in range(3)]
for number, client in enumerate(others):
    for i in range(12): begin((100 + 20 * number + i) * M, 512)  # by `client`
until(lambda: [one.poll(0) for one in others] and Page(pages).begun == 38)
seen = Page(pages)
assert seen.unlisted > 0 or seen.ended > 2
until(lambda: [one.poll(0) for one in others] and Page(pages).quiet())
assert all(begun == ended for begun, ended in Page(pages).units.values())
PYTHON
stop_server

# Writers that are killed in the midst of it. (One thread for each: nbdkit 1.32 fails an assertion when a client
# goes whose replies several of its threads are about to send.)
start_filtered -t 1 --filter=delay memory 1G wdelay=300ms
loads=()
for _ in 1 2 3; do
	"$NBD_LOAD" "$(uri)" 0 1048576 4096 1 100000 &
	loads+=($!)
done
page <<PYTHON
pages = connect(uri("@writes"))
until(lambda: Page(pages).begun - Page(pages).ended == 3)
for pid in "${loads[*]}".split(): os.kill(int(pid), 9)
until(lambda: Page(pages).quiet())
assert Page(pages).units == {0: (Page(pages).begun,) * 2}
PYTHON
stop_server

# Writes that fail are counted as well: what they did is not known.
start_filtered --filter=error memory 1M error-pwrite-rate=100% error-zero-rate=100% error-trim-rate=100%
page <<'PYTHON'
pages, client = connect(uri("@writes")), connect(uri())
for what in (client.pwrite, bytes(512)), (client.zero, 512), (client.trim, 512): fails(*what, 0)
assert Page(pages).units == {0: (3, 3)}
instance = Page(pages).instance
del what, client, pages
# All writers are gone, and the page goes on.
seen = Page(connect(uri("@writes")))
assert seen.instance == instance and seen.begun == 3
PYTHON
stop_server

# A reader that takes no answer holds up nobody: it is stopped with requests of many MiB, unanswered.
start_filtered memory 64M
cat >"$T/reader.py" <<'PYTHON'
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from writes_page import *
client = connect(sys.argv[1])
for i in range(64): client.aio_pread(libnbd.Buffer(client.get_size()), 0)
while client.aio_in_flight() > 60: client.poll(-1)
os.kill(os.getpid(), signal.SIGSTOP)
PYTHON
"$PYTHON" "$T/reader.py" "$(uri @writes)" "$TOOLS" &
reader=$!
stopped() { grep -q '^State:.*T' "/proc/$reader/status"; }
wait_until 20 stopped
"$NBD_LOAD" "$(uri)" 0 67108864 4096 8 5000 >"$T/load.txt"
page <<'PYTHON'
seen = Page(connect(uri("@writes")))
assert seen.begun == seen.ended == 5000, vars(seen)
PYTHON
kill -KILL "$reader"
wait "$reader" 2>/dev/null || :
