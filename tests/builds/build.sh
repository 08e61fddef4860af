#!/bin/bash
# One way to build imagefs: there is no warning, what a packager says is heard, and imagefsctl
# reads images as the one under test does, whatever the compiler, the size of a word and the
# order of its bytes.
#
# usage: build.sh [--without LIBRARY] [--for TRIPLET SYSROOT] [--test] CMAKE-ARGUMENT...
#   --without   as where pkg-config does not know it
#   --for       for another machine, with the libraries in SYSROOT (sysroot.sh); run by qemu-user
#   --test      its units and corpora pass, too
. "$(dirname "$0")/../lib.sh"
requires cmake pkg-config
without='' triplet='' test='' run=() arguments=()
while [ $# -gt 0 ]; do
	case $1 in
	--without) without=$2; shift ;;
	--for) triplet=$2 root=$(realpath "$3"); shift 2 ;;
	--test) test=1 arguments+=(-DIMAGEFS_TESTS=ON) ;;
	-DCMAKE_C_COMPILER=*) requires "${1#*=}"; arguments+=("$1") ;;
	*) arguments+=("$1") ;;
	esac
	shift
done
if [ -n "$without" ]; then
	printf '#!/bin/sh\ncase " $* " in *" %s"*) exit 1 ;; esac\nexec pkg-config "$@"\n' "$without" >"$T/pkg-config"
	chmod 755 "$T/pkg-config"
	arguments+=("-DPKG_CONFIG_EXECUTABLE=$T/pkg-config")
fi
if [ -n "$triplet" ]; then
	case $triplet in
	arm-*) cpu=arm ;;
	*) cpu=${triplet%%-*} ;;
	esac
	requires "$triplet-gcc" "qemu-$cpu"
	run=("qemu-$cpu" -L "$root")
	export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$root/usr/lib/$triplet/pkgconfig
	arguments+=(-DCMAKE_SYSTEM_NAME=Linux "-DCMAKE_SYSTEM_PROCESSOR=$cpu" "-DCMAKE_C_COMPILER=$triplet-gcc"
		"-DCMAKE_SYSROOT=$root" -DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER)
fi

cmake -S "$TOP" -B "$T/build" "${arguments[@]}" >"$T/cmake.log" 2>&1 || fail "cmake: $(cat "$T/cmake.log")"
cmake --build "$T/build" --parallel "$(nproc)" >"$T/make.log" 2>&1 || fail "$(grep -aE -m20 'error|Error|undefined' "$T/make.log")"
! grep -aA3 'warning:' "$T/make.log" >"$T/warnings" || fail "$(head -n 40 "$T/warnings")"

# All that links imagefs_base knows one level of fortification, and in the program it is in force.
levels=$( (grep -oE -- '_FORTIFY_SOURCE=[0-9]' "$T/build/compile_commands.json" || true) | sort -u | tr '\n' ' ')
case " ${arguments[*]} " in
*_FORTIFY_SOURCE=3*) want='_FORTIFY_SOURCE=3 ' ;;
*=Debug\ *) want='' ;;
*) want='_FORTIFY_SOURCE=2 ' ;;
esac
is "levels" "$levels" "$want"
[ -z "$want" ] || grep -qE '__[a-z]*printf_chk' "$T/build/imagefs" || fail "nothing is fortified"
[ -z "$without" ] || ! grep -q "$without\.so" "$T/build/imagefs" || fail "it links $without all the same"

ctl() { "${run[@]}" "$T/build/imagefsctl" "$@"; }
# Behind the number it says what it was built without.
is "--version" "$("${run[@]}" "$T/build/imagefs" --version | cut -d ' ' -f 1,2)" "$("$IMAGEFS" --version | cut -d ' ' -f 1,2)"
[ "$without" != gnutls ] || refuses "built without GnuTLS" ctl ls nbds+unix:///pi1?socket=/gone
[ "$without" != libnbd ] || refuses "built without libnbd" ctl ls nbd://localhost/pi1

