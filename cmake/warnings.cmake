# Warnings are errors, in both compilers, and the sanitizers asked for.
add_library(imagefs_warnings INTERFACE)
target_compile_options(imagefs_warnings INTERFACE
	-Wall -Wextra -Werror
	-Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
	-Wpointer-arith -Wcast-align -Wwrite-strings -Wvla -Wformat=2 -Wundef
	-Wimplicit-fallthrough
	-Wno-missing-field-initializers -Wno-gnu-statement-expression
	-fno-common -fno-strict-aliasing -fstack-protector-strong)
if(CMAKE_BUILD_TYPE MATCHES "Rel")
	target_compile_options(imagefs_warnings INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(IMAGEFS_SANITIZE)
	target_compile_options(imagefs_warnings INTERFACE
		-fsanitize=${IMAGEFS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
	target_link_options(imagefs_warnings INTERFACE -fsanitize=${IMAGEFS_SANITIZE})
endif()
if(IMAGEFS_FUZZERS)
	if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
		message(FATAL_ERROR "IMAGEFS_FUZZERS needs clang: cmake --preset fuzz")
	endif()
	target_compile_options(imagefs_warnings INTERFACE -fsanitize=fuzzer-no-link)
endif()
