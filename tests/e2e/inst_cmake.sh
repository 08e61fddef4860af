#!/bin/bash
# cmake --install puts everything where programs look for it; the manual pages have no
# mistakes; completions know every option and command that --help names.
. "$(dirname "$0")/../lib.sh"
requires cmake
BUILD=$(realpath -m "${BUILD:-$TOP/build}")
[ -e "$BUILD/cmake_install.cmake" ] || skip "needs a build"
DESTDIR=$T/root cmake --install "$BUILD" --prefix /usr >"$T/install.out"
R=$T/root/usr
for file in bin/imagefs bin/imagefsctl bin/imagefs-prep bin/tftp-storm share/man/man1/tftp-storm.1 share/man/man8/imagefs-prep.8 sbin/mount.imagefs share/man/man8/imagefs.8 share/man/man8/mount.imagefs.8 \
	share/man/man8/imagefsctl.8 share/man/man7/imagefs-control.7 lib/tmpfiles.d/imagefs.conf \
	lib/systemd/system/imagefs@.service share/bash-completion/completions/{imagefs,imagefsctl,imagefs-prep,tftp-storm} \
	share/zsh/site-functions/{_imagefs{,ctl,-prep},_tftp-storm} share/doc/imagefs/README.md \
	share/doc/imagefs/examples/{dnsmasq/imagefs.conf,tftpd-hpa/tftpd-hpa,nbd-server/imagefs.conf}; do
	[ -s "$R/$file" ] || fail "not installed: $file"
done
is "mount.imagefs" "$(readlink "$R/sbin/mount.imagefs")" ../bin/imagefs
"$R/sbin/mount.imagefs" --version | grep -q '^imagefs [0-9]'
grep -q '^ExecStart=/usr/.*bin/imagefs ' "$R/lib/systemd/system/imagefs@.service"
# Nothing names the tree it was built from, and no source of C is an example.
! grep -rlI "$TOP" "$R" || fail "names $TOP"
is "sources" "$(find "$R/share" -name '*.[ch]')" ''

for page in "$R"/share/man/man*/*; do
	command -v groff >/dev/null || break
	groff -man -Tutf8 -ww -z "$page" 2>"$T/groff" || true
	is "$page" "$(cat "$T/groff")" ''
done

# What --help names, and nothing that it does not.
bash_knows() { # bash_knows WORDS...: the completions of the last of them
	bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); "_$1" 2>/dev/null; printf "%s\n" "${COMPREPLY[@]}"' \
		- "$R/share/bash-completion/completions/$1" "$@"
}
zsh_knows() { "$TOOLS/known.zsh" "$R/share/zsh/site-functions" "$*"; }
# knows LINE OPTION...: both shells complete each of them at the end of LINE.
knows() {
	local words shell
	read -ra words <<<"$1"
	[[ $1 != *' ' ]] || words+=('')
	for shell in bash zsh; do
		command -v $shell >/dev/null || continue
		if [ $shell = bash ]; then bash_knows "${words[@]}"; else zsh_knows "$1"; fi >"$T/known"
		for option in "${@:2}"; do grep -qE -- "^$option(=.*)?\$" "$T/known" || fail "$shell: $1: does not know $option"; done
	done
}
for program in imagefs imagefsctl imagefs-prep tftp-storm; do
	"$R/bin/$program" --help >"$T/help"
	# Of lines that begin with an option: those before the text.
	mapfile -t options < <(sed -nE 's/^  (-.*)/\1/p' "$T/help" | sed -E 's/ {2,}.*//' | grep -oE '(^|[ ,])--?[a-zA-Z][a-z0-9-]*' | tr -d ' ,' | sort -u)
	[ ${#options[@]} -ge 5 ] || fail "no options in $program --help"
	knows "$program -" "${options[@]}"
done
mapfile -t options < <("$R/bin/imagefs" --help | grep -oE '^  -o .*' | grep -oE '(^  -o |,)[a-z_]+' | sed 's/.*[ ,]//' | sort -u)
knows 'imagefs -o ' "${options[@]}" fmask dmask debug
knows 'imagefs --debug=' requests files images changes
# `  check [--json] [--pi 3|4|5] IMAGE   text`: a command, and its options.
"$R/bin/imagefsctl" --help | sed -nE 's/^  ([a-z]+.*)/\1/p' | sed -E 's/ {2,}.*//' >"$T/commands"
[ "$(wc -l <"$T/commands")" -ge 6 ] || fail "no commands in imagefsctl --help"
while read -r -u 9 command rest; do
	knows 'imagefsctl ' "$command"
	mapfile -t options < <(grep -oE -- '--?[a-z]+' <<<"$rest" || true)
	knows "imagefsctl $command -" "${options[@]}" --help
done 9<"$T/commands"
knows 'imagefsctl check --pi ' 3 4 5
is "after a comma" "$(bash_knows imagefs -o uid=1,fma)" uid=1,fmask=
is "flush --a" "$(bash_knows imagefsctl flush --a)" --all
is "--help fits a screen" "$(("$("$R/bin/imagefs" --help | wc -l)" <= 40))" 1
# Versions agree.
version=$("$R/bin/imagefs" --version | cut -d' ' -f2)
is "imagefsctl --version" "$("$R/bin/imagefsctl" --version)" "imagefsctl $version"
grep -q "^imagefs ($version)" "$TOP/debian/changelog" || fail "debian/changelog is not of $version"
