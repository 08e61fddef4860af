imagefs_fuzz(fat LIBS imagefs_fat)
