#!/bin/bash
# cmake --install puts everything where programs look for it; the manual pages have no
# mistakes; completions know every option and command that --help names.
. "$(dirname "$0")/../lib.sh"
requires cmake
BUILD=$(realpath -m "${BUILD:-$TOP/build}")
[ -e "$BUILD/cmake_install.cmake" ] || skip "needs a build"
DESTDIR=$T/root cmake --install "$BUILD" --prefix /usr >"$T/install.out"
R=$T/root/usr
for file in bin/imagefs bin/imagefsctl sbin/mount.imagefs share/man/man8/imagefs.8 share/man/man8/mount.imagefs.8 \
	share/man/man8/imagefsctl.8 share/man/man7/imagefs-control.7 lib/tmpfiles.d/imagefs.conf \
	lib/systemd/system/imagefs@.service share/bash-completion/completions/{imagefs,imagefsctl} \
	share/zsh/site-functions/_imagefs{,ctl} share/doc/imagefs/README.md \
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
for program in imagefs imagefsctl; do
	"$R/bin/$program" --help >"$T/help"
	bash_knows $program - >"$T/known"
	grep -oE '(^|[ ,])--?[a-zA-Z][a-z]*' "$T/help" | tr -d ' ,' | sort -u | while read -r option; do
		[[ $program = imagefs && $option = -u ]] && continue # fusermount3's
		[[ $program = imagefsctl && $option =~ ^--(json|all)$ ]] && continue
		grep -qx -- "$option" "$T/known" || [ "$option" = -o ] || fail "$program: bash does not know $option"
		grep -q -- "$option" "$R/share/zsh/site-functions/_$program" || fail "$program: zsh does not know $option"
	done
done
"$R/bin/imagefs" --help | sed -n 's/^  -o \([a-z_]*\).*/\1/p' | while read -r option; do
	bash_knows imagefs -o "$option" | grep -q "^$option" || fail "bash does not know -o $option"
	grep -q "$option" "$R/share/zsh/site-functions/_imagefs" || fail "zsh does not know -o $option"
done
"$R/bin/imagefsctl" --help | sed -n 's/^  \([a-z]\+\).*/\1/p' | while read -r command; do
	bash_knows imagefsctl "$command" | grep -qx "$command" || fail "bash does not know $command"
	grep -q "'$command:" "$R/share/zsh/site-functions/_imagefsctl" || fail "zsh does not know $command"
done
is "after a comma" "$(bash_knows imagefs -o uid=1,fma)" uid=1,fmask=
is "flush --all" "$(bash_knows imagefsctl flush --)" --all
if command -v zsh >/dev/null; then
	for program in imagefs imagefsctl; do zsh -n "$R/share/zsh/site-functions/_$program"; done
fi
is "--help fits a screen" "$(("$("$R/bin/imagefs" --help | wc -l)" <= 40))" 1
# Versions agree.
version=$("$R/bin/imagefs" --version | cut -d' ' -f2)
is "imagefsctl --version" "$("$R/bin/imagefsctl" --version)" "imagefsctl $version"
grep -q "^imagefs ($version)" "$TOP/debian/changelog" || fail "debian/changelog is not of $version"
