/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pi/config.c: which setting counts for which board. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pi/pi.h"

static const struct file {
	const char *name, *text;
} *given;

static char *read_given(void *context, const char *name, size_t *length)
{
	(void)context;
	for (const struct file *file = given; file->name; file++) {
		if (strcmp(file->name, name) == 0) {
			*length = strlen(file->text);
			return strdup(file->text);
		}
	}
	return NULL;
}

static struct pi_config parse_files(const struct file *files)
{
	struct pi_config config;

	given = files;
	cr_assert_eq(pi_config_read(&config, "config.txt", read_given, NULL), 0);
	return config;
}

#define parse(text) parse_files((const struct file[]){ { "config.txt", text }, { NULL } })

static void counts(const struct pi_config *config, enum pi_model model, const char *name, const char *value)
{
	const struct pi_setting *setting = pi_config_find(config, model, name);

	if (value)
		cr_assert(setting && strcmp(setting->value, value) == 0, "%s of %s: %s, want %s", name,
			  pi_model_name(model), setting ? setting->value : "none", value);
	else
		cr_assert_null(setting);
}

Test(pi_config, the_last_one_counts_and_space_around_it_does_not)
{
	struct pi_config config = parse("kernel=a\r\n  Kernel = b.img \t\r\n# kernel=c\n#\n\ninitramfs x,y followkernel\ncmdline z\n");

	counts(&config, PI_4, "kernel", "b.img");
	counts(&config, PI_4, "initramfs", "x,y followkernel");
	counts(&config, PI_4, "cmdline", "z");
	cr_assert_eq(pi_config_find(&config, PI_4, "kernel")->line, 2);
	pi_config_free(&config);
}

Test(pi_config, a_model_filter_counts_until_the_next)
{
	struct pi_config config = parse("[PI3]\nkernel=three\n[pi4]\nkernel=four\n[none]\nkernel=never\n[pi1]\nkernel=one\n"
					"[pi5]\nkernel=five\n[all]\nos_prefix=p/\n");

	counts(&config, PI_3, "kernel", "three");
	counts(&config, PI_4, "kernel", "four");
	counts(&config, PI_5, "kernel", "five");
	counts(&config, PI_3, "os_prefix", "p/");
	counts(&config, PI_5, "os_prefix", "p/");
	pi_config_free(&config);
}

Test(pi_config, what_may_not_hold_is_conditional)
{
	static const char *const filters[] = { "[0x89025d75]", "[gpio4=1]", "[tryboot]", "[EDID=A-B]", "[cm4]", "[pi400]", "[what]" };

	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		char text[128];
		struct pi_config config;

		snprintf(text, sizeof(text), "kernel=a\n%s\nkernel=b\n[all]\nx=1\n", filters[i]);
		config = parse(text);
		counts(&config, PI_4, "kernel", "a");
		counts(&config, PI_4, "x", "1");
		cr_assert(config.settings[1].conditional, "%s", filters[i]);
		pi_config_free(&config);
	}
}

Test(pi_config, filters_of_different_kinds_count_together)
{
	struct pi_config config = parse("[pi3]\n[0x1]\nkernel=a\n[pi4]\nkernel=b\n");

	cr_assert(config.settings[0].conditional && config.settings[0].models == 1U << PI_3);
	cr_assert(config.settings[1].conditional && config.settings[1].models == 1U << PI_4);
	pi_config_free(&config);
}

Test(pi_config, an_included_file_stands_in_place_of_its_line)
{
	struct pi_config config = parse_files((const struct file[]){
		{ "config.txt", "kernel=a\ninclude more.txt\ninclude gone.txt\n[none]\ninclude never.txt\n" },
		{ "more.txt", "kernel=b\n[pi3]\n" },
		{ NULL },
	});

	counts(&config, PI_4, "kernel", "b");
	cr_assert_eq(config.file_count, 3);
	cr_assert_eq(config.settings[1].file, 1);
	cr_assert(!config.absent[0] && !config.absent[1] && config.absent[2]);
	pi_config_free(&config);
}

Test(pi_config, a_file_that_includes_itself_ends)
{
	struct pi_config config = parse("include config.txt\ninclude config.txt\n");

	cr_assert_eq(config.file_count, PI_CONFIG_FILES_MAX);
	cr_assert(config.cut);
	pi_config_free(&config);
}

Test(pi_config, a_line_ends_where_the_firmware_ends_it)
{
	char text[300] = "kernel=";
	struct pi_config config;

	memset(text + 7, 'x', 200);
	config = parse(text);
	cr_assert_eq(strlen(pi_config_find(&config, PI_3, "kernel")->value), PI_CONFIG_LINE_BYTES - 7);
	cr_assert_eq(config.long_lines, 1);
	pi_config_free(&config);
	text[0] = '#';
	config = parse(text);
	cr_assert_eq(config.long_lines, 0);
	pi_config_free(&config);
}

Test(pi_config, none_is_no_error)
{
	struct pi_config config = parse_files((const struct file[]){ { NULL } });

	cr_assert(config.absent[0] && config.count == 0);
	pi_config_free(&config);
	config = parse("");
	cr_assert(!config.absent[0] && config.count == 0);
	pi_config_free(&config);
}
