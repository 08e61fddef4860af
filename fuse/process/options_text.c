/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/options_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Of the control files of root's mounts, by the last component of the mountpoint. */
#define CONTROL_PARENT "/run/imagefs"

static void describe_mask(FILE *out, const char *name, bool given, unsigned mask)
{
	if (given)
		fprintf(out, "%s=%03o\n", name, mask);
	else
		fprintf(out, "%s=\n", name);
}

static void describe_path(FILE *out, const char *name, const char *path)
{
	fprintf(out, "%s=", name);
	for (; *path; path++)
		fprintf(out, *path == '\n' || *path == '\\' ? "\\%03o" : "%c", (unsigned char)*path);
	fputc('\n', out);
}

char *options_control_directory(const struct options *options)
{
	const char *name = strrchr(options->mountpoint, '/');
	char *directory;

	errno = 0;
	if (options->control_off || (!options->control && (getuid() != 0 || options->fuse_fd >= 0)))
		return NULL;
	if (options->control)
		return strdup(options->control);
	return asprintf(&directory, CONTROL_PARENT "/%s", name ? name + 1 : options->mountpoint) < 0 ? NULL : directory;
}

void options_describe(const struct options *options, const char *source, char *text, size_t bytes)
{
	CLEANUP_FREE char *control = options_control_directory(options);
	FILE *out = fmemopen(text, bytes, "w");

	text[0] = '\0';
	if (!out)
		return;
	describe_path(out, "source", source);
	fprintf(out, "uid=%u\ngid=%u\n", options->uid, options->gid);
	describe_mask(out, "umask", options->umask_given, options->umask);
	describe_mask(out, "fmask", options->fmask_given, options->fmask);
	describe_mask(out, "dmask", options->dmask_given, options->dmask);
	fprintf(out, "time_offset=%d\npartition=%u\nsettle=%u\nkeep=%u\nchanges=%s\nrun_as=%u\ndebug=%u\nnbd=%s\n",
		options->time_offset_minutes, options->partition, options->settle_ms, options->keep_mib,
		options_changes_word(options), options->run_as_user, options->debug,
		options->nbd ? options->nbd : "any");
	describe_path(out, "control", options->control_off ? "none" : control ? control : "");
	if (options->control_group_given)
		fprintf(out, "control_group=%u\n", options->control_group);
	else
		fputs("control_group=\n", out);
	fclose(out);
}
