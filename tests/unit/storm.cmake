imagefs_unit(storm_packet storm_packet.c LIBS imagefs_storm)
imagefs_unit(storm_sequence storm_sequence.c LIBS imagefs_storm)
imagefs_unit(storm_truth storm_truth.c LIBS imagefs_storm)
