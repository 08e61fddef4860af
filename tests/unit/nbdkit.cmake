# Of the filter, what knows nothing of nbdkit.
imagefs_unit(nbdkit_pages nbdkit_pages.c ${CMAKE_SOURCE_DIR}/contrib/nbdkit/pages.c LIBS imagefs_cache)