# Tables and FATs of all kinds, sound and not.
"$TOP/tools/make-pi-image" --small --size 64 "$SRC/pi.img" >"$T/make-pi-image.log"
make_image "$SRC/fat12.img" 4 12
make_image "$SRC/fat16.img" 16 16
make_fat32_image "$SRC/fat32.img"
for name in fat12 fat16 fat32; do
	mmd -i "$SRC/$name.img@@1M" ::sub
	put "$(seq 9000)" "$SRC/$name.img" '/sub/A long name, ünïcöde.text'
	put "kernel=gone.img" "$SRC/$name.img" /config.txt
done
truncate -s 16M "$SRC/gpt.img" "$SRC/logical.img" "$SRC/bare.img" "$SRC/empty.img"
printf 'label: gpt\nstart=2048,size=8192,name=boot\nstart=10240,size=8192' | sfdisk -q "$SRC/gpt.img"
printf 'start=2048,size=2048,type=83\nstart=4096,type=5\nstart=6144,size=4096,type=83\nstart=12288,size=8192,type=c' |
	sfdisk -q "$SRC/logical.img"
make_fat "$SRC/gpt.img" 10240 4096 12
put "cmdline=x" "$SRC/gpt.img@@5M" /config.txt
make_fat "$SRC/logical.img" 12288 4096 12
put "[pi4]" "$SRC/logical.img@@6M" /config.txt
mkfs.fat -F 32 -S 4096 -s 1 -C "$SRC/sectors.img" 307200 >"$T/mkfs.log" 2>&1
mkfs.fat -F 16 "$SRC/bare.img" >"$T/mkfs.log" 2>&1
cp "$SRC/fat32.img" "$SRC/damaged.img"
read -r -a chain <<<"$(edit "$SRC/damaged.img" chain '/sub/A long name, ünïcöde.text')"
edit "$SRC/damaged.img" setfat "${chain[5]}" "${chain[1]}"
dd if=/dev/urandom of="$SRC/fat16.img" bs=512 seek=2049 count=8 conv=notrunc status=none

# alike WHAT ARGUMENT...: the same answer and exit status, from both.
alike() {
	local what=$1 ours=0 theirs=0
	shift
	"$(dirname "$IMAGEFS")/imagefsctl" "$@" >"$T/ours" 2>&1 || ours=$?
	ctl "$@" >"$T/theirs" 2>&1 || theirs=$?
	is "$what: exit status" "$theirs" "$ours"
	cmp -s "$T/ours" "$T/theirs" || fail "$what: $(diff "$T/ours" "$T/theirs" | head)"
}
for image in "$SRC"/*.img; do
	name=$(basename "$image")
	alike "check $name" check "$image"
	alike "ls $name" ls -l "$image"
	alike "check --json $name" check --json "$image"
	alike "cat $name" cat "$image" config.txt
done
for name in gpt.img:1 gpt.img:2 logical.img:5 logical.img:6; do alike "check $name" check "$SRC/$name"; done
for name in fat12 fat16 fat32 damaged; do
	alike "ls $name" ls -l "$SRC/$name.img" sub
	alike "cat $name" cat "$SRC/$name.img" 'sub/a LONG name, ünïcöde.text'
done
while read -r name; do alike "cat $name" cat "$SRC/pi.img" "$name"; done < <(
	"$(dirname "$IMAGEFS")/imagefsctl" ls "$SRC/pi.img" | head -n 20)
# Not only refused alike.
is "fat32" "$(ctl cat "$SRC/fat32.img" 'sub/a LONG name, ünïcöde.text')" "$(seq 9000)"
is "logical" "$(ctl cat "$SRC/logical.img:6" config.txt)" "[pi4]"

[ -z "$test" ] ||
	ctest --test-dir "$T/build" -j "$(nproc)" --output-on-failure --no-tests=error -L 'unit|fuzz' >"$T/ctest.log" 2>&1 ||
	fail "$(tail -n 40 "$T/ctest.log")"
