# part/: each program makes its images with part_image.c.
foreach(name part_mbr part_gpt part_bare part_boot part_hostile)
	imagefs_unit(${name} ${name}.c part_image.c LIBS imagefs_part)
endforeach()
