set(unit ${CMAKE_CURRENT_SOURCE_DIR}/../unit)
imagefs_fuzz(live
	SOURCES live_answer.c live_base.c live_calls.c live_history.c live_writer.c
		${unit}/cache_device.c ${unit}/cache_feed.c ${unit}/cache_reader.c ${unit}/cache_volume.c ${unit}/fat_image.c
	LIBS imagefs_cache)
foreach(target replay_live fuzz_live)
	if(TARGET ${target})
		target_include_directories(${target} PRIVATE ${unit})
	endif()
endforeach()
