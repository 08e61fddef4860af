/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a running imagefs says and is told, through its control files
 * (imagefs-control(7)): all of it can be had with cat and echo; this finds the
 * directory, and says what is wrong.
 */
#include "tools/ctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "base/text.h"
#include "tools/ctl_json.h"

#define MOUNTS_SHOWN CONTROL_SOURCES_MAX

/* ---- the control directory ------------------------------------------------ */

struct mounts {
	size_t count;
	char *control[MOUNTS_SHOWN]; /* where the control files are */
	char *shown[MOUNTS_SHOWN];   /* of which mount */
};

/* Anybody may call a mount of his so: those of root count, and the caller's own. */
static bool find_mounts(struct mounts *mounts)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	struct mountinfo mount;
	size_t size = 0;

	mounts->count = 0;
	if (!file)
		return false;
	while (mounts->count < MOUNTS_SHOWN && getline(&line, &size, file) > 0) {
		int seen;

		if (!mountinfo_parse(line, &mount) || strcmp(mount.type, "fuse.imagefs-control") != 0 ||
		    (mount.user != 0 && mount.user != getuid()))
			continue;
		seen = mountinfo_id_at(mount.point);
		if (seen != MOUNTINFO_UNKNOWN && seen != mount.id)
			continue; /* hidden below another */
		mounts->control[mounts->count] = strdup(mount.point);
		mounts->shown[mounts->count++] =
			strdup(strchr(mount.source, ':') ? strchr(mount.source, ':') + 1 : mount.source);
	}
	fclose(file);
	return true;
}

static void name_mounts(const struct mounts *mounts)
{
	fprintf(stderr, "imagefsctl: which one? --control DIR is one of");
	for (size_t i = 0; i < mounts->count; i++) {
		fputs(i > 0 ? ", " : " ", stderr);
		text_write_plain(stderr, mounts->control[i]);
		fputs(" (", stderr);
		text_write_plain(stderr, mounts->shown[i]);
		fputc(')', stderr);
	}
	fputc('\n', stderr);
}

/* The only control directory there is; else NULL, and it was said why. */
char *control_find(void)
{
	struct mounts mounts;
	char *control = NULL;

	if (!find_mounts(&mounts))
		ctl_fail("/proc/self/mountinfo", strerror(errno));
	else if (mounts.count == 0)
		fprintf(stderr, "imagefsctl: no imagefs with control files is mounted here\n");
	else if (mounts.count == 1)
		control = STEAL_POINTER(mounts.control[0]);
	else
		name_mounts(&mounts);
	for (size_t i = 0; i < mounts.count; i++) {
		free(mounts.control[i]);
		free(mounts.shown[i]);
	}
	return control;
}

/* Is that what it is? A plain directory of that name would swallow a flush in silence. */
int control_check(const char *control)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/status.json", control) < 0)
		return ctl_fail(control, strerror(ENOMEM));
	if (access(path, R_OK) == 0)
		return OK;
	if (errno == ENOTCONN)
		return ctl_fail(control, "imagefs has died there; start it again");
	return ctl_fail(control, errno == ENOENT || errno == ENOTDIR ? "no control files are there" : strerror(errno));
}

/* ---- what it shows --------------------------------------------------------- */

/* A member of what status.json is, a string on a line of its own; for the caller to free, or NULL. */
static char *member_of(const char *control, const char *name)
{
	CLEANUP_FREE char *path = NULL, *line = NULL;
	char *value = NULL, key[64];
	size_t size = 0;
	FILE *file;

	snprintf(key, sizeof(key), "  \"%s\": \"", name);

	if (asprintf(&path, "%s/status.json", control) < 0)
		return NULL;
	file = fopen(path, "re");
	while (file && !value && getline(&line, &size, file) > 0) {
		if (strncmp(line, key, strlen(key)) == 0) {
			value = strdup(line + strlen(key));
			if (value)
				json_unquote(value);
		}
	}
	if (file)
		fclose(file);
	return value;
}

