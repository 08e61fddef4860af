# Of the daemon only what knows no libfuse can be tried alone.
imagefs_unit(fuse_queue fuse_queue.c ${CMAKE_SOURCE_DIR}/fuse/process/queue.c LIBS imagefs_base)
imagefs_unit(fuse_asked fuse_asked.c ${CMAKE_SOURCE_DIR}/fuse/names/asked.c LIBS imagefs_base)
imagefs_unit(fuse_wait_share fuse_wait_share.c ${CMAKE_SOURCE_DIR}/fuse/process/wait_share.c LIBS imagefs_base)
imagefs_unit(base_text base_text.c LIBS imagefs_base)
imagefs_unit(base_mountinfo base_mountinfo.c LIBS imagefs_base)
