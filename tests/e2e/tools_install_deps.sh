#!/bin/bash
# tools/install-deps: with everything there it does nothing; it names what is missing;
# wrong usage is 2.
. "$(dirname "$0")/../lib.sh"
"$TOP/tools/install-deps" --print build >"$T/out" || skip "packages are missing: $(cat "$T/out")"
is "nothing printed" "$(cat "$T/out")" ''
"$TOP/tools/install-deps" build | grep -q 'nothing is missing'
status=0
"$TOP/tools/install-deps" nonsense 2>/dev/null || status=$?
is "wrong usage" $status 2
# With a dpkg that knows nothing everything is missing, and --print says what.
mkdir "$T/bin"
printf '#!/bin/sh\nexit 1\n' >"$T/bin/dpkg-query"
chmod +x "$T/bin/dpkg-query"
status=0
PATH=$T/bin:$PATH "$TOP/tools/install-deps" --print test >"$T/out" || status=$?
is "exit status" $status 1
for package in libfuse3-dev libcriterion-dev tftpd-hpa; do grep -qw -- "$package" "$T/out"; done
! grep -qw -- qemu-user "$T/out" || fail "compilers for other machines, which only builds wants"
PATH=$T/bin:$PATH "$TOP/tools/install-deps" --print builds >"$T/out" || true
for package in libfuse3-dev clang qemu-user gcc-arm-linux-gnueabihf mtools; do grep -qw -- "$package" "$T/out"; done
