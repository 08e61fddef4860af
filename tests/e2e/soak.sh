#!/bin/bash
# Soak: everything at once, for as long as one likes. 64 TFTP readers over the real dnsmasq and
# tftpd-hpa, 8 images being rewritten, images and links that come and go, hostile ones among them,
# and somebody who walks through it all.
#
# usage: soak.sh [MINUTES [BUILD]]       as root; BUILD is a build directory: build-asan, build-tsan
#   SEED=n     another run
#   FLAT=yes   judge how memory, threads and descriptors went also in less than three minutes, or (no) never
#
# Fails when a sanitizer says anything, when a reader got bytes of two generations of a file, or of
# one that was gone when it asked, or "not found" for what is always there; when the daemon's memory,
# threads or descriptors grow with time; when it does not end.
[ -z "${2:-}" ] || IMAGEFS=$(realpath "$2")/imagefs
export IMAGEFS
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:quarantine_size_mb=16:malloc_context_size=8"
. "$(dirname "$0")/../lib.sh"
requires root netns fuse dnsmasq in.tftpd mkfs.fat mcopy
export TSAN_OPTIONS="$TSAN_OPTIONS:history_size=4" UBSAN_OPTIONS="log_path=$T/sanitizer:print_stacktrace=1"
seconds=$(awk -v minutes="${1:-10}" 'BEGIN { printf "%d", minutes * 60 }')

# Two files for the writer to trade places with, what never changes, and a directory for those who walk.
template=$T/template.img
make_image "$template" 8 16 -s 1
"$PYTHON" "$TOOLS/soak.py" make "$T"
put "@$T/data.bin" "$template" /data.bin
put "@$T/spare.bin" "$template" /spare.bin
put soak "$template" /config.txt
mmd -i "$template@@1M" ::overlays
for name in a b c; do put "$name" "$template" "/overlays/$name.dtbo"; done

mount_imagefs
pid=$(daemon_pid)
start_dnsmasq "$MNT" --tftp-max=500
start_tftpd "$MNT"
"$PYTHON" "$TOOLS/soak.py" run "$template" "$SRC" "$MNT" "$pid" "$seconds" "${SEED:-1}" \
	"${FLAT:-$([ "$seconds" -lt 180 ] && echo no || echo yes)}"
for server in "${PIDS[@]}"; do kill "$server"; wait "$server" || true; done
unmount_imagefs
