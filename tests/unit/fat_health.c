/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fat/health.c: whose cluster is it? */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "fat/health.h"
#include "fat_image.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CHAIN(image, ...) \
	fat_image_chain(image, (const uint32_t[]){ __VA_ARGS__ }, COUNT(((const uint32_t[]){ __VA_ARGS__ })))

static char last_path[64];
static unsigned told[8];

static void found(void *context, const char *path, enum fat_flaw flaw)
{
	(void)context;
	snprintf(last_path, sizeof(last_path), "%s", path);
	told[flaw]++;
}

static struct fat_health health_of(struct fat_image *image)
{
	struct fat_health health;

	memset(told, 0, sizeof(told));
	cr_assert_eq(fat_health_read(&image->volume, &image->source, found, NULL, &health), 0);
	cr_assert_eq(health.free_clusters + health.used_clusters + health.bad_clusters, image->volume.cluster_count);
	return health;
}

static struct fat_image *image_of(int type)
{
	return fat_image_new((struct fat_image_shape){ .type = type, .clusters = type == 16 ? 4085 : 100 });
}

Test(fat_health, a_sound_volume)
{
	static const int types[] = { 12, 16, 32 };

	for (size_t i = 0; i < COUNT(types); i++) {
		struct fat_image *image = image_of(types[i]);
		unsigned char *at = fat_image_entry(fat_image_root(image), "A          ", 0, 10, 1500);
		struct fat_health health;

		at = fat_image_entry(at, "EMPTY      ", 0, 0, 0);
		fat_image_entry(at, "D          ", FAT_ATTR_DIRECTORY, 20, 0);
		fat_image_entry(fat_image_dots(image, 20), "B          ", 0, 30, 512);
		CHAIN(image, 10, 12, 11);
		CHAIN(image, 20);
		CHAIN(image, 30);
		health = health_of(image);
		cr_assert_eq(health.files, 3);
		cr_assert_eq(health.directories, 1);
		cr_assert_eq(health.used_clusters, 5U + (types[i] == 32));
		cr_assert(health.lost_clusters == 0 && health.crossed_clusters == 0 && health.flaws == 0 && health.complete);
		fat_image_free(image);
	}
}

Test(fat_health, lost_chains)
{
	struct fat_image *image = image_of(12);
	struct fat_health health;

	CHAIN(image, 10, 11, 12);
	CHAIN(image, 20);
	fat_image_link(image, 30, 31); /* a loop has no beginning */
	fat_image_link(image, 31, 30);
	fat_image_link(image, 40, 0xff7);
	health = health_of(image);
	cr_assert_eq(health.lost_clusters, 6);
	cr_assert_eq(health.lost_chains, 2);
	cr_assert_eq(health.bad_clusters, 1);
	fat_image_free(image);
}

Test(fat_health, crossed_clusters_are_counted_once)
{
	struct fat_image *image = image_of(12);
	unsigned char *at = fat_image_entry(fat_image_root(image), "A          ", 0, 10, 4 * 512);
	struct fat_health health;

	at = fat_image_entry(at, "B          ", 0, 20, 4 * 512);
	fat_image_entry(at, "C          ", 0, 10, 4 * 512);
	CHAIN(image, 10, 11, 12, 13);
	fat_image_link(image, 20, 21);
	fat_image_link(image, 21, 12);
	health = health_of(image);
	cr_assert_eq(health.crossed_clusters, 4);
	cr_assert_eq(health.lost_clusters, 0);
	cr_assert_eq(told[FAT_FLAW_CROSSED], 2);
	cr_assert_str_eq(last_path, "/C");
	fat_image_free(image);
}

Test(fat_health, each_flaw_has_its_name)
{
	static const struct {
		uint32_t first, size, link;
		enum fat_flaw flaw;
	} cases[] = {
		{ 0, 10, 0xfff, FAT_FLAW_START },    { 1, 10, 0xfff, FAT_FLAW_START },	{ 2000, 10, 0xfff, FAT_FLAW_START },
		{ 10, 10, 0, FAT_FLAW_CHAIN },	     { 10, 10, 0xff7, FAT_FLAW_CHAIN }, { 10, 10, 1, FAT_FLAW_CHAIN },
		{ 10, 2000, 0xfff, FAT_FLAW_SHORT }, { 10, 0, 0xfff, FAT_FLAW_LONG },	{ 10, 10, 10, FAT_FLAW_LOOP },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fat_image *image = image_of(12);

		fat_image_entry(fat_image_root(image), "A          ", 0, cases[i].first, cases[i].size);
		fat_image_link(image, 10, cases[i].link);
		cr_assert_eq(health_of(image).flaws, cases[i].flaw != FAT_FLAW_LONG);
		cr_assert_eq(told[cases[i].flaw], 1, "case %zu", i);
		cr_assert(fat_flaw_text(cases[i].flaw)[0]);
		fat_image_free(image);
	}
}

Test(fat_health, directories_that_lead_back_are_not_followed)
{
	struct fat_image *image = image_of(12);
	unsigned char *at = fat_image_entry(fat_image_root(image), "D          ", FAT_ATTR_DIRECTORY, 20, 0);
	struct fat_health health;

	fat_image_entry(at, "E          ", FAT_ATTR_DIRECTORY, 20, 0);
	fat_image_entry(fat_image_dots(image, 20), "SELF       ", FAT_ATTR_DIRECTORY, 20, 0);
	CHAIN(image, 20);
	health = health_of(image);
	cr_assert_eq(health.directories, 3);
	cr_assert_eq(told[FAT_FLAW_CROSSED], 2);
	cr_assert_str_eq(last_path, "/D/SELF");
	fat_image_free(image);
}

Test(fat_health, flags_of_fat_1)
{
	static const struct {
		int type;
		uint32_t value;
		bool dirty, errors;
	} cases[] = {
		{ 12, 0x3ff, false, false },	       { 16, 0xffff, false, false },	   { 16, 0x7fff, true, false },
		{ 16, 0xbfff, false, true },	       { 16, 0x3fff, true, true },	   { 32, 0x0fffffff, false, false },
		{ 32, 0x07ffffff, true, false },      { 32, 0xfbffffff, false, true },	   { 32, 0xf3ffffff, true, true },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fat_image *image = image_of(cases[i].type);
		struct fat_health health;

		fat_image_link(image, 1, cases[i].value);
		health = health_of(image);
		cr_expect_eq(health.dirty, cases[i].dirty, "%zu", i);
		cr_expect_eq(health.errors, cases[i].errors, "%zu", i);
		fat_image_free(image);
	}
}
