#!/bin/bash
# R, C1: a block server by which nobody can write says nothing of writes. With the filter or without, by -r or since the plugin only
# reads: whoever writes to the image beside it is seen by each open that begins then.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
CHANGES=
board "$T/board.img" "number 000"
start_filtered -r file "$T/board.img"
ln -s "$(uri board)" "$SRC/option.img"
# The plugin cannot write, and nbdkit is not told.
SOCKET=$T/plugin.sock
nbdkit -f -U "$SOCKET" -P "$T/plugin.pid" --filter="$FILTER" sh - <<-SH 2>>"$T/nbdkit.log" &
	#!/bin/sh
	case "\$1" in
	get_size) stat -c %s "$T/board.img" ;;
	pread) dd if="$T/board.img" iflag=skip_bytes,count_bytes skip="\$4" count="\$3" bs=64K status=none ;;
	open) echo x ;;
	*) exit 2 ;;
	esac
SH
PIDS+=($!)
wait_until 10 test -s "$T/plugin.pid"
ln -s "$(uri board)" "$SRC/plugin.img"
mount_imagefs -o settle=2 "$SRC" "$MNT"
reads() { [ "$(cat "$MNT/$1/config.txt" 2>/dev/null)" = "$2" ]; }
for name in option plugin; do wait_until 10 reads $name "number 000"; done
for name in option plugin; do
	grep -q '^changes: by nothing' "$CONTROL/$name" || fail "$name: $(cat "$CONTROL/$name")"
	cat "$CONTROL/$name"
done
at=$(grep -obam1 'number 000' "$T/board.img" | cut -d: -f1)
for number in {101..120}; do
	printf 'number %s' "$number" | dd of="$T/board.img" bs=1 seek="$at" conv=notrunc status=none
	for name in option plugin; do
		for ((try = 0; try < 200; try++)); do
			got=$(cat "$MNT/$name/config.txt" 2>/dev/null) && break
		done
		is "$name" "$got" "number $number"
	done
done
