#!/bin/bash
# N2, R: a link whose text is a URI is an image behind a block server, by any name: it is listed without a connection,
# found by its partitions and boards, rewritten at once, and one image under two names; what it cannot be is said in a line
# that names the link; which servers may be named is an option; and SOURCE itself may be one.
. "$(dirname "$0")/../lib.sh"
requires root netns nbdkit
imagefsctl() { "$(dirname "$IMAGEFS")/imagefsctl" --control "$CONTROL" "$@"; }
mkdir "$T/store"
for name in one two; do board "$T/store/$name.img" "$name"; done
truncate -s 12M "$T/store/three"
echo 'label: dos
	start=2048, size=6144, type=c
	start=10240, size=6144, type=c' | sfdisk -q "$T/store/three"
make_fat "$T/store/three" 2048 3072 12
make_fat "$T/store/three" 10240 3072 12
put first "$T/store/three@@1M" /config.txt
put second "$T/store/three@@5M" /config.txt
serve() { # serve NBDKIT_OPTIONS...
	nbdkit -v -P "$T/nbdkit.pid" "$@" file dir="$T/store" 2>>"$T/nbdkit.log"
	wait_until 10 test -s "$T/nbdkit.pid"
	PIDS+=("$(cat "$T/nbdkit.pid")")
	rm "$T/nbdkit.pid"
}
serve -U "$T/nbd sock"
serve -i 127.0.0.1 -p 10809
unix() { echo "nbd+unix:///$1?socket=${T//:/%3a}/nbd%20sock"; }
connections() { grep -c 'accepted connection' "$T/nbdkit.log" || true; }

ln -s "$(unix one.img)" "$SRC/one.img"
ln -s "$(unix one.img)" "$SRC/89025d75"
ln -s nbd://localhost/two%2eimg "$SRC/two"
ln -s "$(unix three)" "$SRC/three.raw"
ln -s three.raw:2 "$SRC/second"
ln -s one.img "$SRC/board"
ln -s gopher://localhost/one "$SRC/gopher.img"
ln -s nbd+unix:///one "$SRC/nosocket"
ln -s "$(unix missing)" "$SRC/missing.img"
ln -s "nbd+unix:///one?socket=$T/nobody" "$SRC/nobody.img"
mount_imagefs -o nbd=unix:localhost "$SRC" "$MNT"

is names "$(cd "$MNT" && echo *)" "89025d75 board gopher missing nobody nosocket one second three two"
ls -l "$MNT" >/dev/null
stat "$MNT/one" "$MNT/three" >/dev/null
cat "$CONTROL/status" >/dev/null
is "connections for a listing" "$(connections)" 0
is "an image" "$(cat "$MNT/one/config.txt")" one
is "without a suffix" "$(cat "$MNT/89025d75/config.txt")" one
is "one URI is one image" "$(stat -c %i "$MNT/89025d75/config.txt")" "$(stat -c %i "$MNT/one/config.txt")"
is "over TCP" "$(cat "$MNT/two/config.txt")" two
is "a board" "$(readlink "$MNT/board") $(cat "$MNT/board/config.txt")" "one one"
is "a partition" "$(cat "$MNT/three:2/config.txt")" second
is "a partition's board" "$(cat "$MNT/second/config.txt")" second
is "the boot partition" "$(cat "$MNT/three/config.txt")" first
[ "$(stat -c %Y "$MNT/one")" = "$(stat -c %Y "$SRC/one.img")" ] || fail "another time than the link's"

# Rewritten, removed, and come.
ln -sfn "$(unix two.img)" "$SRC/89025d75"
is "rewritten" "$(cat "$MNT/89025d75/config.txt")" two
ln -sfn "$T/store/one.img" "$SRC/89025d75"
is "rewritten to a file" "$(cat "$MNT/89025d75/config.txt")" one
ln -sfn nbd://127.0.0.1/one.img "$SRC/89025d75"
rm "$SRC/two"
refuses ENOENT cat "$MNT/two/config.txt"

# What cannot be: EIO, and why.
says() { # says NAME TEXT
	refuses EIO cat "$MNT/$1/config.txt"
	unfolded "$CONTROL/status" | grep -q "^ *$1: config.txt: lookup: EIO: .*$2" || fail "$1: status says: $(grep -A2 "$1" "$CONTROL/status")"
}
says 89025d75 'a host that the option nbd= does not allow'
says gopher 'the scheme of its URI is none of'
says nosocket 'its URI names no socket'
says missing 'has no such export'
says nobody "server's socket is not there"
for name in gopher nosocket missing nobody; do
	if imagefsctl check "$name" >"$T/check" 2>&1; then fail "check $name is content"; fi
	grep -qE 'its (URI|block server)|of its URI' "$T/check" || fail "check $name says: $(cat "$T/check")"
done
refuses 'a host that the option nbd= does not allow' imagefsctl check 89025d75
refuses 'a host that the option nbd= does not allow' imagefsctl check --nbd unix:localhost 89025d75
imagefsctl check --nbd unix:localhost one >"$T/check" 2>&1 || ! grep -q 'nbd=' "$T/check" || fail "check one: $(cat "$T/check")"
imagefsctl boards >"$T/boards" 2>&1 || true
grep -q '^board  *one  *1 ' "$T/boards" || fail "boards: $(cat "$T/boards")"
is "the tools read it" "$(imagefsctl cat one config.txt) $(imagefsctl cat "$SRC/three.raw" config.txt)" "one first"
is "ad hoc" "$(imagefsctl ls nbd://localhost/two.img) $(imagefsctl cat nbd://localhost/two.img config.txt)" "config.txt two"
refuses "only read here" imagefsctl rm one:config.txt
refuses "only read here" imagefsctl rm board:config.txt
imagefsctl link dc-a6-32-01-36-c2 one >/dev/null
is "linked" "$(cat "$MNT/dc-a6-32-01-36-c2/config.txt")" one
is "its URI in status" "$(imagefsctl status one | unfolded | sed -n 's/^uri: //p')" "$(unix one.img)"
imagefsctl status one | grep -q '^connection: connected for ' || fail "no connection in status"
"$PYTHON" - "$CONTROL/status.json" "$(unix one.img)" <<'PY'
import json, sys
images = {image["name"]: image for image in json.load(open(sys.argv[1]))["images"]}
assert images["one"]["uri"] == sys.argv[2] and images["one"]["connection"].startswith("connected"), images["one"]
assert images["missing"]["connection"].startswith("failed"), images["missing"]
assert images["one"]["changes"].startswith("by nothing"), images["one"]
PY
unmount_imagefs

# None at all; one alone.
mount_imagefs -o nbd=none "$SRC" "$MNT"
refuses EIO cat "$MNT/one/config.txt"
unmount_imagefs
mount_imagefs -o nbd=none nbd://localhost/two.img "$MNT"
is "one alone" "$(cat "$MNT/config.txt")" two
grep -q "nbd://localhost/two.img" "$CONTROL/status" || fail "no control files for one alone"
unmount_imagefs
for bad in nbd://localhost/none nbd://localhost:1/two.img nbd:///two.img?socket=/x nbd+unix:///x; do
	if "$IMAGEFS" "$bad" "$MNT" 2>"$T/said"; then fail "$bad is served"; fi
	grep -q "^imagefs: $bad: .*its " "$T/said" && [ "$(wc -l <"$T/said")" = 1 ] || fail "$bad: says $(cat "$T/said")"
done
for bad in '' : a::b '[::1' '[]:a'; do
	refuses "hosts with colons" "$IMAGEFS" -o "nbd=$bad" "$SRC" "$MNT"
done