static bool is_same_directory(const char *one, const char *other)
{
	struct stat a, b;

	return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static char *nbd_of(const char *control, const char *directory)
{
	CLEANUP_FREE char *source = member_of(control, "source");

	return source && is_same_directory(source, directory) ? member_of(control, "nbd") : NULL;
}

char *control_nbd(const char *given, const char *directory)
{
	struct mounts mounts = { 0 };
	char *found = given ? nbd_of(given, directory) : NULL;

	if (given || !find_mounts(&mounts))
		return found;
	for (size_t i = 0; i < mounts.count; i++) {
		if (!found && mounts.control[i])
			found = nbd_of(mounts.control[i], directory);
		free(mounts.control[i]);
		free(mounts.shown[i]);
	}
	return found;
}

size_t control_sources(const char *given, char *sources[CONTROL_SOURCES_MAX])
{
	struct mounts mounts = { 0 };
	size_t count = 0;

	if (given) {
		sources[0] = member_of(given, "source");
		return sources[0] != NULL;
	}
	if (!find_mounts(&mounts))
		return 0;
	for (size_t i = 0; i < mounts.count; i++) {
		sources[count] = mounts.control[i] ? member_of(mounts.control[i], "source") : NULL;
		count += sources[count] != NULL;
		free(mounts.control[i]);
		free(mounts.shown[i]);
	}
	return count;
}

/* ---- files in it ---------------------------------------------------------- */

static bool is_reserved(const char *name)
{
	return strcmp(name, "status") == 0 || strcmp(name, "status.json") == 0 || strcmp(name, "metrics") == 0;
}

/* By errno. Of a link that leads to nothing status knows more. */
static void say_not_opened(const char *control, const char *image)
{
	int error = errno;
	CLEANUP_FREE char *why = error == ENOENT ? control_problem_of(control, image) : NULL;

	ctl_fail(image, why ? why : error == ENOENT ? "no such image or board" : strerror(error));
}

int control_open_image(const char *control, const char *image, int flags)
{
	CLEANUP_FREE char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/%s", control, image) < 0) {
		ctl_fail(image, strerror(ENOMEM));
		return -1;
	}
	errno = ENOENT;
	fd = strchr(image, '/') || image[0] == '\0' || image[0] == '.' || is_reserved(image) ?
		     -1 :
		     open(path, flags | O_CLOEXEC);
	if (fd < 0)
		say_not_opened(control, image);
	return fd;
}

int control_copy_to_stdout(int fd, const char *name)
{
	char buffer[65536];
	ssize_t got;

	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
		if (fwrite(buffer, 1, (size_t)got, stdout) != (size_t)got)
			return ctl_fail("standard output", strerror(errno));
	return got < 0 ? ctl_fail(name, strerror(errno)) : OK;
}

int control_print_file(const char *control, const char *name)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/%s", control, name) < 0)
		return ctl_fail(name, strerror(ENOMEM));
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? ctl_fail(path, strerror(errno)) : control_copy_to_stdout(fd, path);
}

/* ---- flush ---------------------------------------------------------------- */

static int flush_image(const char *control, const char *image)
{
	static const char text[] = "flush\n";
	CLEANUP_FD int fd = control_open_image(control, image, O_WRONLY);

	if (fd < 0)
		return FAILED;
	return write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1 ? OK : ctl_fail(image, strerror(errno));
}

static int flush_all(const char *control)
{
	DIR *directory = opendir(control);
	int result = OK;

	if (!directory)
		return ctl_fail(control, strerror(errno));
	for (struct dirent *entry; (entry = readdir(directory));)
		if (entry->d_name[0] != '.' && !is_reserved(entry->d_name) && flush_image(control, entry->d_name) != OK)
			result = FAILED;
	closedir(directory);
	return result;
}

int command_flush(const char *control, int count, char **arguments)
{
	int result = OK;

	if (count == 1 && strcmp(arguments[0], "--all") == 0)
		return flush_all(control);
	for (int i = 0; i < count; i++)
		if (flush_image(control, arguments[i]) != OK)
			result = FAILED;
	return result;
}

int command_metrics(const char *control, int count, char **arguments)
{
	(void)count;
	(void)arguments;
	return control_print_file(control, "metrics");
}
