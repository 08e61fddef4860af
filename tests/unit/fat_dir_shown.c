/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fat_dir_shown.h"

#include <criterion/criterion.h>
#include <stdio.h>

struct fat_dir *read_dir(struct fat_image *image, uint32_t first_cluster)
{
	struct fat_dir *dir = NULL;

	cr_assert_eq(fat_dir_read(&image->volume, &image->source, first_cluster, &dir), 0);
	return dir;
}

int read_error(struct fat_image *image, uint32_t first_cluster)
{
	struct fat_dir *dir;
	int error = fat_dir_read(&image->volume, &image->source, first_cluster, &dir);

	cr_assert(error == 0 || dir == NULL);
	fat_dir_free(dir);
	return error;
}

const char *names_of(const struct fat_dir *dir)
{
	static char names[4096];
	size_t length = 0;

	names[0] = '\0';
	for (size_t i = 0; i < fat_dir_count(dir); i++) {
		const char *name = fat_dir_entry(dir, i)->name;

		length += (size_t)snprintf(names + length, sizeof(names) - length, "%s|", name);
		cr_assert_eq(fat_dir_find(dir, name), (long)i, "%s is not found", name);
	}
	return names;
}

void expect_names(struct fat_image *image, const char *expected)
{
	struct fat_dir *dir = read_dir(image, 0);

	cr_expect_str_eq(names_of(dir), expected);
	fat_dir_free(dir);
	fat_image_free(image);
}

struct fat_image *small_image(void)
{
	return fat_image_new((struct fat_image_shape){ .type = 12 });
}
