# cache/: on a device in memory (cache_device.c), or on files where the kernel is the matter.
foreach(name cache_dir cache_footprint cache_image cache_model cache_version)
	imagefs_unit(${name} ${name}.c cache_device.c cache_reader.c cache_volume.c fat_image.c LIBS imagefs_cache)
endforeach()
foreach(name cache_disk cache_kept cache_watch)
	imagefs_unit(${name} ${name}.c LIBS imagefs_cache)
endforeach()
