#!/bin/bash
# S2, C6: an image that does not answer (it lies on a FUSE filesystem whose server is
# stopped) delays nobody else, is answered with EIO in time, costs a bounded number of
# threads however often it is asked for, and is there again when it answers.
. "$(dirname "$0")/../lib.sh"
requires root
type qemu-storage-daemon >/dev/null 2>&1 || skip "needs qemu-storage-daemon"
make_image "$SRC/good.img" 2 12
put good "$SRC/good.img" /config.txt
make_image "$T/hung.img" 2 12
put hung "$T/hung.img" /config.txt
: >"$T/export"
qemu-storage-daemon --blockdev "driver=file,filename=$T/hung.img,node-name=disk" \
	--export "type=fuse,id=fuse,node-name=disk,mountpoint=$T/export,writable=off" &
server=$!
PIDS+=("$server")
wait_until 10 test -s "$T/export"
ln -s "$T/export" "$SRC/hung.img"
mount_imagefs
answers() { [ "$(cat "$MNT/hung/config.txt" 2>/dev/null)" = hung ]; }
wait_until 10 answers # its server is as busy as the machine
cat "$MNT/good/config.txt" >/dev/null
ms() { date +%s%3N; }
kill -STOP "$server"
jobs=()
for ((i = 0; i < 40; i++)); do
	timeout 20 cat "$MNT/hung/config.txt" >/dev/null 2>&1 &
	jobs+=($!)
done
worst=0
for ((i = 0; i < 50; i++)); do
	start=$(ms)
	is "the neighbour" "$(cat "$MNT/good/config.txt")" good
	took=$(($(ms) - start))
	[ $took -le $worst ] || worst=$took
done
echo "the neighbour took $worst ms at most"
for job in "${jobs[@]}"; do
	status=0
	wait "$job" || status=$?
	is "a reader of the hung image ends with an error" $status 1
done
start=$(ms)
! cat "$MNT/hung/config.txt" 2>"$T/error" || fail "the hung image was read"
grep -q 'Input/output error' "$T/error"
took=$(($(ms) - start))
echo "a hung image is refused after $took ms"
[ $took -lt 2000 ] || fail "it took $took ms"
for ((i = 0; i < 30; i++)); do timeout 20 ls "$MNT" >/dev/null; done
threads=$(ls "/proc/$(daemon_pid)/task" | wc -l)
[ "$threads" -lt 40 ] || fail "$threads threads"
kill -CONT "$server"
wait_until 10 answers
