/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "part/autoboot.h"

#include <stdbool.h>
#include <string.h>

#include "base/checked.h"
#include "base/text.h"

/* Larger than any partition's number; a number that is larger still is none either. */
#define NUMBER_MAX 100000

/* What counts at the line that is being read. [all] ends both. */
struct filters {
	bool others;  /* [none], or one that we do not know: for nobody here */
	bool tryboot; /* only when the tryboot flag is set */
};

static void set_filter(struct filters *filters, const char *name)
{
	if (strcmp(name, "all") == 0)
		*filters = (struct filters){ 0 };
	else if (strcmp(name, "tryboot") == 0)
		filters->tryboot = true;
	else
		filters->others = true;
}

/* Digits, as far as there are any: bounded by the text. */
static unsigned number_of(const char *text)
{
	unsigned number = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		if (number < NUMBER_MAX)
			number = number * 10 + (unsigned)(*text - '0');
	return number;
}

static void take_line(char *line, struct filters *filters, struct autoboot *autoboot)
{
	char *name = text_trim(line), *value;

	if (*name == '[') {
		name[strcspn(name, "]")] = '\0';
		set_filter(filters, text_trim(name + 1));
		return;
	}
	value = strchr(name, '=');
	if (!value || filters->others)
		return;
	*value++ = '\0';
	if (strcmp(text_trim(name), "boot_partition") != 0)
		return;
	autoboot->tryboot = number_of(text_trim(value));
	if (!filters->tryboot)
		autoboot->partition = autoboot->tryboot;
}

struct autoboot autoboot_read(const char *text, size_t length)
{
	char copy[AUTOBOOT_BYTES_MAX + 1], *rest = copy;
	struct filters filters = { 0 };
	struct autoboot autoboot = { 0 };

	length = min_u64(length, AUTOBOOT_BYTES_MAX);
	for (size_t i = 0; i < length; i++)
		copy[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
	copy[length] = '\0'; /* and where there is a NUL the text ends, too */
	/* Bounded by AUTOBOOT_BYTES_MAX: each turn takes a line. */
	for (char *line; (line = strsep(&rest, "\n"));)
		take_line(line, &filters, &autoboot);
	if (autoboot.tryboot == autoboot.partition)
		autoboot.tryboot = 0;
	return autoboot;
}
