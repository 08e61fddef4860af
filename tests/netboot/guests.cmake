# Boards with a real kernel and vfat, each with another server for its disk. ROUNDS in the
# environment of the script (and a TIMEOUT to match) makes hundreds of rounds of it.
set(NETBOOT_PARTS ${CMAKE_CURRENT_BINARY_DIR}/board)
imagefs_netboot(board_fixture ENVIRONMENT "PARTS=${NETBOOT_PARTS}")
set_tests_properties(netboot/board_fixture PROPERTIES FIXTURES_SETUP netboot_board)
foreach(server nbd-server nbd-server-reporting nbdkit-filter tgt)
	imagefs_netboot(upgrade_${server} SCRIPT upgrade ARGS ${server} TIMEOUT 600 ENVIRONMENT "PARTS=${NETBOOT_PARTS}")
	set_property(TEST netboot/upgrade_${server} APPEND PROPERTY FIXTURES_REQUIRED netboot_board)
endforeach()
