/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tools/prep/config.c: a setting of config.txt, in its section; every other byte stays, and twice is once. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/prep/config.h"

#define COUNT(cases) (sizeof(cases) / sizeof((cases)[0]))

static char *copy_of(const char *text, size_t length)
{
	char *copy = malloc(length + 1);

	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

/* The option's form, done twice. */
static void check_set(size_t number, const char *before, const char *line, const char *after)
{
	size_t length = strlen(before);
	char *text = copy_of(before, length);

	for (int twice = 0; twice < 2; twice++) {
		cr_assert_eq(config_set_line(&text, &length, line), 0, "case %zu", number);
		cr_assert_eq(length, strlen(after), "case %zu, time %d:\n%s", number, twice, text);
		cr_assert_str_eq(text, after, "case %zu, time %d:\n%s", number, twice, text);
	}
	free(text);
}

Test(prep_config, set)
{
	static const struct {
		const char *before, *line, *after;
	} cases[] = {
		{ "", "a=1", "a=1\n" },
		{ "a=0\n", "a=1", "a=1\n" },
		{ "a=0", "a=1", "a=1" },
		{ "b=0", "a=1", "b=0\na=1\n" },
		{ "# note\n\n", "a=1", "# note\na=1\n\n" },
		{ "# note\nb=1\n# of what follows\n", "a=1", "# note\nb=1\na=1\n# of what follows\n" },
		{ "#a=0\nb=1\n", "a=1", "#a=0\nb=1\na=1\n" },
		{ "b=1\r\n", "a=1", "b=1\r\na=1\r\n" },
		{ "a=0\r\nb=1\r\n", "a=1", "a=1\r\nb=1\r\n" },
		{ "b=1\r\nc=2", "a=1", "b=1\r\nc=2\r\na=1\r\n" },
		{ "a=0\na=5\n", "a=1", "a=0\na=1\n" },
		{ "  A = 0\n", "a=1", "a=1\n" },
		{ "a 0\n", "a=1", "a=1\n" },
		{ "A = 1\n", "a=1", "A = 1\n" },
		{ "ab=1\n", "a=1", "ab=1\na=1\n" },
		{ "a=0\n", "a=", "a=\n" },
		{ "a=0\n", " a = 1 2 ", "a=1 2\n" },
		/* Sections. */
		{ "a=0\n[pi4]\na=2\n", "a=1", "a=1\n[pi4]\na=2\n" },
		{ "a=0\n[pi4]\na=2\n", "a=1 [all]", "a=1\n[pi4]\na=2\n" },
		{ "a=0\n[pi4]\na=2\n", "a=1 [pi4]", "a=0\n[pi4]\na=1\n" },
		{ "a=0\n[pi4]\na=2\n", "[PI4] a=1", "a=0\n[pi4]\na=1\n" },
		{ "a=0\n[ Pi4 ] later\na=2\n", "[pi4]a=1", "a=0\n[ Pi4 ] later\na=1\n" },
		{ "a=0\n[pi4]\na=2\n", "b=1", "a=0\nb=1\n[pi4]\na=2\n" },
		{ "[pi4]\na=2\n", "b=1", "b=1\n[pi4]\na=2\n" },
		{ "[pi4]\na=2\n\n[all]\n", "b=1", "[pi4]\na=2\n\n[all]\nb=1\n" },
		{ "[pi4]\na=2\n\n[all]", "b=1", "[pi4]\na=2\n\n[all]\nb=1\n" },
		{ "[pi4]\na=2\n[all]\n[pi4]\nc=3\n\n# x\n", "b=1 [pi4]", "[pi4]\na=2\n[all]\n[pi4]\nc=3\nb=1\n\n# x\n" },
		{ "a=0\n", "b=1 [pi5]", "a=0\n[pi5]\nb=1\n[all]\n" },
		{ "a=0", "b=1 [pi5]", "a=0\n[pi5]\nb=1\n[all]\n" },
		{ "a=0\r\n", "b=1 [pi5]", "a=0\r\n[pi5]\r\nb=1\r\n[all]\r\n" },
		{ "[gpio4=1]\na=0\n", "b=1 [pi5]", "[gpio4=1]\na=0\n[all]\n[pi5]\nb=1\n[all]\n" },
		{ "", "b=1 [pi5]", "[pi5]\nb=1\n[all]\n" },
		/* Under two filters it is neither's; of one kind the later one counts. */
		{ "[pi4]\n[gpio4=1]\na=0\n", "a=1 [pi4]", "[pi4]\na=1\n[gpio4=1]\na=0\n" },
		{ "[gpio4=1]\n[pi4]\na=0\n[all]\n", "a=1 [pi4]", "[gpio4=1]\n[pi4]\na=0\n[all]\n[pi4]\na=1\n[all]\n" },
		{ "[pi4]\n[pi5]\na=0\n", "a=1 [pi5]", "[pi4]\n[pi5]\na=1\n" },
		{ "[0x1]\n[0x2]\na=0\n", "a=1 [0x2]", "[0x1]\n[0x2]\na=1\n" },
		{ "[none]\n[cm4]\na=0\n", "a=1 [cm4]", "[none]\n[cm4]\na=1\n" },
		/* What may be given several times. */
		{ "dtoverlay=a\n", "dtoverlay=b", "dtoverlay=a\ndtoverlay=b\n" },
		{ "dtoverlay=a\ndtoverlay=b\n", "dtoverlay=a", "dtoverlay=a\ndtoverlay=b\n" },
		{ "dtoverlay=vc4-kms-v3d\n", "dtoverlay=vc4-kms-v3d,cma-256", "dtoverlay=vc4-kms-v3d\ndtoverlay=vc4-kms-v3d,cma-256\n" },
		{ "gpio=1=op\n", "gpio=2=ip", "gpio=1=op\ngpio=2=ip\n" },
		{ "include a.txt\n", "include b.txt", "include a.txt\ninclude b.txt\n" },
		{ "include a.txt\n", "include=a.txt", "include a.txt\n" },
		{ "dtparam=audio=on\nx=1\n", "dtparam=audio=off", "dtparam=audio=off\nx=1\n" },
		{ "dtparam=audio=on\n", "dtparam=spi=on", "dtparam=audio=on\ndtparam=spi=on\n" },
		{ "dtparam=audio=on,spi=on\n", "dtparam=spi=off", "dtparam=audio=on,spi=on\ndtparam=spi=off\n" },
		/* Behind an overlay it would be that overlay's. */
		{ "a=1\ndtoverlay=x\nb=1\n", "dtparam=spi=on", "a=1\ndtparam=spi=on\ndtoverlay=x\nb=1\n" },
		{ "dtoverlay=x\ndtparam=pin=4\n", "dtparam=pin=5", "dtparam=pin=5\ndtoverlay=x\ndtparam=pin=4\n" },
		/* The firmware wants no '=' there. */
		{ "", "initramfs initrd.img followkernel", "initramfs initrd.img followkernel\n" },
		{ "initramfs old followkernel\n", "initramfs=initrd.img followkernel", "initramfs initrd.img followkernel\n" },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		check_set(i, cases[i].before, cases[i].line, cases[i].after);
}

Test(prep_config, unset)
{
	static const struct {
		const char *before, *section, *key, *value, *after;
	} cases[] = {
		{ "a=1\n", NULL, "a", NULL, "" },
		{ "a=1", NULL, "a", NULL, "" },
		{ "b=1\na=1", NULL, "a", NULL, "b=1\n" },
		{ "a=1\r\nb=1\r\na=2\r\n#a=3\r\n", "", "A", NULL, "b=1\r\n#a=3\r\n" },
		{ "a=1\n[pi4]\na=2\n", "all", "a", NULL, "[pi4]\na=2\n" },
		{ "a=1\n[pi4]\na=2\n", "pi4", "a", NULL, "a=1\n[pi4]\n" },
		{ "a=1\n", "pi4", "a", NULL, "a=1\n" },
		{ "dtoverlay=x\ndtoverlay=y\n", NULL, "dtoverlay", "x", "dtoverlay=y\n" },
		{ "", NULL, "a", NULL, "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].before);
		char *text = copy_of(cases[i].before, length);

		for (int twice = 0; twice < 2; twice++) {
			cr_assert_eq(config_unset(&text, &length, cases[i].section, cases[i].key, cases[i].value), 0);
			cr_assert_str_eq(text, cases[i].after, "case %zu", i);
			cr_assert_eq(length, strlen(cases[i].after), "case %zu", i);
		}
		free(text);
	}
}

Test(prep_config, no_file_is_an_empty_text)
{
	char *text = NULL;
	size_t length = 0;

	cr_assert_eq(config_set(&text, &length, NULL, "a", "1"), 0);
	cr_assert_str_eq(text, "a=1\n");
	free(text);
}

/* Bytes that are no text, lines that the firmware cuts, a NUL: they stay, and are not understood for more than they are. */
Test(prep_config, hostile_bytes_stay)
{
	static const char before[] = "\xff\xfe=\x01\n=\n[\n]\n[all]\n\0a=5\na=0\0 junk\n";
	static const char after[] = "\xff\xfe=\x01\n=\n[\n]\n[all]\n\0a=5\na=1\n";
	size_t length = sizeof(before) - 1;
	char *text = copy_of(before, length);

	cr_assert_eq(config_set(&text, &length, NULL, "a", "1"), 0);
	cr_assert_eq(length, sizeof(after) - 1);
	cr_assert_arr_eq(text, after, length);
	free(text);
}

/* Every text of a few bytes that mean something: the result reads back, is the same twice, and nothing is lost. */
Test(prep_config, any_text_is_survived)
{
	static const char alphabet[] = "\n\r[]a=#\0p";
	const size_t letters = sizeof(alphabet) - 1;

	for (unsigned number = 0; number < 9 * 9 * 9 * 9 * 9; number++) {
		char before[5], *text, *once;
		size_t length = sizeof(before), first;
		unsigned rest = number;

		for (size_t i = 0; i < sizeof(before); i++, rest /= (unsigned)letters)
			before[i] = alphabet[rest % letters];
		text = copy_of(before, length);
		cr_assert_eq(config_set(&text, &length, "pi4", "a", "1"), 0);
		first = length;
		once = copy_of(text, length);
		cr_assert_eq(config_set(&text, &length, "pi4", "a", "1"), 0);
		cr_assert(length == first && memcmp(text, once, length) == 0, "text %u", number);
		cr_assert_geq(length, sizeof(before));
		cr_assert_arr_eq(text, before, sizeof(before));
		free(text);
		free(once);
	}
}

Test(prep_config, a_line_is_98_characters)
{
	char value[128], line[128], *text = NULL;
	size_t length = 0;

	memset(value, 'v', sizeof(value));
	value[CONFIG_LINE_BYTES - 2] = '\0';
	cr_assert_eq(config_set(&text, &length, NULL, "a", value), 0);
	cr_assert_eq(config_set(&text, &length, NULL, "a", value), 0);
	cr_assert_eq(length, CONFIG_LINE_BYTES + 1);
	value[CONFIG_LINE_BYTES - 2] = 'v';
	value[CONFIG_LINE_BYTES - 1] = '\0';
	cr_assert_eq(config_set(&text, &length, NULL, "a", value), -E2BIG);
	cr_assert_eq(length, CONFIG_LINE_BYTES + 1);
	free(text);
	/* What is behind them in a line that is there is not read. */
	snprintf(line, sizeof(line), "%97s a=5\n", "b=1");
	text = copy_of(line, strlen(line));
	length = strlen(line);
	cr_assert_eq(config_set(&text, &length, NULL, "b", "1"), 0);
	cr_assert_str_eq(text, line);
	free(text);
}

Test(prep_config, what_cannot_be_written_is_refused)
{
	static const char *const lines[] = { "", "a", "=1", "[pi4]", "[pi4 a=1", "a=1\nb=2", "#a=1", "a=1 [pi4\n]", "a=\x01" };
	static const struct {
		const char *section, *key, *value;
	} cases[] = {
		{ "pi4]\n[all", "a", "1" }, { " pi4", "a", "1" }, { NULL, "", "1" },   { NULL, "a b", "1" },
		{ NULL, "[a", "1" },	    { NULL, "a", "1\n" }, { NULL, "a", " 1" }, { NULL, "a", "1 " },
		{ NULL, "a", "=1" },	    { NULL, "a", NULL },
	};
	size_t length = 4;
	char *text = copy_of("a=0\n", length);

	for (size_t i = 0; i < COUNT(lines); i++)
		cr_assert_eq(config_set_line(&text, &length, lines[i]), -EINVAL, "line %zu", i);
	for (size_t i = 0; i < COUNT(cases); i++)
		cr_assert_eq(config_set(&text, &length, cases[i].section, cases[i].key, cases[i].value), -EINVAL, "case %zu", i);
	cr_assert_str_eq(text, "a=0\n");
	free(text);
}
