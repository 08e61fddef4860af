#!/bin/bash
# Firmware of Pi 3, 4 and 5 boots from the mount, as tests/data/firmware says it asks: with
# its serial, with its MAC, and where nobody knows it; every answer and every byte is held
# against the image.
# usage: firmware.sh dnsmasq|tftpd-hpa
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/firmware_image.sh"
server=$1
make_firmware_image "$SRC/jammy.img"
extract "$SRC/jammy.img@@4M" "$T/truth"
ln -s jammy.img "$SRC/89025d75"
ln -s jammy.img "$SRC/dc-a6-32-01-36-c2"
ln -s jammy/bootcode.bin "$SRC/bootcode.bin" # a Pi 3's ROM knows no prefix
mkdir "$T/root" && cp "$T/truth/bootcode.bin" "$T/root"
echo "served: $(ls -l "$SRC" | awk 'NR > 1 { print $9, $10, $11 }' | paste -sd';')"
mount_imagefs
start_firmware_server "$server"
boots() {
	"$PYTHON" "$HERE/netboot/replay.py" 127.0.0.1 "$port" --server-name "$server" \
		--truth "$T/truth" --root "$T/root" "$@"
}
boots pi3=pi3,89025d75/ pi4=pi4,dc-a6-32-01-36-c2/ pi4-of-2019=pi4-old,89025d75/ \
	pi5=pi5,89025d75/ pi5-ramdisk=pi5-ramdisk,dc-a6-32-01-36-c2/ cm5-signed=pi5-signed,89025d75/
echo "boards that the server does not know:"
boots pi3=pi3-bare,deadbeef/,lost pi4=pi4-lost,deadbeef/,lost
say_what_the_server_said "$server"
