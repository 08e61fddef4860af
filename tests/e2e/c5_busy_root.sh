#!/bin/bash
# C5, C6, C4: a root partition that is never quiet, a server as it comes, and a daemon that
# has just been started: the first open of each boot file is answered within the settle time
# and a bit, none is refused; then files that nobody wrote are read without a READ request.
# usage: c5_busy_root.sh nbd-server|nbdkit|qemu-nbd-CACHE-AIO|pwrite [ROUNDS]
#   MOUNT_OPTIONS (changes=kernel)
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../reports.sh"
writer=$1 rounds=${2:-3} MIB=1048576
kernel_tells
image=$SRC/board.img
truncate -s 65M "$image"
sfdisk -q "$image" <<-'TABLE'
	label: dos
	start=2048, size=32768, type=c
	start=34816, type=83
TABLE
make_fat "$image" 2048 16384 16 -s 4
mmd -i "$image@@1M" ::overlays
files=(config.txt cmdline.txt start4.elf fixup4.dat kernel8.img overlays/vc4-kms-v3d.dtbo)
sizes=(300 100 2000000 5000 3000000 4096)
for ((i = 0; i < ${#files[@]}; i++)); do
	head -c "${sizes[i]}" /dev/urandom >"$T/file"
	put "@$T/file" "$image" "/${files[i]}"
done

mkfifo "$T/fifo" # the load ends with its input

# The server's descriptor is of after the mount: what it writes is announced.
for ((round = 0; round < rounds; round++)); do
	"$IMAGEFS" -d -o "control=none,${MOUNT_OPTIONS:-changes=kernel}" "$SRC" "$MNT" 2>"$T/trace" >&2 &
	daemon=$!
	PIDS+=("$daemon")
	wait_until 10 is_mounted
	start_unconfigured "$writer" "$image"
	case $HOW in
	nbd:*) "$PYTHON" "$TOOLS/load.py" "$URI" $((17 * MIB + 4096)):$((48 * MIB - 4096)) 0<>"$T/fifo" >"$T/load" & ;;
	*) "$PYTHON" - "$image" $((18 * MIB)) $((40 * MIB)) >"$T/load" <<-'PY' & ;;
		import os, random, sys
		fd = os.open(sys.argv[1], os.O_WRONLY)
		start, length, block = int(sys.argv[2]), int(sys.argv[3]), os.urandom(4096)
		os.pwrite(fd, block, start)
		print("ready", flush=True)
		while True:
		    os.pwrite(fd, block, start + random.randrange(length // 4096) * 4096)
	PY
	esac
	load=$!
	PIDS+=("$load")
	wait_until 10 grep -q ready "$T/load"
	"$PYTHON" - "$MNT/board" "${files[@]}" >"$T/opens" <<-'PY' || fail "$(cat "$T/opens")"
		import os, sys, time
		worst = 0
		for name in sys.argv[2:]:
		    begun = time.monotonic()
		    os.close(os.open(sys.argv[1] + "/" + name, os.O_RDONLY))
		    took = time.monotonic() - begun
		    worst = max(worst, took)
		    print("%s %.1f ms" % (name, took * 1e3))
		print("worst %.1f ms" % (worst * 1e3))
		sys.exit(worst > 0.45)
	PY
	tail -n 1 "$T/opens"
	# What was looked at while writes from before could still land is looked at once more.
	for file in "${files[@]}"; do
		wanted=$(mcopy -Q -i "$image@@1M" "::$file" - | sha256sum)
		is "$file" "$(sha256sum <"$MNT/board/$file")" "$wanted"
	done
	fetch() { for file in "${files[@]}"; do cat "$MNT/board/$file" >/dev/null || fail "$file"; done; }
	without_reads "beside a busy root partition" fetch
	kill "$load"
	wait "$load" 2>/dev/null || :
	for pid in "${PIDS[@]}"; do [ "$pid" = "$daemon" ] || kill "$pid" 2>/dev/null || :; done
	umount "$MNT"
	wait_until 10 gone "$daemon"
	rm -f "$T"/*.sock "$T"/*.pid "$T/load"
done
echo "$writer: $rounds cold daemons beside a root partition that is written all the time"
