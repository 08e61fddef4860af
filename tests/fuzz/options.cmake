set(process ${CMAKE_SOURCE_DIR}/fuse/process)
imagefs_fuzz(options
	SOURCES ${process}/options.c ${process}/option_ignored.c ${process}/option_value.c ${process}/options_help.c ${process}/log.c
	LIBS imagefs_cache imagefs_base PkgConfig::FUSE3)
foreach(target replay_options fuzz_options)
	if(TARGET ${target})
		target_compile_definitions(${target} PRIVATE FUSE_USE_VERSION=35)
	endif()
endforeach()
