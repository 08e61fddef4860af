# Of the daemon only what knows no libfuse can be tried alone.
imagefs_unit(fuse_queue fuse_queue.c ${CMAKE_SOURCE_DIR}/fuse/process/queue.c LIBS imagefs_base)
imagefs_unit(fuse_asked fuse_asked.c ${CMAKE_SOURCE_DIR}/fuse/names/asked.c LIBS imagefs_base)
imagefs_unit(fuse_patience fuse_patience.c ${CMAKE_SOURCE_DIR}/fuse/process/patience.c LIBS imagefs_base)
imagefs_unit(base_text base_text.c LIBS imagefs_base)
