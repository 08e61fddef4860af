/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export_install: a plan is done: a drop-in file, then commands. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tools/prep/export.h"
#include "tools/prep/run.h"

struct install {
	const struct export_plan *plan;
	bool dry;
	void (*say)(void *context, const char *line);
	void *context;
	char **problem;
};

/* The sentence, and the error that goes with it. Takes the sentence over. */
static int fails(const struct install *install, int error, char *sentence)
{
	free(*install->problem);
	*install->problem = sentence;
	return error;
}

static char *sentence(const char *what, const char *why, const char *more)
{
	char *made;

	return asprintf(&made, "%s: %s%s", what, why, more) < 0 ? NULL : made;
}

static void say(const struct install *install, const char *verb, const char *what, const char *more)
{
	CLEANUP_FREE char *line = NULL;

	if (asprintf(&line, "%s %s%s", verb, what, more) >= 0)
		install->say(install->context, line);
}

/* ---- the file --------------------------------------------------------------- */

/* -ENOENT, -EEXIST: it says something else; 0: it says the same. */
static int compare_file(const struct export_plan *plan)
{
	size_t length = strlen(plan->text);
	CLEANUP_FREE char *there = malloc(length + 1);
	FILE *file = fopen(plan->file, "re");
	bool same;

	if (!file || !there) {
		int error = !there ? -ENOMEM : -errno;

		if (file)
			fclose(file);
		return error;
	}
	same = fread(there, 1, length + 1, file) == length && memcmp(there, plan->text, length) == 0;
	fclose(file);
	return same ? 0 : -EEXIST;
}

static int write_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, text, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		text += written;
		length -= (size_t)written;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

/* Whole or not at all: it gets its name when it is on the disk. A server reads no names that begin with a dot. */
static int write_file(const struct export_plan *plan)
{
	const char *slash = strrchr(plan->file, '/');
	CLEANUP_FREE char *temporary = NULL;
	int fd, error;

	if (asprintf(&temporary, "%.*s/.%s.XXXXXX", (int)(slash - plan->file), plan->file, slash + 1) < 0)
		return -ENOMEM;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	error = write_all(fd, plan->text, strlen(plan->text));
	if (error == 0 && fchmod(fd, 0644) != 0)
		error = -errno;
	close(fd);
	/* Unlike rename, it replaces nothing that has come meanwhile. */
	if (error == 0 && link(temporary, plan->file) != 0)
		error = -errno;
	unlink(temporary);
	return error;
}

static int install_file(const struct install *install, bool *written)
{
	const struct export_plan *plan = install->plan;
	int error = compare_file(plan);

	*written = false;
	if (error == 0) {
		say(install, "leave", plan->file, ": it says so already");
		return 0;
	}
	if (error == -ENOENT) {
		say(install, "write", plan->file, "");
		error = install->dry ? 0 : write_file(plan);
		*written = error == 0 && !install->dry;
	}
	if (error == -EEXIST)
		return fails(install, error, sentence(plan->file, "is there, and says something else; it was left as it is", ""));
	if (error == -ENOENT)
		return fails(install, error, sentence(plan->file, "its directory is not there; install the package ", plan->package));
	return error == 0 ? 0 : fails(install, error, sentence(plan->file, strerror(-error), ""));
}

/* ---- commands --------------------------------------------------------------- */

static char *joined(const struct export_step *step)
{
	char *line = NULL;
	size_t length;
	FILE *out = open_memstream(&line, &length);

	if (!out)
		return NULL;
	for (size_t i = 0; step->words[i]; i++)
		fprintf(out, "%s%s", i > 0 ? " " : "", step->words[i]);
	if (fclose(out) == 0)
		return line;
	free(line);
	return NULL;
}

static int run_step(const struct install *install, const struct export_step *step)
{
	CLEANUP_FREE char *line = joined(step), *said = NULL;
	const char *arguments[EXPORT_WORDS_MAX];
	int error;

	if (!line)
		return -ENOMEM;
	if (step->unless && access(step->unless, F_OK) == 0) {
		say(install, "leave out", line, ": that is so already");
		return 0;
	}
	say(install, "run", line, "");
	if (install->dry)
		return 0;
	for (size_t i = 0; i < EXPORT_WORDS_MAX; i++)
		arguments[i] = step->words[i];
	error = run_program(arguments, install->plan->package, RUN_NOTHING, RUN_WITH_ERRORS, NULL, &said);
	return error == 0 ? 0 : fails(install, error, sentence(line, said ? said : strerror(-error), ""));
}

/* ---- all of it -------------------------------------------------------------- */

int export_install(const struct export_plan *plan, bool dry, void (*say_line)(void *context, const char *line), void *context,
		   char **problem)
{
	struct install install = { plan, dry, say_line, context, problem };
	bool written = false;
	int error = 0;

	*problem = NULL;
	if (plan->file)
		error = install_file(&install, &written);
	for (size_t i = 0; i < plan->step_count && error == 0; i++)
		error = run_step(&install, &plan->steps[i]);
	if (error != 0 && written) {
		say(&install, "remove", plan->file, "");
		unlink(plan->file);
	}
	return error;
}
