imagefs_unit(prep_journal prep_journal.c LIBS imagefs_prep)
imagefs_unit(prep_place prep_place.c LIBS imagefs_prep)
