# Of the daemon only what knows no libfuse can be tried alone.
imagefs_unit(fuse_queue fuse_queue.c ${CMAKE_SOURCE_DIR}/fuse/queue.c LIBS imagefs_base)
imagefs_unit(fuse_asked fuse_asked.c ${CMAKE_SOURCE_DIR}/fuse/asked.c LIBS imagefs_base)
imagefs_unit(fuse_patience fuse_patience.c ${CMAKE_SOURCE_DIR}/fuse/patience.c LIBS imagefs_base)
imagefs_unit(base_text base_text.c LIBS imagefs_base)
