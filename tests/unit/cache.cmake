# cache/: on a device in memory (cache_device.c), or on files where the kernel is the matter.
foreach(name cache_compare cache_validation cache_image cache_share)
	imagefs_unit(${name} ${name}.c cache_device.c cache_reader.c cache_volume.c fat_image.c LIBS imagefs_cache)
endforeach()
imagefs_unit(cache_dir cache_dir.c cache_dir_nodes.c cache_dir_volume.c cache_device.c cache_reader.c cache_volume.c fat_image.c LIBS imagefs_cache)
imagefs_unit(cache_version cache_version.c cache_version_blind.c cache_version_copies.c cache_version_stream.c cache_version_files.c cache_device.c cache_reader.c
	cache_volume.c fat_image.c LIBS imagefs_cache)
imagefs_unit(cache_model cache_model.c cache_feed.c cache_page_feed.c cache_model_reader.c cache_model_run.c cache_model_script.c
	cache_device.c cache_reader.c cache_volume.c fat_image.c LIBS imagefs_cache)
imagefs_unit(cache_read_on cache_read_on.c cache_feed.c cache_device.c cache_reader.c cache_volume.c fat_image.c LIBS imagefs_cache)
foreach(name cache_extents cache_hints cache_readahead)
	imagefs_unit(${name} ${name}.c cache_device.c LIBS imagefs_cache)
endforeach()
imagefs_unit(cache_write_log cache_write_log.c cache_write_log_guards.c cache_write_log_strangers.c cache_told.c cache_device.c
	LIBS imagefs_cache)
imagefs_unit(cache_kernel cache_kernel.c cache_kernel_guards.c cache_kernel_marks.c cache_kernel_opener.c cache_kernel_image.c LIBS imagefs_cache)
imagefs_unit(cache_nbd_writes cache_nbd_writes.c LIBS imagefs_cache)
imagefs_unit(cache_page_news cache_page_news.c cache_page_feed.c cache_device.c LIBS imagefs_cache)
foreach(name cache_held cache_pairing cache_reporter)
	imagefs_unit(${name} ${name}.c cache_told.c cache_device.c LIBS imagefs_cache)
endforeach()
foreach(name cache_ahead cache_clone_map cache_disk cache_kept cache_nbd_message cache_notify cache_path_watch cache_watch cache_writes_page)
	imagefs_unit(${name} ${name}.c LIBS imagefs_cache)
endforeach()
imagefs_unit(cache_nbd_uri cache_nbd_uri.c LIBS imagefs_cache)
if(LIBNBD_FOUND)
	target_compile_definitions(cache_nbd_uri PRIVATE HAVE_LIBNBD)
	target_link_libraries(cache_nbd_uri PRIVATE PkgConfig::LIBNBD)
	imagefs_unit(cache_nbd_export cache_nbd_export.c LIBS imagefs_cache PkgConfig::LIBNBD)
endif()
target_compile_definitions(cache_notify PRIVATE NOTIFY_DATA="${CMAKE_SOURCE_DIR}/tests/data/notify")

# Without Criterion, which ThreadSanitizer does not let start.
add_executable(cache_threads cache_threads.c cache_device.c cache_reader.c cache_volume.c fat_image.c)
target_link_libraries(cache_threads PRIVATE imagefs_cache)
add_test(NAME unit/cache_threads COMMAND cache_threads)
set_tests_properties(unit/cache_threads PROPERTIES LABELS unit TIMEOUT 120)

if(IMAGEFS_SANITIZE)
	target_compile_definitions(cache_model PRIVATE MODEL_DEPTH=0)
else()
	target_compile_definitions(cache_model PRIVATE MODEL_DEPTH=1)
endif()

# Does a test fail for every rule that is broken? Minutes: ctest -L mutants.
if(NOT IMAGEFS_SANITIZE)
	add_test(NAME unit/mutants COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/mutants.sh ${CMAKE_BINARY_DIR})
	set_tests_properties(unit/mutants PROPERTIES LABELS mutants TIMEOUT 1200)
endif()
