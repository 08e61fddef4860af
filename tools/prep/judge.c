/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/judge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fat/health.h"
#include "tools/prep/run.h"

/* fatgen103: mtools goes by this number, Linux and we by where the length of the FAT stands. */
#define FAT32_CLUSTERS_MIN 65525

/* ---- our reader ----------------------------------------------------------- */

static void first_flaw(void *context, const char *path, enum fat_flaw flaw)
{
	char **text = context;

	if (!*text && flaw != FAT_FLAW_LONG && asprintf(text, "%s: %s", path, fat_flaw_text(flaw)) < 0)
		*text = NULL;
}

/* *found: what is wrong, for the caller to free; NULL: nothing. */
static int read_health(const struct copy *copy, const struct fat_volume *volume, char **found)
{
	struct file_source file = copy->file;
	struct fat_health health;
	int error = fat_health_read(volume, &file.source, first_flaw, found, &health);

	if (error != 0)
		return error;
	if (!*found && health.crossed_clusters > 0)
		*found = strdup("clusters belong to more than one file");
	if (!*found && health.lost_clusters > 0)
		*found = strdup("clusters are in use and belong to no file");
	return 0;
}

/* ---- fsck.fat ------------------------------------------------------------- */

/* Lines of fsck.fat (dosfstools 4.2 and 3.0.28) that name no damage, or what follows from the dirty flag. */
static bool is_harmless(const char *line)
{
	static const char *const starts[] = {
		"fsck.fat ",
		"Dirty bit is set",
		" Automatically removing dirty bit",
		"Free cluster summary ",
		"  Auto-correcting",
		"There are differences between boot sector and its backup",
		"This is mostly harmless",
		"  Not automatically fixing this",
		"Leaving filesystem unchanged",
		"/proc/self/fd/",
		"Automatically removing dirty bit",
		"  Auto-setting",
	};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (strncmp(line, starts[i], strlen(starts[i])) == 0)
			return true;
	line += strspn(line, " ");
	return line[strspn(line, "0123456789abcdefABCDEF:/, ")] == '\0'; /* the differing bytes, or empty */
}

/* The first line that is not, with the one after it; for the caller to free. NULL: there is none. */
static char *first_damage(const char *said)
{
	CLEANUP_FREE char *copy = strdup(said);
	char *rest = copy, *found = NULL;

	for (const char *line; copy && (line = strsep(&rest, "\n"));) {
		if (is_harmless(line))
			continue;
		if (asprintf(&found, "%s", line + strspn(line, " ")) < 0)
			found = NULL;
		break;
	}
	return found;
}

static int run_fsck(const struct copy *copy, const char *option, int *status, char **said)
{
	const char *const arguments[] = { "fsck.fat", option, copy->path, NULL };

	return run_program(arguments, "dosfstools", RUN_NOTHING, RUN_WITH_ERRORS, status, said);
}

/* *found as above. */
static int ask_fsck(const struct copy *copy, char **found, bool mend)
{
	CLEANUP_FREE char *said = NULL;
	int status, error = run_fsck(copy, "-n", &status, &said);

	if (error != -EIO) {
		if (error != 0)
			*found = STEAL_POINTER(said);
		return error;
	}
	*found = first_damage(said ? said : "fsck.fat fails");
	if (*found || !mend)
		return 0;
	free(STEAL_POINTER(said));
	run_fsck(copy, "-a", &status, &said); /* exit status 1: it has mended something */
	free(STEAL_POINTER(said));
	error = run_fsck(copy, "-n", &status, &said);
	if (error == -EIO)
		*found = strdup(said ? said : "fsck.fat fails");
	return error == -EIO ? 0 : error;
}

/* ---- judgement ------------------------------------------------------------ */

int judge_before(const struct copy *copy, const struct fat_volume *volume, char **problem)
{
	int error;

	*problem = NULL;
	if (volume->type == FAT_TYPE_32 && volume->cluster_count < FAT32_CLUSTERS_MIN) {
		if (asprintf(problem, "a FAT32 of %u clusters: mtools writes to those of %u and more only",
			     volume->cluster_count, FAT32_CLUSTERS_MIN) < 0)
			*problem = NULL;
		return -EOPNOTSUPP;
	}
	error = read_health(copy, volume, problem);
	if (error == 0 && !*problem)
		error = ask_fsck(copy, problem, true);
	return error == 0 && *problem ? -EUCLEAN : error;
}

int judge_after(const struct copy *copy, const struct fat_volume *volume, char **problem)
{
	struct file_source file = copy->file;
	struct fat_volume now;
	int error = fat_volume_read(&file.source, &now);

	*problem = NULL;
	if (error == 0 && !fat_volume_equal(volume, &now))
		*problem = strdup("it became another volume");
	if (error == 0 && !*problem)
		error = read_health(copy, volume, problem);
	if (error == 0 && !*problem)
		error = ask_fsck(copy, problem, false);
	return error == 0 && *problem ? -EIO : error;
}
