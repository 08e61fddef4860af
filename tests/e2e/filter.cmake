# The nbdkit filter (contrib/nbdkit): P, with control files that only log, and with imagefs.
if(NOT TARGET nbdkit-imagefs-filter OR NOT TARGET nbd_load)
	return()
endif()

function(filter_e2e name)
	imagefs_e2e(${name} ${ARGN})
	set_property(TEST e2e/${name} APPEND PROPERTY ENVIRONMENT
		"FILTER=$<TARGET_FILE:nbdkit-imagefs-filter>"
		"CONTROL_LOG=$<TARGET_FILE:control_log>"
		"NBD_LOAD=$<TARGET_FILE:nbd_load>"
		"WRITES_CHECK=$<TARGET_FILE:writes_check>")
endfunction()

filter_e2e(p_nbdkit_filter)
filter_e2e(p_nbdkit_filter_parallel)
filter_e2e(p_nbdkit_filter_names)
filter_e2e(p_nbdkit_filter_comes_and_goes)
filter_e2e(p_nbdkit_filter_dir)
foreach(format raw qcow2)
	filter_e2e(p_nbdkit_filter_nbd_${format} SCRIPT p_nbdkit_filter_nbd ARGS ${format} 20)
endforeach()
foreach(server nbdkit-filter nbd-server)
	filter_e2e(p_contrib_${server} SCRIPT p_contrib ARGS ${server})
endforeach()
filter_e2e(cli_manual_servers)
filter_e2e(r_writes_page)
filter_e2e(r_writes_names)
filter_e2e(r_writes_manual)
# imagefs, by what the page tells.
foreach(kind file tls qcow2)
	filter_e2e(r_told_${kind} SERIAL SCRIPT r_told ARGS ${kind} 15)
endforeach()
filter_e2e(r_told_steady)
filter_e2e(r_told_far)
filter_e2e(r_told_readonly SERIAL)
filter_e2e(r_told_heads SERIAL)
filter_e2e(r_told_restarts SERIAL)
coherence_e2e(r_told_whole SERIAL ARGS 12)
set_property(TEST e2e/r_told_whole APPEND PROPERTY ENVIRONMENT "FILTER=$<TARGET_FILE:nbdkit-imagefs-filter>"
	"CONTROL_LOG=$<TARGET_FILE:control_log>" "NBD_LOAD=$<TARGET_FILE:nbd_load>")
foreach(behind "memory 8 5000" "far 8 2000" "directory 4 2000" "qcow2 4 1000" "failing 4 2000")
	string(REPLACE " " ";" behind "${behind}")
	list(GET behind 0 name)
	filter_e2e(r_writes_torn_${name} SCRIPT r_writes_torn ARGS ${behind})
endforeach()
