# What is installed, in a root of its own, and under a systemd of its own.
foreach(test inst_cmake inst_mount_all inst_systemd inst_systemd_tls inst_package)
	imagefs_e2e(${test} TIMEOUT 300)
	set_property(TEST e2e/${test} APPEND PROPERTY ENVIRONMENT "BUILD=${CMAKE_BINARY_DIR}")
endforeach()
foreach(type fuse.imagefs imagefs)
	imagefs_e2e(inst_systemd_fstab_${type} SCRIPT inst_systemd_fstab ARGS ${type})
	set_property(TEST e2e/inst_systemd_fstab_${type} APPEND PROPERTY ENVIRONMENT "BUILD=${CMAKE_BINARY_DIR}")
endforeach()
foreach(page systemd dnsmasq tftpd-hpa nbd-server nbdkit qemu-nbd tgt u-boot nfs containers nobodd)
	imagefs_e2e(contrib_pages_${page} SCRIPT contrib_pages ARGS ${page})
	set_property(TEST e2e/contrib_pages_${page} APPEND PROPERTY ENVIRONMENT "BUILD=${CMAKE_BINARY_DIR}")
endforeach()
# Several heads: DHCP that names one for each board.
foreach(server dnsmasq-proxy dnsmasq kea)
	imagefs_e2e(contrib_heads_${server} SCRIPT contrib_heads ARGS ${server})
endforeach()

# What needs another kernel: a guest, made once.
imagefs_e2e(targets_fixture TIMEOUT 600)
set_tests_properties(e2e/targets_fixture PROPERTIES
	FIXTURES_SETUP targets
	ENVIRONMENT "TARGETS=${CMAKE_CURRENT_BINARY_DIR}/targets")
imagefs_e2e(contrib_kernel TIMEOUT 600)
set_property(TEST e2e/contrib_kernel APPEND PROPERTY ENVIRONMENT "TARGETS=${CMAKE_CURRENT_BINARY_DIR}/targets")
set_property(TEST e2e/contrib_kernel APPEND PROPERTY FIXTURES_REQUIRED targets)
