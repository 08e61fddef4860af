/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reports.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <nbdkit-filter.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define FUSE_SUPER_MAGIC 0x65735546
#define RETRY_NS INT64_C(1000000000) /* from one look for a control file to the next */

#define LINE_MAX_BYTES 72 /* "write " and three numbers of 20 digits */
#define NAMED_MAX 240	  /* changes in one write(2); imagefs follows 256 events */

static char *control_file; /* imagefs= */
static char *control_dir;  /* imagefs-dir= */

struct export
{
	struct export *next;  /* exports_lock, as is users */
	unsigned users;	      /* connections */
	pthread_mutex_t lock; /* for all below, also while imagefs answers */
	int fd;		      /* of the control file, or -1 */
	int64_t retry_ns;     /* no look for it before that, CLOCK_MONOTONIC */
	bool missed;	      /* something was changed without a report */
	bool told;	      /* that reports get lost is in the log */
	uint64_t last_id;
	struct change *in_flight;
	char name[]; /* constant; empty with imagefs= */
};

static pthread_mutex_t exports_lock = PTHREAD_MUTEX_INITIALIZER;
static struct export *exports;

/* ---- the control file; under the export's lock ------------------------------------- */

/* A client chooses the name. A slash would lead out of the directory; no image's name begins with a dot. */
static bool is_image_name(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && !strchr(name, '/') && strlen(name) <= NAME_MAX;
}

static bool find_control_file(const char *name, char *path, size_t size)
{
	if (control_file)
		return (size_t)snprintf(path, size, "%s", control_file) < size;
	return (size_t)snprintf(path, size, "%s/%s", control_dir, name) < size;
}

/*
 * Only a file on FUSE is taken, so that no plain file that is in its place fills with
 * reports. O_NONBLOCK is for what might be a FIFO; a write to FUSE waits all the same.
 */
static int open_control_file(const char *name)
{
	char path[2 * PATH_MAX];
	struct statfs fs;
	int fd;

	if (!find_control_file(name, path, sizeof(path)))
		return -1;
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	if (fd != -1 && (fstatfs(fd, &fs) == -1 || fs.f_type != FUSE_SUPER_MAGIC)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* There is nobody to report to, and what was reported is known to nobody. */
static void lose(struct export *export, int error)
{
	close(export->fd);
	export->fd = -1;
	export->missed = true;
	if (!export->told)
		nbdkit_error("imagefs: %s: %s: until it is back, writes are not reported",
			     control_file ? control_file : export->name, strerror(error));
	export->told = true;
}

static void send_text(struct export *export, const char *text, size_t length)
{
	ssize_t n;

	do
		n = write(export->fd, text, length);
	while (n == -1 && errno == EINTR);
	if (n != (ssize_t)length)
		lose(export, n == -1 ? errno : EIO);
}

static size_t say_change(char *line, const struct change *change)
{
	return (size_t)snprintf(line, LINE_MAX_BYTES, "write %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
				change->offset_bytes, change->length_bytes, change->id);
}

/* Open the control file, and say what is in flight: what is open knows of all that is. */
static void connect_export(struct export *export)
{
	char text[(NAMED_MAX + 1) * LINE_MAX_BYTES];
	const struct change *change;
	size_t length;
	unsigned named = 0;

	export->retry_ns = clock_now_ns(CLOCK_MONOTONIC) + RETRY_NS;
	export->fd = open_control_file(export->name);
	if (export->fd == -1)
		return;
	length = (size_t)sprintf(text, export->missed ? "flush\ndone\n" : "done\n");
	for (change = export->in_flight; change && named < NAMED_MAX; change = change->next, named++)
		length += say_change(text + length, change);
	if (change) {
		lose(export, ENOBUFS); /* more than can be said at once: another time, then */
		return;
	}
	send_text(export, text, length);
	if (export->fd != -1)
		export->missed = export->told = false;
}

/* ---- changes --------------------------------------------------------------------- */

void reports_begin(struct export *export, struct change *change, uint64_t offset_bytes, uint32_t length_bytes)
{
	char line[LINE_MAX_BYTES];

	if (!export)
		return;
	LOCK_SCOPE(&export->lock);
	*change = (struct change){ export->in_flight, &export->in_flight, offset_bytes, length_bytes,
				   ++export->last_id };
	if (change->next)
		change->next->link = &change->next;
	export->in_flight = change;
	if (export->fd != -1)
		send_text(export, line, say_change(line, change));
	else if (clock_now_ns(CLOCK_MONOTONIC) >= export->retry_ns)
		connect_export(export);
	if (export->fd == -1)
		export->missed = true;
}

void reports_end(struct export *export, struct change *change)
{
	char line[LINE_MAX_BYTES];

	if (!export)
		return;
	LOCK_SCOPE(&export->lock);
	*change->link = change->next;
	if (change->next)
		change->next->link = change->link;
	if (export->fd != -1)
		send_text(export, line,
			  (size_t)snprintf(line, sizeof(line), "done %" PRIu64 "\n", change->id));
}

/* ---- connections --------------------------------------------------------------------- */

/* With a user more. NULL: no memory. */
static struct export *get_export(const char *name)
{
	struct export *export;

	LOCK_SCOPE(&exports_lock);
	for (export = exports; export && strcmp(export->name, name) != 0; export = export->next)
		;
	if (!export) {
		export = calloc(1, sizeof(*export) + strlen(name) + 1);
		if (!export)
			return NULL;
		pthread_mutex_init(&export->lock, NULL);
		export->fd = -1;
		strcpy(export->name, name);
		export->next = exports;
		exports = export;
	}
	export->users++;
	return export;
}

static bool drop_user(struct export *export)
{
	struct export **link;

	LOCK_SCOPE(&exports_lock);
	if (--export->users > 0)
		return false;
	for (link = &exports; *link != export; link = &(*link)->next)
		;
	*link = export->next;
	return true;
}

void reports_close(struct export *export)
{
	if (!export || !drop_user(export))
		return;
	if (export->fd != -1)
		close(export->fd);
	pthread_mutex_destroy(&export->lock);
	free(export);
}

struct export *reports_open(const char *exportname)
{
	struct export *export;

	if (!control_file && (!control_dir || !is_image_name(exportname)))
		return NULL;
	export = get_export(control_file ? "" : exportname);
	if (!export)
		return NULL;
	LOCK_SCOPE(&export->lock);
	if (export->fd == -1)
		connect_export(export);
	return export;
}

/* ---- parameters --------------------------------------------------------------------- */

int reports_config(const char *key, const char *value)
{
	char **path;

	if (strcmp(key, "imagefs") == 0)
		path = &control_file;
	else if (strcmp(key, "imagefs-dir") == 0)
		path = &control_dir;
	else
		return 0;

	/* nbdkit may change its directory; and imagefs may come later, so there is nothing to be resolved. */
	free(*path);
	*path = nbdkit_absolute_path(value);
	return *path ? 1 : -1;
}

int reports_config_complete(void)
{
	if (control_file && control_dir) {
		nbdkit_error("imagefs= and imagefs-dir= exclude each other");
		return -1;
	}
	return 0;
}

void reports_unload(void)
{
	free(control_file);
	free(control_dir);
}
