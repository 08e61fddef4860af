# Clients of the servers on the mount: firmware, U-Boot, the kernel's own vfat.
foreach(server dnsmasq tftpd-hpa)
	imagefs_netboot(firmware_${server} SCRIPT firmware ARGS ${server})
	imagefs_netboot(firmware_mid_update_${server} SCRIPT firmware_mid_update ARGS ${server} 20)
endforeach()

# The same program lists a tree in a guest and here; static, as the guest has no libraries.
add_executable(lister lister.c)
target_compile_options(lister PRIVATE -O2 -Wall -Wextra -Wshadow)
target_link_options(lister PRIVATE -static)
imagefs_netboot(vfat TIMEOUT 600 ENVIRONMENT "LISTER=$<TARGET_FILE:lister>")
set_tests_properties(netboot/vfat PROPERTIES FIXTURES_REQUIRED guest)
imagefs_netboot(uboot)
