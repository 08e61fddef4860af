/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names are any bytes: what becomes of them for people, in JSON and in Prometheus' labels. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/text.h"

static char *written(void (*write)(FILE *out, const char *text), const char *text)
{
	char *result = NULL;
	size_t length;
	FILE *out = open_memstream(&result, &length);

	write(out, text);
	fclose(out);
	return result;
}

#define WRITTEN(write, text, wanted)                        \
	do {                                                \
		char *got = written(write, text);           \
		cr_expect_str_eq(got, wanted, "%s", got);   \
		free(got);                                  \
	} while (0)

static const char *made_plain(const char *text)
{
	static char copy[64];

	snprintf(copy, sizeof(copy), "%s", text);
	text_make_plain(copy);
	return copy;
}

#define UNKNOWN "\xef\xbf\xbd"

Test(text, ascii_and_utf8_stay)
{
	WRITTEN(text_write_json, "jammy \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"jammy \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
	WRITTEN(text_write_plain, "jammy \xc3\xa9", "jammy \xc3\xa9");
	WRITTEN(text_write_label, "jammy \xc3\xa9", "\"jammy \xc3\xa9\"");
}

static const char *size_of(uint64_t bytes, const char *space)
{
	static char text[64];
	FILE *out = fmemopen(text, sizeof(text), "w");

	text_write_size(out, bytes, space);
	fclose(out);
	return text;
}

Test(text, sizes)
{
	cr_assert_str_eq(size_of(0, ""), "0B");
	cr_assert_str_eq(size_of(1023, " "), "1023 B");
	cr_assert_str_eq(size_of(1024, ""), "1.0KiB");
	cr_assert_str_eq(size_of(99 * 1024 + 512, ""), "99.5KiB");
	cr_assert_str_eq(size_of(UINT64_C(276) << 20, " "), "276 MiB");
	cr_assert_str_eq(size_of(UINT64_MAX, ""), "16.0EiB");
}

Test(text, what_each_form_has_to_escape)
{
	WRITTEN(text_write_json, "\"\\\n\t\x01\x7f/", "\"\\\"\\\\\\u000a\\u0009\\u0001\\u007f/\"");
	WRITTEN(text_write_label, "\"\\\n\t", "\"\\\"\\\\\\n" UNKNOWN "\"");
	WRITTEN(text_write_plain, "a\nb\x1b[2J", "a?b?[2J");
}

/* Terminals obey U+0080 to U+009F; the order of a line can be turned around; U+2028 ends one. */
Test(text, what_controls_beyond_ascii_is_shown_to_nobody)
{
	static const char *const controls[] = {
		"\xc2\x80", "\xc2\x9b", "\xc2\x9f", "\xd8\x9c", "\xe2\x80\x8e", "\xe2\x80\x8f", "\xe2\x80\xa8",
		"\xe2\x80\xa9", "\xe2\x80\xaa", "\xe2\x80\xae", "\xe2\x81\xa6", "\xe2\x81\xa9", "\x1b", "\x7f",
	};

	for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
		WRITTEN(text_write_plain, controls[i], "?");
		WRITTEN(text_write_label, controls[i], "\"" UNKNOWN "\"");
		cr_expect_str_eq(made_plain(controls[i]), "?");
	}
	WRITTEN(text_write_json, "a\xc2\x9b" "31m\xe2\x80\xae.txt", "\"a\\u009b31m\\u202e.txt\"");
	WRITTEN(text_write_plain, "a\xc2\xa0\xe2\x80\x8d\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xb0", "a\xc2\xa0\xe2\x80\x8d\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xb0");
}

Test(text, plain_in_place)
{
	cr_expect_str_eq(made_plain("jammy \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"), "jammy \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
	cr_expect_str_eq(made_plain("a\xe2\x80\xae" "b\xff" "c\n\xe2\x80"), "a?b?c???");
	cr_expect_str_eq(made_plain(""), "");
}

/* Truncated, overlong, surrogates, beyond Unicode: each byte by itself. */
Test(text, what_is_no_utf8_is_replaced)
{
	WRITTEN(text_write_json, "\xff", "\"" UNKNOWN "\"");
	WRITTEN(text_write_json, "a\xc3", "\"a" UNKNOWN "\"");
	WRITTEN(text_write_json, "\xe2\x82", "\"" UNKNOWN UNKNOWN "\"");
	WRITTEN(text_write_json, "\xf0\x9f\x98", "\"" UNKNOWN UNKNOWN UNKNOWN "\"");
	WRITTEN(text_write_json, "\xc0\x80", "\"" UNKNOWN UNKNOWN "\"");
	WRITTEN(text_write_json, "\xe0\x80\x80", "\"" UNKNOWN UNKNOWN UNKNOWN "\"");
	WRITTEN(text_write_json, "\xed\xa0\x80", "\"" UNKNOWN UNKNOWN UNKNOWN "\"");
	WRITTEN(text_write_json, "\xf4\x90\x80\x80", "\"" UNKNOWN UNKNOWN UNKNOWN UNKNOWN "\"");
	WRITTEN(text_write_json, "\x80\xc3\"", "\"" UNKNOWN UNKNOWN "\\\"\"");
	WRITTEN(text_write_plain, "\xff", "?");
}
