imagefs_unit(prep_cmdline prep_cmdline.c LIBS imagefs_prep)
imagefs_unit(prep_config prep_config.c LIBS imagefs_prep)
imagefs_unit(prep_export prep_export.c LIBS imagefs_prep)
imagefs_unit(prep_link prep_link.c LIBS imagefs_prep)
