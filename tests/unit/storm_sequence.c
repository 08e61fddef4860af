/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What boards ask for: the models that are built in can be read, and what is no step is named by its line. */
#include "tools/storm/sequence.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int read_text(struct sequence *sequence, const char *text, size_t *line)
{
	*sequence = (struct sequence){ 0 };
	return sequence_read(sequence, text, NULL, line);
}

Test(storm_sequence, models_are_built_in)
{
	static const char *const models[] = { "3", "4", "5" };
	struct sequence sequence;
	size_t line;

	for (size_t i = 0; i < 3; i++) {
		bool kernel = false, prefix = false;

		cr_assert_eq(read_text(&sequence, sequence_of_model(models[i]), &line), 0, "Pi %s, line %zu",
			     models[i], line);
		for (size_t j = 0; j < sequence.count; j++) {
			kernel |= sequence.steps[j].kind == STEP_FILE &&
				  strncmp(sequence.steps[j].name, "kernel", 6) == 0;
			prefix |= sequence.steps[j].kind == STEP_PREFIX;
		}
		cr_assert(kernel && prefix, "Pi %s", models[i]);
		sequence_free(&sequence);
	}
	cr_assert_null(sequence_of_model("2"));
	cr_assert_null(sequence_of_model(""));
}

Test(storm_sequence, a_prefix_is_a_question_with_several_names)
{
	struct sequence sequence;
	size_t line;

	cr_assert_eq(read_text(&sequence,
			       "# a comment\n\n prefix start4.elf start.elf # or\nfile\tconfig.txt\r\n",
			       &line),
		     0);
	cr_assert_eq(sequence.count, 3);
	cr_assert_eq(sequence.steps[0].names, 2);
	cr_assert_eq(sequence.steps[1].names, 1);
	cr_assert_str_eq(sequence.steps[1].name, "start.elf");
	cr_assert_eq(sequence.steps[2].kind, STEP_FILE);
	cr_assert_str_eq(sequence.steps[2].name, "config.txt");
	sequence_free(&sequence);
}

Test(storm_sequence, what_is_no_step_is_named)
{
	static const char *const bad[] = { "file",	 "prefix",    "file a b",  "boot a", "blksize 7",
					   "blksize 9x", "slashes 0", "slashes 9", "blksize" };
	struct sequence sequence;
	size_t line;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[64];

		snprintf(text, sizeof(text), "file a\n\n%s\nfile b\n", bad[i]);
		cr_assert_eq(read_text(&sequence, text, &line), -EINVAL, "%s", bad[i]);
		cr_assert_eq(line, 3, "%s", bad[i]);
		sequence_free(&sequence);
	}
}
