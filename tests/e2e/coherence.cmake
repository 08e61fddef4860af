# Coherence (CONTRACT C) under real writers. tests/run coherence runs them alone; for
# long runs call the scripts by hand with more SECONDS or ROUNDS.
set(COHERENCE_TOOLS ${CMAKE_BINARY_DIR}/tests/tools/coherence)
set(COHERENCE_STATES ${CMAKE_CURRENT_BINARY_DIR}/states)

# coherence_e2e(NAME [as imagefs_e2e]...)
function(coherence_e2e name)
	imagefs_e2e(${name} ${ARGN})
	set_property(TEST e2e/${name} APPEND PROPERTY LABELS coherence)
	set_property(TEST e2e/${name} APPEND PROPERTY ENVIRONMENT
		"COHERENCE=${COHERENCE_TOOLS};STATES=${COHERENCE_STATES}")
	set_property(TEST e2e/${name} APPEND PROPERTY FIXTURES_REQUIRED coherence_states)
endfunction()

imagefs_e2e(coherence_states_fixture)
set_tests_properties(e2e/coherence_states_fixture PROPERTIES
	FIXTURES_SETUP coherence_states
	ENVIRONMENT "STATES=${COHERENCE_STATES}")

# In both modes: with the kernel's events where it has them, and as on an older one.
function(both_e2e name)
	coherence_e2e(${name} ${ARGN})
	coherence_e2e(${name}_events ${ARGN})
	set_property(TEST e2e/${name}_events APPEND PROPERTY ENVIRONMENT "CHANGES=events")
endfunction()

foreach(writer
	pwrite direct dd
	nbd-server nbd-server-flush-fua-trim nbd-server-splice
	nbdkit nbdkit-cache
	qemu-nbd-writeback-threads qemu-nbd-writeback-io_uring
	qemu-nbd-writethrough-threads qemu-nbd-writethrough-io_uring
	qemu-nbd-none-threads qemu-nbd-none-native qemu-nbd-none-io_uring
	qemu-nbd-directsync-threads qemu-nbd-directsync-native qemu-nbd-directsync-io_uring
	tgt-rdwr tgt-aio tgt-rdwr-device
	behind-loop behind-loop-direct loop-node loop-node-direct)
	both_e2e(c1_matrix_${writer} SCRIPT c1_matrix ARGS ${writer} 4)
endforeach()

# Those that hold many opens to a bound in milliseconds have the machine to themselves.
both_e2e(c2_torture_nbd-server SERIAL SCRIPT c2_torture ARGS nbd-server 20)
foreach(writer pwrite qemu-nbd loop-node)
	both_e2e(c2_torture_${writer} SERIAL SCRIPT c2_torture ARGS ${writer} 12)
endforeach()

both_e2e(c2_overwritten_transfer SERIAL SCRIPT c2_overwritten_transfer)
both_e2e(c4_steady SCRIPT c4_steady HOSTILE)
both_e2e(c6_flux SERIAL SCRIPT c6_flux)
imagefs_e2e(c3_many_told_writes)
imagefs_e2e(c6_large_after_silence)
coherence_e2e(c6_large_at_once SERIAL)
coherence_e2e(c6_large_at_once_tmpfs SERIAL SCRIPT c6_large_at_once ARGS tmpfs)
foreach(changes events auto)
	coherence_e2e(c6_share_${changes} SERIAL SCRIPT c6_share ARGS ${changes})
endforeach()
coherence_e2e(c6_share_of_several SERIAL)
# What a hostile board does, in groups of so many as take half a minute.
set(neighbours_names absent absent-noise present unsound wide)
set(neighbours_trees endless deep deep-noise looping pieces)
set(neighbours_content huge huge-never resized boot-sector partitions bursts)
foreach(server dnsmasq tftpd)
	foreach(group names trees content)
		coherence_e2e(c6_neighbours_${server}_${group} SERIAL SCRIPT c6_neighbours ARGS ${server} file ${neighbours_${group}})
	endforeach()
	foreach(storage hung 300 2000)
		coherence_e2e(c6_neighbours_${server}_storage_${storage} SERIAL SCRIPT c6_neighbours ARGS ${server} ${storage} silent)
	endforeach()
endforeach()
foreach(storage 300_device 2000_device 300_fuse)
	string(REPLACE "_" ";" arguments ${storage})
	coherence_e2e(c6_slow_storage_${storage} SERIAL TIMEOUT 300 SCRIPT c6_slow_storage ARGS ${arguments})
endforeach()
foreach(changes kernel events)
	imagefs_e2e(c5_nobody_looks_${changes} SCRIPT c5_nobody_looks ARGS ${changes})
endforeach()
foreach(how stopped hung)
	imagefs_e2e(c5_opener_${how} SCRIPT c5_opener_stopped ARGS ${how})
endforeach()
imagefs_e2e(c6_opener_stopped)
imagefs_e2e(c6_closed_while_stopped)
foreach(readers 300_device_dnsmasq 2000_device_tftpd 300_fuse_tftpd)
	string(REPLACE "_" ";" arguments ${readers})
	coherence_e2e(c6_slow_readers_${readers} SERIAL TIMEOUT 200 SCRIPT c6_slow_readers ARGS ${arguments})
