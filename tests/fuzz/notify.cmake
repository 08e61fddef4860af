imagefs_fuzz(notify LIBS imagefs_cache)
