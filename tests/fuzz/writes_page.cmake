imagefs_fuzz(writes_page LIBS imagefs_cache)
