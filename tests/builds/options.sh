#!/bin/bash
# What cmake makes of a user's, a packager's and our own wishes: a warning is an error only where
# it is asked for; CMAKE_C_FLAGS have the last word; tests are built when they can be.
. "$(dirname "$0")/../lib.sh"
requires cmake pkg-config
B=$T/build
configured() { # configured CMAKE-ARGUMENT...: commands are in $B/compile_commands.json then
	cmake -S "$TOP" -B "$B" "$@" >"$T/cmake.log" 2>&1 || fail "cmake $*: $(cat "$T/cmake.log")"
}
# of FLAG: how many commands have it
of() { grep -cE -- "\"command\":.* $1 " "$B/compile_commands.json" || true; }
all() { grep -c '"command":' "$B/compile_commands.json"; }

configured
is "-Werror for a user" "$(of -Werror)" 0
is "all are fortified" "$(of -D_FORTIFY_SOURCE=2)" "$(all)"
# In a second run of the same tree.
configured -DCMAKE_C_FLAGS='-D_FORTIFY_SOURCE=3 -Wno-shadow -fno-stack-protector'
is "the packager's level" "$(of -D_FORTIFY_SOURCE=3):$(of -D_FORTIFY_SOURCE=2)" "$(all):0"
is "no -U" "$(of -U_FORTIFY_SOURCE)" 0
is "the last word" "$(of '-Wshadow .* -Wno-shadow')" "$(all)"
is "of hardening" "$(of '-fstack-protector-strong .* -fno-stack-protector')" "$(all)"
configured -DCMAKE_C_FLAGS='-Wp,-U_FORTIFY_SOURCE,-D_FORTIFY_SOURCE=3'
is "as Fedora has it" "$(of -D_FORTIFY_SOURCE=2)" 0
configured -DCMAKE_C_FLAGS='-U_FORTIFY_SOURCE'
is "none at all" "$(of '-D_FORTIFY_SOURCE=2 .* -U_FORTIFY_SOURCE')" "$(all)"
rm -rf "$B"
printf '#!/bin/sh\nexec cc -D_FORTIFY_SOURCE=3 "$@"\n' >"$T/cc" # as Ubuntu's has it
chmod 755 "$T/cc"
configured "-DCMAKE_C_COMPILER=$T/cc"
is "the compiler's own level" "$(of '-D_FORTIFY_SOURCE=[0-9]')" 0
rm -rf "$B"
configured -DIMAGEFS_WERROR=ON
[ "$(of -Werror)" -gt 0 ] || fail "no -Werror"
for preset in release debug asan tsan; do
	rm -rf "$B"
	(cd "$TOP" && cmake --preset $preset -B "$B" >"$T/cmake.log" 2>&1) || fail "$preset: $(cat "$T/cmake.log")"
	[ "$(of -Werror)" -gt 0 ] || fail "$preset: no -Werror"
done

# A machine without Criterion.
rm -rf "$B"
printf '#!/bin/sh\ncase " $* " in *" criterion"*) exit 1 ;; esac\nexec pkg-config "$@"\n' >"$T/pkg-config"
chmod 755 "$T/pkg-config"
configured "-DPKG_CONFIG_EXECUTABLE=$T/pkg-config"
grep -q 'tests: not built, .*libcriterion-dev' "$T/cmake.log" || fail "does not say why there are no tests"
! grep -q '/tests/' "$B/compile_commands.json" || fail "tests are built"
! cmake -S "$TOP" -B "$B" -DIMAGEFS_TESTS=ON >"$T/cmake.log" 2>&1 || fail "tests without Criterion"
grep -q 'libcriterion-dev' "$T/cmake.log" || fail "does not name what is missing: $(cat "$T/cmake.log")"
configured -DIMAGEFS_TESTS=OFF
