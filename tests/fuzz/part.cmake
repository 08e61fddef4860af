imagefs_fuzz(part LIBS imagefs_part)
