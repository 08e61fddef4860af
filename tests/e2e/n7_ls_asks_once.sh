#!/bin/bash
# N7: what ls -l asks of each name that it lists: its attributes, once, and the text of a link. Access lists and other extended
# attributes are asked for once in all: there are none, and that is said so that nobody asks of the next file.
. "$(dirname "$0")/../lib.sh"
requires fuse mcopy
FILES=40
make_image "$SRC/jammy.img" 4 12
for ((n = 0; n < FILES; n++)); do echo "$n" >"$T/FILE$n.BIN"; done
mcopy -i "$SRC/jammy.img@@1M" "$T"/FILE*.BIN ::/
for ((n = 0; n < FILES; n++)); do ln -s jammy "$SRC/board$n"; done
[ -x "$IMAGEFS" ] || fail "$IMAGEFS is not built"
# As libfuse traces requests with -d.
"$IMAGEFS" -d ${CHANGES:+-o "changes=$CHANGES"} "$SRC" "$MNT" 2>"$T/trace" >&2 &
PIDS+=($!)
wait_until 10 is_mounted

# asked KIND COMMAND...: so many requests of that kind.
asked() {
	local kind=$1 before
	shift
	before=$(requests "$kind")
	"$@" >"$T/out"
	echo $(($(requests "$kind") - before))
}
cd "$MNT/jammy"
# One more for what ls asks of the directory, and what it finds out about attributes.
few=$((FILES + 6))
lookups=$(asked LOOKUP ls -l)
is "files listed" "$(grep -c FILE "$T/out")" $FILES
[ "$lookups" -le $few ] || fail "$lookups LOOKUP requests of ls -l for $FILES files"
extended=$(asked GETXATTR ls -l)
[ "$extended" -le 6 ] || fail "$extended GETXATTR requests of ls -l for $FILES files"
"$PYTHON" - FILE1.BIN <<'PY'
import errno, os, sys
for name in "system.posix_acl_access", "security.capability", "user.any":
    try:
        os.getxattr(sys.argv[1], name)
        sys.exit(name + " is there")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            sys.exit("%s: %s" % (name, error))
try:
    if os.listxattr(sys.argv[1]):
        sys.exit("there are attributes")
except OSError as error:
    if error.errno != errno.ENOTSUP:
        raise
PY
# A link is asked for by lstat and by readlink.
cd "$MNT"
lookups=$(asked LOOKUP ls -l)
is "links listed" "$(grep -c board "$T/out")" $FILES
[ "$lookups" -le $((2 * FILES + 8)) ] || fail "$lookups LOOKUP requests of ls -l for $FILES links"
# The kernel keeps the text of a link, and one that is rewritten is another link (N2).
is "texts asked for again" "$(asked READLINK ls -l)" 0
ln -sfn jammy:1 "$SRC/board7"
is "texts asked for" "$(asked READLINK ls -l)" 1
grep -q ' board7 -> jammy:1$' "$T/out" || fail "$(grep board7 "$T/out")"
cd /
