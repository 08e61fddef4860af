# Clients of the servers on the mount: firmware, U-Boot, the kernel's own vfat.
foreach(server dnsmasq tftpd-hpa)
	imagefs_netboot(firmware_${server} SCRIPT firmware ARGS ${server})
	imagefs_netboot(firmware_mid_update_${server} SCRIPT firmware_mid_update ARGS ${server} 20)
endforeach()
