# Of the daemon only what knows no libfuse can be tried alone.
imagefs_unit(fuse_queue fuse_queue.c ${CMAKE_SOURCE_DIR}/fuse/process/queue.c LIBS imagefs_base)
imagefs_unit(fuse_handles fuse_handles.c ${CMAKE_SOURCE_DIR}/fuse/process/handles.c
	${CMAKE_SOURCE_DIR}/fuse/process/holds.c LIBS imagefs_cache)
imagefs_unit(fuse_asked fuse_asked.c ${CMAKE_SOURCE_DIR}/fuse/names/asked.c ${CMAKE_SOURCE_DIR}/fuse/names/program.c
	${CMAKE_SOURCE_DIR}/fuse/names/recent.c LIBS imagefs_cache)
imagefs_unit(fuse_wait_share fuse_wait_share.c ${CMAKE_SOURCE_DIR}/fuse/process/wait_share.c LIBS imagefs_base)
imagefs_unit(base_text base_text.c LIBS imagefs_base)
imagefs_unit(base_fold base_fold.c LIBS imagefs_base)
imagefs_unit(fuse_separate fuse_separate.c ${CMAKE_SOURCE_DIR}/fuse/process/separate.c
	${CMAKE_SOURCE_DIR}/fuse/process/separate_mounts.c ${CMAKE_SOURCE_DIR}/fuse/process/separate_opener.c
	${CMAKE_SOURCE_DIR}/fuse/process/fd_message.c ${CMAKE_SOURCE_DIR}/fuse/process/log.c
	LIBS imagefs_cache)
imagefs_unit(base_mountinfo base_mountinfo.c LIBS imagefs_base)
imagefs_unit(fuse_tables fuse_tables.c ${CMAKE_SOURCE_DIR}/fuse/names/tables.c LIBS imagefs_cache)
