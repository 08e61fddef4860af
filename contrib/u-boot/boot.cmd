# Boots the board from its own image: the script, kernel, initramfs and device tree all come
# from there, so an upgrade on the board takes effect at its next boot.
# mkimage -A arm64 -T script -C none -n netboot -d boot.cmd boot.scr
setenv bootargs ip=dhcp nbdroot=${serverip}/jammy root=/dev/nbd0p2 rw
tftpboot ${kernel_addr_r} ${serial#}/vmlinuz
tftpboot ${fdt_addr_r} ${serial#}/${fdtfile}
tftpboot ${ramdisk_addr_r} ${serial#}/initrd.img
booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${fdt_addr_r}
