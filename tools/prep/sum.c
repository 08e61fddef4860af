/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/sum.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define DIGITS ((size_t)2 * SHA256_DIGEST_SIZE)

static bool take_sum(const char *text, char sum[SUM_HEX_BYTES])
{
	if (strspn(text, "0123456789abcdefABCDEF") != DIGITS)
		return false;
	for (size_t i = 0; i < DIGITS; i++)
		sum[i] = (char)tolower((unsigned char)text[i]);
	sum[DIGITS] = '\0';
	return true;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* A line "SUM  NAME", "SUM *NAME", "SUM" or "SHA256 (NAME) = SUM", cut at its end. *name: "" if there is
 * none. */
static bool read_line(char *line, char sum[SUM_HEX_BYTES], const char **name)
{
	char *close;

	if (take_sum(line, sum)) {
		*name = line + DIGITS;
		*name += strspn(*name, " *");
		return true;
	}
	if (strncmp(line, "SHA256 (", 8) != 0 || !(close = strstr(line, ") = ")))
		return false;
	*close = '\0';
	*name = line + 8;
	return take_sum(close + 4, sum);
}

int sum_wanted(const char *given, const char *name, char wanted[SUM_HEX_BYTES], struct problem *problem)
{
	CLEANUP_FREE char *line = NULL;
	size_t room = 0, count = 0;
	char sum[SUM_HEX_BYTES];
	bool found = false;
	FILE *file;

	if (strlen(given) == DIGITS && take_sum(given, wanted))
		return 0;
	file = fopen(given, "re");
	if (!file)
		return problem_set(problem, -errno,
				   "%s: is no SHA-256 (64 hexadecimal digits), and as a file: %s", given,
				   strerror(errno));
	while (!found && getline(&line, &room, file) > 0) {
		const char *of;

		line[strcspn(line, "\r\n")] = '\0';
		if (!read_line(line, sum, &of))
			continue;
		count++;
		memcpy(wanted, sum, sizeof(sum));
		found = strcmp(last_part(of), last_part(name)) == 0;
		if (!found && *of)
			count += 2; /* of something else: this sum alone does not count */
	}
	fclose(file);
	if (found || count == 1)
		return 0;
	return problem_set(problem, -EINVAL, "%s: has no SHA-256 of %s", given, last_part(name));
}

int sum_compare(struct sha256_ctx *sum, const char *wanted, struct problem *problem)
{
	unsigned char digest[SHA256_DIGEST_SIZE];
	char hex[SUM_HEX_BYTES];

	sha256_digest(sum, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	if (strcmp(hex, wanted) == 0)
		return 0;
	return problem_set(problem, -EBADMSG, "its SHA-256 is %s, and should be %s", hex, wanted);
}
