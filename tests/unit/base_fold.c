/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* base/fold.h: lines no longer than a terminal is wide. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/fold.h"

static char *folded(const char *text)
{
	char *result = NULL;
	size_t length;
	FILE *out = open_memstream(&result, &length);

	fold_write(out, text);
	fclose(out);
	return result;
}

#define FOLDED(text, wanted)                              \
	do {                                              \
		char *got = folded(text);                 \
		cr_expect_str_eq(got, wanted, "%s", got); \
		free(got);                                \
	} while (0)

#define TEN "123456789 "
#define E "\xc3\xa9" /* one character */
#define LONG "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

Test(fold, what_fits_stays)
{
	FOLDED("", "");
	FOLDED("\n\n", "\n\n");
	FOLDED("a  b\n", "a  b\n");
	FOLDED("trailing   \n", "trailing\n");
	FOLDED(TEN TEN TEN TEN TEN TEN TEN "1234567890\n", TEN TEN TEN TEN TEN TEN TEN "1234567890\n");
}

Test(fold, what_does_not_goes_on_below)
{
	FOLDED(TEN TEN TEN TEN TEN TEN TEN TEN "end\nnext\n",
	       TEN TEN TEN TEN TEN TEN TEN "123456789\n    end\nnext\n");
	FOLDED(TEN TEN TEN TEN TEN TEN TEN "12345678901\n", TEN TEN TEN TEN TEN TEN "123456789\n    12345678901\n");
}

Test(fold, characters_count_not_bytes)
{
	FOLDED(TEN TEN TEN TEN TEN TEN TEN E E E E E E E E E E "\n", TEN TEN TEN TEN TEN TEN TEN E E E E E E E E E E "\n");
}

Test(fold, a_long_word_stays_whole)
{
	FOLDED(LONG "\n", LONG "\n");
	FOLDED("  " LONG " and\n", "  " LONG "\n    and\n");
	FOLDED("a " LONG " " LONG " b\n", "a\n    " LONG "\n    " LONG "\n    b\n");
}
