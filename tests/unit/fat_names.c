/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fat/names.c: files of a board's own are found as FAT's are, and of several spellings one is. */
#include <criterion/criterion.h>

#include <stdio.h>

#include "fat/names.h"

Test(fat_names, any_spelling_finds_the_one_that_sorts_first)
{
	static const char *const given[] = { "overlays.txt", "config.txt", "CONFIG.TXT", "Config.txt" };
	struct fat_names names = { 0 };

	cr_assert_null(fat_names_find(&names, "config.txt"));
	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
		cr_assert_eq(fat_names_add(&names, given[i]), 0);
	fat_names_fold(&names);
	cr_assert_eq(names.count, 2);
	cr_assert_str_eq(fat_names_find(&names, "cONFIG.tXT"), "CONFIG.TXT");
	cr_assert_str_eq(fat_names_find(&names, "OVERLAYS.TXT"), "overlays.txt");
	cr_assert_null(fat_names_find(&names, "config.tx"));
	fat_names_free(&names);
	cr_assert_eq(names.count, 0);
}

Test(fat_names, there_may_be_many)
{
	struct fat_names names = { 0 };
	char name[16];

	for (int i = 999; i >= 0; i--) {
		snprintf(name, sizeof(name), "file%d", i);
		cr_assert_eq(fat_names_add(&names, name), 0);
	}
	fat_names_fold(&names);
	cr_assert_eq(names.count, 1000);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "FILE%d", i);
		cr_assert(fat_names_find(&names, name), "%s", name);
	}
	fat_names_free(&names);
}
