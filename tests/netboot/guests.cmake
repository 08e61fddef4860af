# Boards with a real kernel and vfat, each with another server for its disk; 26 rounds in all.
# For hundreds: ROUNDS=100 IMAGEFS=... bash tests/netboot/upgrade.sh SERVER
set(NETBOOT_PARTS ${CMAKE_CURRENT_BINARY_DIR}/board)
imagefs_netboot(board_fixture ENVIRONMENT "PARTS=${NETBOOT_PARTS}")
set_tests_properties(netboot/board_fixture PROPERTIES FIXTURES_SETUP netboot_board)
foreach(upgrade "nbd-server 7" "nbd-server-reporting 7" "nbdkit-filter 7" "tgt 5")
	string(REPLACE " " ";" upgrade "${upgrade}")
	list(GET upgrade 0 server)
	imagefs_netboot(upgrade_${server} SCRIPT upgrade ARGS ${upgrade} TIMEOUT 600 ENVIRONMENT "PARTS=${NETBOOT_PARTS}")
	set_property(TEST netboot/upgrade_${server} APPEND PROPERTY FIXTURES_REQUIRED netboot_board)
endforeach()

# The page for the first board, to a guest that boots; the image that it begins with is e2e's.
foreach(server nbd-server nbdkit tgt)
	imagefs_netboot(first_board_${server} SCRIPT first_board ARGS ${server} ENVIRONMENT
		"PARTS=${NETBOOT_PARTS};PI_IMAGE=${CMAKE_BINARY_DIR}/tests/e2e/pi.img;BUILD=${CMAKE_BINARY_DIR}")
	set_property(TEST netboot/first_board_${server} APPEND PROPERTY FIXTURES_REQUIRED netboot_board pi_image)
endforeach()
