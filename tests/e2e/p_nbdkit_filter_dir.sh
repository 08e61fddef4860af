#!/bin/bash
# P: one nbdkit serves all of SOURCE, each image by its file's name or a board's, and
# reports to imagefs, which believes it; whatever name a client chose, it is one image.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
for name in jammy noble; do board "$SRC/$name.img"; done
ln -s jammy.img "$SRC/89025d75"
head -c 65536 /dev/zero >"$SRC/notes.txt"
mount_imagefs
start_filtered file dir="$SRC" imagefs-dir="$CONTROL"
ask() { # ask IMAGE FIELD: while a client is connected
	"$PYTHON" -c 'import json, sys
images = json.load(open(sys.argv[1]))["images"]
print([i for i in images if i["name"] == sys.argv[2]][0]["reports"][sys.argv[3]])' \
		"$CONTROL/status.json" "$@"
}
write() { # write EXPORT: returns with the client still connected
	client "$1" <<-PYTHON &
	nbd.pwrite(nbd.pread(512, 0), 0)
	open("$T/written", "w").close()
	import os
	while not os.path.exists("$T/enough"): time.sleep(0.01)
	PYTHON
	wait_until 10 test -e "$T/written"
	rm "$T/written"
}
write jammy.img
is "one has written" "$(ask jammy writes)" 1
wait_until 10 eval '[ "$(ask jammy exact)" = True ]'
write 89025d75
is "by the board's name" "$(ask jammy writes)" 2
is "two names" "$(ask jammy reporter_count)" 2
is "exact" "$(ask jammy exact)" True
write notes.txt
write noble.img
is "the other image" "$(ask noble writes)" 1
: >"$T/enough"
wait_until 10 eval '[ "$(ask jammy reporter_count)" = 0 ]'
is "nobody reports" "$(ask jammy writes)" 2
