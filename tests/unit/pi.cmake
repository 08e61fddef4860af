imagefs_unit(pi_config pi_config.c LIBS imagefs_pi)
imagefs_unit(pi_cmdline pi_cmdline.c LIBS imagefs_pi)
imagefs_unit(pi_boot pi_boot.c LIBS imagefs_pi)