endforeach()
foreach(how still_fuse written_fuse still_nbd written_nbd)
	string(REPLACE "_" ";" arguments ${how})
	imagefs_e2e(c6_slow_crowd_${how} SERIAL TIMEOUT 150 SCRIPT c6_slow_crowd ARGS ${arguments})
endforeach()
foreach(kernel 30_1_still 7_4_still 6_2_written)
	string(REPLACE "_" ";" arguments ${kernel})
	imagefs_e2e(c6_slow_kernel_${kernel} SERIAL SCRIPT c6_slow_kernel ARGS ${arguments})
endforeach()
foreach(case once grow from-before emptied by-path refilled converted)
	both_e2e(c1_held_open_${case} SCRIPT c1_held_open ARGS pwrite ${case})
endforeach()
foreach(changes "" _events)
	set_property(TEST e2e/c1_held_open_once${changes} APPEND PROPERTY LABELS hostile)
endforeach()
foreach(writer nbd-server nbdkit qemu-nbd-native)
	both_e2e(c1_held_open_${writer} SCRIPT c1_held_open ARGS ${writer} once)
endforeach()
foreach(filesystem xfs btrfs)
	both_e2e(c1_held_open_cloned_${filesystem} SCRIPT on_filesystem ARGS ${filesystem} c1_held_open pwrite cloned)
endforeach()
foreach(aio threads native io_uring)
	both_e2e(c5_async_updates_${aio} SERIAL SCRIPT c5_async_updates ARGS ${aio})
endforeach()
both_e2e(c8_repartition SCRIPT c8_repartition HOSTILE)
both_e2e(c8_mkfs SCRIPT c8_mkfs HOSTILE)
both_e2e(c8_moved SCRIPT c8_moved)

# The guest is made once; a machine that cannot have it skips what needs it.
set(COHERENCE_GUEST ${CMAKE_CURRENT_BINARY_DIR}/guest)
imagefs_e2e(guest_fixture)
set_tests_properties(e2e/guest_fixture PROPERTIES
	FIXTURES_SETUP guest
	ENVIRONMENT "GUEST=${COHERENCE_GUEST}")
both_e2e(c1_guest SCRIPT c1_guest TIMEOUT 400)
both_e2e(c2_replay SCRIPT c2_replay TIMEOUT 600)
foreach(test c1_guest c2_replay c1_guest_events c2_replay_events)
	set_property(TEST e2e/${test} APPEND PROPERTY ENVIRONMENT "GUEST=${COHERENCE_GUEST}")
	set_property(TEST e2e/${test} APPEND PROPERTY FIXTURES_REQUIRED guest)
endforeach()

# The kernel announces the writes of servers as they come (C5).
foreach(writer nbd-server nbdkit qemu-nbd-writeback-threads qemu-nbd-none-native qemu-nbd-none-io_uring pwrite)
	coherence_e2e(c5_torture_kernel-${writer} SERIAL SCRIPT c5_torture ARGS kernel-${writer} 12)
endforeach()
foreach(filesystem xfs btrfs)
	coherence_e2e(c5_torture_kernel_${filesystem} SERIAL
		SCRIPT on_filesystem ARGS ${filesystem} c5_torture kernel-nbd-server 10)
endforeach()
foreach(writer nbd-server nbdkit qemu-nbd-none-native pwrite)
	coherence_e2e(c5_busy_root_${writer} SERIAL SCRIPT c5_busy_root ARGS ${writer})
endforeach()

# With servers that report their writes (C5, P). For long runs by hand: c5_torture.sh with
# more SECONDS and LONG=yes, p_kill_minus_nine.sh with 100 KILLS.
function(reported_e2e name)
	coherence_e2e(${name} ${ARGN})
	if(TARGET nbdkit-imagefs-filter)
		set_property(TEST e2e/${name} APPEND PROPERTY ENVIRONMENT "FILTER=$<TARGET_FILE:nbdkit-imagefs-filter>")
	endif()
endfunction()

foreach(server nbd-server nbdkit-filter)
	reported_e2e(c5_torture_${server} SERIAL SCRIPT c5_torture ARGS ${server} 15)
	reported_e2e(c4_reported_root_load_${server} SCRIPT c4_reported_root_load ARGS ${server} 40)
	reported_e2e(p_kill_minus_nine_${server} SCRIPT p_kill_minus_nine ARGS ${server} 12)
endforeach()
foreach(silent mtools nbd-server qemu-nbd-native loop loop-direct)
	foreach(order reporter-first silent-first)
		reported_e2e(c5_two_writers_${silent}_${order} SCRIPT c5_two_writers ARGS ${silent} ${order} 6)
	endforeach()
endforeach()
reported_e2e(c5_guest TIMEOUT 400)
reported_e2e(c5_replay TIMEOUT 600)
foreach(test c5_guest c5_replay)
	set_property(TEST e2e/${test} APPEND PROPERTY ENVIRONMENT "GUEST=${COHERENCE_GUEST}")
	set_property(TEST e2e/${test} APPEND PROPERTY FIXTURES_REQUIRED guest)
endforeach()
