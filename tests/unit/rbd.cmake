# Of the plugin for Ceph RBD, what knows nothing of Ceph.
imagefs_unit(rbd_counters rbd_counters.c ${CMAKE_SOURCE_DIR}/contrib/rbd/counters.c LIBS imagefs_cache)
