imagefs_fuzz(pi LIBS imagefs_pi imagefs_prep)
