# Warnings and hardening stand before CMAKE_C_FLAGS: what a user or a packager says there has
# the last word. A warning is an error only where that is asked for (presets, tests/run): the
# next compiler has warnings that nobody has seen yet.
option(IMAGEFS_WERROR "Make warnings errors" OFF)
string(PREPEND CMAKE_C_FLAGS
	"-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition "
	"-Wpointer-arith -Wcast-align -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wimplicit-fallthrough "
	"-Wno-missing-field-initializers -fstack-protector-strong ")

# A packager may have a level of fortification already, in these flags or in the compiler itself
# (Ubuntu, Gentoo). Asked each time, because flags change between two runs of cmake.
if(CMAKE_BUILD_TYPE MATCHES "Rel")
	string(TOUPPER "CMAKE_C_FLAGS_${CMAKE_BUILD_TYPE}" flags_of_type)
	include(CheckCSourceCompiles)
	set(CMAKE_REQUIRED_FLAGS "${${flags_of_type}} -O2")
	set(CMAKE_REQUIRED_QUIET ON)
	unset(IMAGEFS_FORTIFY CACHE)
	check_c_source_compiles("
		#ifdef _FORTIFY_SOURCE
		#error has a level
		#endif
		int main(void) { return 0; }" IMAGEFS_FORTIFY)
	unset(CMAKE_REQUIRED_FLAGS)
	unset(CMAKE_REQUIRED_QUIET)
	if(IMAGEFS_FORTIFY)
		string(PREPEND CMAKE_C_FLAGS "-D_FORTIFY_SOURCE=2 ")
	endif()
endif()

# What the code counts on, and what this project's own options ask for.
add_library(imagefs_flags INTERFACE)
target_compile_options(imagefs_flags INTERFACE -fno-common -fno-strict-aliasing)
if(IMAGEFS_WERROR)
	target_compile_options(imagefs_flags INTERFACE -Werror)
endif()
if(IMAGEFS_SANITIZE)
	target_compile_options(imagefs_flags INTERFACE
		-fsanitize=${IMAGEFS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
	target_link_options(imagefs_flags INTERFACE -fsanitize=${IMAGEFS_SANITIZE})
endif()
if(IMAGEFS_FUZZERS)
	if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
		message(FATAL_ERROR "IMAGEFS_FUZZERS needs clang: cmake --preset fuzz")
	endif()
	target_compile_options(imagefs_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
