# The nbdkit plugin for Ceph RBD (contrib/rbd): R, with a cluster of each test's own (tests/ceph.sh).
if(NOT TARGET nbdkit-imagefs-rbd-plugin)
	return()
endif()

function(rbd_e2e name)
	imagefs_e2e(${name} ${ARGN})
	set_property(TEST e2e/${name} APPEND PROPERTY ENVIRONMENT
		"RBD_PLUGIN=$<TARGET_FILE:nbdkit-imagefs-rbd-plugin>"
		"WRITES_CHECK=${CMAKE_BINARY_DIR}/tests/tools/writes_check")
endfunction()

rbd_e2e(r_rbd_page)
rbd_e2e(r_rbd_torture ARGS 15)
rbd_e2e(r_rbd_clones)
rbd_e2e(r_rbd_faults SERIAL)
rbd_e2e(r_rbd_policy)
rbd_e2e(inst_rbd TIMEOUT 300)
set_property(TEST e2e/inst_rbd APPEND PROPERTY ENVIRONMENT "BUILD=${CMAKE_BINARY_DIR}")
if(TARGET writes_check)
	rbd_e2e(r_rbd_torn SCRIPT r_rbd_torn ARGS 8 1000 4)
	rbd_e2e(r_rbd_torn_one_object SCRIPT r_rbd_torn ARGS 3 500 1)
endif()
# An EIO counts there: it has the machine to itself.
rbd_e2e(r_rbd_fresh SERIAL ARGS 15)
# As clusters are: two OSDs on disk, cephx.
rbd_e2e(r_rbd_fresh_farm SERIAL SCRIPT r_rbd_fresh ARGS 10)
set_property(TEST e2e/r_rbd_fresh_farm APPEND PROPERTY ENVIRONMENT CEPH_LIKE=farm)
