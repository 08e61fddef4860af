imagefs_fuzz(mountinfo LIBS imagefs_base)
