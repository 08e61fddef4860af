# imagefs-prep: images are made and changed, offline.
imagefs_e2e(prep_unpack HOSTILE)
imagefs_e2e(prep_whole)
imagefs_e2e(prep_grow)
imagefs_e2e(prep_edit HOSTILE)
imagefs_e2e(prep_clone)
imagefs_e2e(prep_device)
imagefs_e2e(prep_boards HOSTILE)
imagefs_e2e(prep_servers)
