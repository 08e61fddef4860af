#!/bin/bash
# P: the nbdkit filter reports every kind of write before the plugin is called, and its
# end, however it went, after the plugin returned; nothing else is reported, and nothing
# of a connection that only reads.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
start_control_log
cat >"$T/plugin" <<'PLUGIN'
echo "plugin begin $4 $3" >>"$LOG"
[ "$1" != pwrite ] || cat >/dev/null
sleep 0.01
echo "plugin end $4 $3" >>"$LOG"
if [ "$4" -ge 524288 ]; then echo 'ENOSPC no room here' >&2; exit 1; fi
PLUGIN
export LOG
call=". $T/plugin"
start_filtered eval get_size='echo 1048576' can_write='exit 0' can_flush='exit 0' can_fua='echo native' \
	can_zero='exit 0' can_fast_zero='exit 0' can_trim='exit 0' can_cache='echo native' can_extents='exit 0' \
	pread='head -c $3 /dev/zero' flush='exit 0' cache='exit 0' extents='echo 0 1048576' \
	pwrite="$call" zero="$call" trim="$call" imagefs="$REPORTED/board"

client <<'PYTHON'
nbd.pread(4096, 0)
nbd.flush()
nbd.cache(4096, 0)
PYTHON
closed board
is "what is no write" "$(reports board)" "$(printf '%s\n' open 'done' close)"
checked

client any-name <<'PYTHON'
nbd.pwrite(bytes(512), 0)
nbd.pwrite(bytes(1024), 512, libnbd.CMD_FLAG_FUA)
nbd.zero(2048, 4096)
nbd.zero(2048, 8192, libnbd.CMD_FLAG_FUA | libnbd.CMD_FLAG_NO_HOLE)
nbd.zero(4096, 16384, libnbd.CMD_FLAG_FAST_ZERO)
nbd.trim(4096, 32768)
nbd.trim(4096, 65536, libnbd.CMD_FLAG_FUA)
for change in ((lambda: nbd.pwrite(bytes(512), 524288)), (lambda: nbd.trim(512, 532480)),
               (lambda: nbd.zero(512, 540672)), (lambda: nbd.zero(512, 548864, libnbd.CMD_FLAG_FAST_ZERO))):
    try:
        change()
    except libnbd.Error as error:
        assert error.errnum == 28, error
    else:
        raise AssertionError("the plugin's error is gone")
PYTHON
closed board
is "every write" "$(reports board | grep -c ^write)" 11
is "every end" "$(reports board | grep -c '^done .')" 11
checked

# The end of a write is said before the client has its answer.
: >"$LOG"
client <<PYTHON
nbd.pwrite(bytes(512), 0)
assert "done 1\n" in open("$LOG").read()
PYTHON
closed board
checked

# Who connects read-only reports nothing, not even that it is there.
kill "$SERVER" && wait_until 10 gone "$SERVER"
: >"$LOG"
start_filtered -r memory 1M imagefs="$REPORTED/board"
client <<'PYTHON'
nbd.pread(4096, 0)
PYTHON
is "a reader" "$(cat "$LOG")" ""
