/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any words as imagefs's command line: the input, parted by NUL bytes. What mount(8)
 * passes is what stands in fstab, and on a machine with the option `user` that is not
 * all that a user may add.
 *
 * Whatever is run has been checked: all values are in their ranges, and nothing goes on
 * to libfuse but what is known here.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/waits.h"
#include "fuse/process/options.h"
#include "tests/fuzz/promise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 32

/* One option of those that are passed on; \ is before a comma that belongs to it. */
static const char *check_passed(const char *at)
{
	static const char *const known[] = { "allow_other", "allow_root", "default_permissions", "noexec", "context=" };
	size_t length = 0, i = 0;

	while (at[length] && at[length] != ',')
		length += at[length] == '\\' && at[length + 1] ? 2 : 1;
	while (i < sizeof(known) / sizeof(*known) &&
	       (strncmp(at, known[i], strlen(known[i])) != 0 || (length != strlen(known[i]) && !strchr(known[i], '='))))
		i++;
	promise(i < sizeof(known) / sizeof(*known));
	return at + length + (at[length] == ',');
}

static void check(const struct options *options)
{
	promise(options->source && options->mountpoint);
	promise(options->umask <= 0777 && options->fmask <= 0777 && options->dmask <= 0777);
	promise(abs(options->time_offset_minutes) <= 1440);
	promise(options->partition <= 1024 && options->settle_ms <= WAIT_REQUEST_NS / WAIT_MS);
	promise(options->changes <= CHANGES_NONE && !(options->control && options->control_off));
	promise(options->debug == 0 || options->foreground);
	promise(!options->control_group_given || options->control_group != (gid_t)-1);
	promise(options->uid != (uid_t)-1 && options->gid != (gid_t)-1);
	for (int i = 1; i < options->fuse.argc; i += 2) {
		promise(strcmp(options->fuse.argv[i], "-o") == 0 && i + 1 < options->fuse.argc);
		for (const char *at = options->fuse.argv[i + 1]; *at;)
			at = check_passed(at);
	}
}

/* What it says is for people. */
static void silence(void)
{
	static FILE *nowhere;

	if (nowhere)
		return;
	nowhere = fopen("/dev/null", "w");
	promise(nowhere);
	stdout = stderr = nowhere;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *words = malloc(size + 1), *arguments[WORDS_MAX + 1];
	struct options options;
	int count = 0;

	silence();
	promise(words);
	memcpy(words, data, size);
	words[size] = '\0';
	for (size_t at = 0; at <= size && count < WORDS_MAX; at += strlen(words + at) + 1)
		arguments[count++] = words + at;
	arguments[count] = NULL;
	if (options_parse(count, arguments, &options) == OPTIONS_RUN)
		check(&options);
	free(options.source);
	free(options.mountpoint);
	free(options.control);
	free(options.given);
	fuse_opt_free_args(&options.fuse);
	free(words);
	return 0;
}
