/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fuzz corpus by its names: in a volume called should-fail-... something
 * cannot be read, in all others everything can. (The fuzz target itself only
 * asks that nothing breaks.)
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "fat/fat.h"

/* Does everything to the third level read well? A directory that starts at 0 is the caller's to refuse. */
static bool is_sound(const struct fat_volume *volume, struct source *source, uint32_t cluster, int depth)
{
	bool sound = true;
	struct fat_dir *dir;

	if (fat_dir_read(volume, source, cluster, &dir) != 0)
		return false;
	for (size_t i = 0; i < fat_dir_count(dir) && sound; i++) {
		const struct fat_entry *entry = fat_dir_entry(dir, i);
		struct fat_extents extents;

		if (!(entry->attributes & FAT_ATTR_DIRECTORY)) {
			sound = fat_extents_of_file(volume, source, entry->first_cluster, entry->size_bytes,
						    &extents) == 0;
			fat_extents_free(&extents);
		} else if (entry->first_cluster != 0 && depth < 3) {
			sound = is_sound(volume, source, entry->first_cluster, depth + 1);
		}
	}
	fat_dir_free(dir);
	return sound;
}

static bool file_is_sound(const char *path)
{
	static unsigned char bytes[1 << 20];
	FILE *file = fopen(path, "rb");
	struct fat_volume volume;

	cr_assert(file, "%s", path);

	struct source_memory memory = source_memory_of(bytes, fread(bytes, 1, sizeof(bytes), file));

	fclose(file);
	return fat_volume_read(&memory.source, &volume) == 0 && is_sound(&volume, &memory.source, 0, 0);
}

Test(fat_corpus, volumes_named_should_fail_do_and_the_others_do_not)
{
	DIR *corpus = opendir(FAT_CORPUS);
	struct dirent *entry;
	int count = 0;

	cr_assert(corpus, FAT_CORPUS);
	while ((entry = readdir(corpus))) {
		bool should_fail = strncmp(entry->d_name, "should-fail-", 12) == 0;
		char path[PATH_MAX];

		/* What a fuzzer found may be either. */
		if (entry->d_name[0] == '.' || strncmp(entry->d_name, "found-", 6) == 0 ||
		    strncmp(entry->d_name, "crash-", 6) == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", FAT_CORPUS, entry->d_name);
		cr_expect_neq(file_is_sound(path), should_fail, "%s", entry->d_name);
		count++;
	}
	closedir(corpus);
	cr_assert_gt(count, 20);
}
