/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What names of SOURCE mean is remembered for as long as no name changes, and for as many as one listing has.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "fuse/names/meanings.h"

static const struct meaning image = { .file = "jammy.img", .number = 3 };

static bool finds(struct meanings *meanings, uint64_t generation, const char *name, struct meaning *found)
{
	static char buffer[MEANING_BYTES];

	return meanings_find(meanings, generation, name, found, buffer);
}

Test(fuse_meanings, a_name_is_known_under_its_generation_only)
{
	struct meanings *meanings = meanings_new();
	struct meaning found;

	meanings_keep(meanings, 5, "jammy:3", &image);
	cr_assert(finds(meanings, 5, "jammy:3", &found));
	cr_assert_str_eq(found.file, "jammy.img");
	cr_assert(!found.text && found.number == 3);
	cr_assert(!finds(meanings, 4, "jammy:3", &found));
	cr_assert(!finds(meanings, 6, "jammy:3", &found));
	cr_assert(!finds(meanings, 5, "jammy", &found));
}

Test(fuse_meanings, who_was_slower_does_not_replace_what_is_newer)
{
	struct meanings *meanings = meanings_new();
	struct meaning found;

	meanings_keep(meanings, 6, "board", &(struct meaning){ .file = "board", .text = "noble" });
	meanings_keep(meanings, 5, "board", &(struct meaning){ .file = "board", .text = "jammy" });
	cr_assert(!finds(meanings, 5, "board", &found));
	cr_assert(finds(meanings, 6, "board", &found));
	cr_assert_str_eq(found.text, "noble");
	meanings_keep(meanings, 6, "board", &(struct meaning){ .file = "board", .text = "jammy" });
	cr_assert(finds(meanings, 6, "board", &found));
	cr_assert_str_eq(found.text, "jammy");
}

/* A table in which names push each other out would know few of them at the next listing. */
Test(fuse_meanings, nearly_all_names_of_a_large_farm_are_known_at_the_next_listing)
{
	struct meanings *meanings = meanings_new();
	unsigned known = 0, count = 20000;
	struct meaning found;
	char name[32];

	for (uint64_t generation = 1; generation <= 2; generation++)
		for (unsigned i = 0; i < count; i++) {
			snprintf(name, sizeof(name), i % 2 ? "image%06u" : "%08x", i / 2);
			if (!finds(meanings, generation, name, &found))
				meanings_keep(meanings, generation, name, &image);
		}
	for (unsigned i = 0; i < count; i++) {
		snprintf(name, sizeof(name), i % 2 ? "image%06u" : "%08x", i / 2);
		known += finds(meanings, 2, name, &found);
	}
	cr_expect_geq(known, count / 100 * 90, "%u of %u", known, count);
}
