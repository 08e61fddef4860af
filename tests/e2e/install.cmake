# What is installed, in a root of its own, and under a systemd of its own.
foreach(test inst_cmake inst_mount_all inst_systemd inst_package)
	imagefs_e2e(${test} TIMEOUT 300)
	set_property(TEST e2e/${test} APPEND PROPERTY ENVIRONMENT "BUILD=${CMAKE_BINARY_DIR}")
endforeach()
foreach(type fuse.imagefs imagefs)
	imagefs_e2e(inst_systemd_fstab_${type} SCRIPT inst_systemd_fstab ARGS ${type})
	set_property(TEST e2e/inst_systemd_fstab_${type} APPEND PROPERTY ENVIRONMENT "BUILD=${CMAKE_BINARY_DIR}")
endforeach()
