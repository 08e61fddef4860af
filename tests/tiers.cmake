# Which tier a test belongs to (tests/run): `quick`, on top of full, or `soak`, instead of it.
# Full has one of each kind; soak has the others of the kind, and what takes many rounds.
set(TIER_QUICK
	"unit/(fat|part|pi|base|fuse|nbdkit|rbd)_.*|unit/cache_[a-ln-su-z].*|unit/arrows|fuzz/.*"
	"e2e/(n1_what_is_an_image|n2_links|n3_second_fat_partition|n5_single_image|n6_spellings|n6_random_tree_small)"
	"e2e/(n7_come_and_go|n8_working_directory|c1_fresh_whole_image|c1_held_open_once|c3_stat_of_new_bytes|c4_steady)"
	"e2e/(c5_two_openers|c8_mkfs|e_broken_images|s1_terminal|s2_hung_image|s3_read_only|s5_handles|p_control_files)"
	"e2e/(cli_bad_input|tftp_dnsmasq)")
set(TIER_SOAK
	"unit/mutants"
	"e2e/n6_random_tree_fat(12_6_4|16_24_4|32_40_1)_seed.*|e2e/n6_random_tree_fat.*_seed2"
	"e2e/c1_fresh_(mtools|nbdkit|qemu-nbd)"
	"e2e/c1_matrix_(direct|nbd-server-splice|nbdkit-cache|loop-node-direct|behind-loop-direct)(_events)?"
	"e2e/c1_matrix_qemu-nbd-(writethrough|none|directsync)-(threads|io_uring|native)(_events)?"
	"e2e/c2_torture_qemu-nbd(_events)?|e2e/c5_torture_kernel-qemu-nbd-writeback-threads|e2e/c5_torture_kernel-pwrite"
	"e2e/c5_busy_root_(nbdkit|pwrite)"
	"e2e/c5_two_writers_.*_silent-first"
	"e2e/c6_neighbours_tftpd_(trees|content|storage_.*)|e2e/c6_neighbours_dnsmasq_storage_.*|e2e/c6_slow_storage_.*"
	"e2e/c7_nothing_believed_fuse"
	"e2e/r_rbd_fresh_farm"
	"e2e/r_heads_storm_nbdkit|e2e/r_heads_(fresh|whole|osd)_(nbdkit|nbd-server|qemu-nbd|ceph-qemu)|e2e/r_heads_faults_(nbd-server|qemu-nbd)"
	"e2e/r_fresh_(nbdkit|qemu-nbd)|e2e/r_whole_(nbdkit|qemu-nbd)|e2e/r_faults_tcp|e2e/r_clones_(cold|meanwhile|writes)_btrfs"
	"e2e/tools_change_(killed_fat(12|32)|verbs_(bare12|mbr12|logical16))"
	"e2e/p_kill_minus_nine_nbdkit-filter"
	"netboot/upgrade_(nbd-server-reporting|nbdkit-filter|tgt)|netboot/first_board_(nbdkit|tgt)")

# Gives each test of the directory that calls it the label of its tier; at its end.
function(label_tiers)
	get_property(tests DIRECTORY PROPERTY TESTS)
	foreach(tier quick soak)
		string(TOUPPER ${tier} kind)
		foreach(names ${TIER_${kind}})
			set(of_tier ${tests})
			list(FILTER of_tier INCLUDE REGEX "^(${names})$")
			foreach(test ${of_tier})
				set_property(TEST ${test} APPEND PROPERTY LABELS ${tier})
			endforeach()
		endforeach()
	endforeach()
endfunction()
