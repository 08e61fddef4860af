/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/prep/place.h"

static void reads(const char *text, const char *image, const char *path)
{
	struct place place;

	cr_assert(eq(int, place_read(text, &place), 0));
	cr_expect(eq(int, place.is_image, image != NULL), "%s", text);
	if (image)
		cr_expect(eq(str, place.image, (char *)image), "%s", text);
	cr_expect(eq(str, place.path, (char *)path), "%s", text);
	cr_expect(eq(int, place.is_stream, strcmp(text, "-") == 0), "%s", text);
	place_free(&place);
}

Test(prep_place, an_image_ends_at_its_colon)
{
	reads("jammy.img:config.txt", "jammy.img", "config.txt");
	reads("/srv/images/jammy.img:/config.txt", "/srv/images/jammy.img", "/config.txt");
	reads("../jammy.img:a/b:c", "../jammy.img", "a/b:c");
	reads("jammy:", "jammy", "");
}

Test(prep_place, a_number_is_a_partition_and_never_a_file)
{
	reads("jammy:3:config.txt", "jammy:3", "config.txt");
	reads("jammy:3", "jammy:3", "");
	reads("jammy:3:", "jammy:3", "");
	reads("jammy:/3", "jammy", "/3");
	reads("jammy:3x", "jammy", "3x");
	reads("jammy:3/x", "jammy", "3/x");
	reads("jammy:123456", "jammy", "123456"); /* no partition has such a number */
	reads("jammy::x", "jammy", ":x");
}

Test(prep_place, what_is_local)
{
	reads("config.txt", NULL, "config.txt");
	reads("./jammy.img:config.txt", NULL, "./jammy.img:config.txt");
	reads("a/b", NULL, "a/b");
	reads(":a", NULL, ":a");
	reads("-", NULL, "-");
	reads("", NULL, "");
}

Test(prep_place, a_path_with_colons_that_is_there)
{
	char directory[] = "/tmp/imagefs-place-XXXXXX", path[64], text[128];
	int fd;

	cr_assert(mkdtemp(directory) != NULL);
	snprintf(path, sizeof(path), "%s/pci-0:1f.2", directory);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	cr_assert(fd >= 0);
	close(fd);
	snprintf(text, sizeof(text), "%s:config.txt", path);
	reads(text, path, "config.txt");
	unlink(path);
	rmdir(directory);
}

Test(prep_place, a_directory_is_said_to_be_one)
{
	static const struct {
		const char *text;
		bool is_directory;
	} cases[] = { { "jammy:", true },   { "jammy:2", true }, { "jammy:a/", true },
		      { "jammy:a", false }, { "a/", true },	 { "a", false } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct place place;

		cr_assert(eq(int, place_read(cases[i].text, &place), 0));
		cr_expect(eq(int, place_is_directory(&place), cases[i].is_directory), "%s", cases[i].text);
		place_free(&place);
	}
}

Test(prep_place, the_last_name)
{
	static const char *const cases[][2] = { { "a", "a" }, { "a/b", "b" }, { "a/b//", "b" },
						{ "/", "" },  { "", "" },     { "/a", "a" } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *name = place_last_name(cases[i][0]);

		cr_expect(eq(str, name, (char *)cases[i][1]), "%s", cases[i][0]);
		free(name);
	}
}
