/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbdkit-imagefs-filter: tells imagefs of every write before it is executed.
 *
 * imagefs serves a control file for each image. What is written there is a report, in
 * the text form of imagefs-control(7), and write(2) returns when imagefs has taken it in:
 *
 *     write OFFSET LENGTH ID    before the plugin is called
 *     done ID                   after the plugin returned, however it went
 *
 * All connections to one export share one open control file. imagefs trusts a process
 * that reports to report all that it writes. So what is said first on a newly opened
 * control file names, in one write(2), all changes that are in flight then.
 *
 * The export comes first: no request ever fails for what imagefs does. When a report
 * fails, changes are executed without one until the control file has been opened again,
 * which the next change tries, once a second at most.
 */
#include <dirent.h>
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

#define RUN_DIR "/run/imagefs"
#define FUSE_SUPER_MAGIC 0x65735546
#define RETRY_NS INT64_C(1000000000) /* from one look for a control file to the next */

#define LINE_MAX_BYTES 72 /* "write " and three numbers of 20 digits */
#define NAMED_MAX 240	  /* changes in one write(2); imagefs follows 256 events */

static char *control_file; /* imagefs= */
static char *control_dir;  /* imagefs-dir= */

/* One request that changes the image. It lives where the request is served; the export's lock. */
struct change {
	struct change *next, **link;
	uint64_t offset_bytes, length_bytes, id;
};

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

/* The handle of a connection that does not report. */
static struct export unreported;

/* ---- the control file; under the export's lock ------------------------------------- */

/* A client chooses the name. A slash would lead out of the directory; no image's name begins with a dot. */
static bool is_image_name(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && !strchr(name, '/') && strlen(name) <= NAME_MAX;
}

/* Where only one imagefs is, nobody has to say which. */
static bool find_only_dir(char *path, size_t size)
{
	unsigned found = 0;
	struct dirent *entry;
	DIR *parent = opendir(RUN_DIR);

	if (!parent)
		return false;
	while ((entry = readdir(parent)) != NULL && found < 2)
		if (entry->d_name[0] != '.' &&
		    (size_t)snprintf(path, size, RUN_DIR "/%s", entry->d_name) < size)
			found++;
	closedir(parent);
	return found == 1;
}

static bool find_control_file(const char *name, char *path, size_t size)
{
	char only_dir[PATH_MAX];
	const char *dir = control_dir;

	if (control_file)
		return (size_t)snprintf(path, size, "%s", control_file) < size;
	if (!dir && find_only_dir(only_dir, sizeof(only_dir)))
		dir = only_dir;
	return dir && (size_t)snprintf(path, size, "%s/%s", dir, name) < size;
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

/* Returns when imagefs knows of the change, or there is no control file. */
static void begin(struct export *export, struct change *change, uint64_t offset_bytes, uint32_t length_bytes)
{
	char line[LINE_MAX_BYTES];

	if (export == &unreported)
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

/* However it went, the bytes change no more. */
static void end(struct export *export, struct change *change)
{
	char line[LINE_MAX_BYTES];

	if (export == &unreported)
		return;
	LOCK_SCOPE(&export->lock);
	*change->link = change->next;
	if (change->next)
		change->next->link = change->link;
	if (export->fd != -1)
		send_text(export, line,
			  (size_t)snprintf(line, sizeof(line), "done %" PRIu64 "\n", change->id));
}

static int imagefs_pwrite(nbdkit_next *next, void *handle, const void *buf, uint32_t count, uint64_t offset,
			  uint32_t flags, int *err)
{
	struct change change;
	int r;

	begin(handle, &change, offset, count);
	r = next->pwrite(next, buf, count, offset, flags, err);
	end(handle, &change);
	return r;
}

static int imagefs_trim(nbdkit_next *next, void *handle, uint32_t count, uint64_t offset, uint32_t flags,
			int *err)
{
	struct change change;
	int r;

	begin(handle, &change, offset, count);
	r = next->trim(next, count, offset, flags, err);
	end(handle, &change);
	return r;
}

static int imagefs_zero(nbdkit_next *next, void *handle, uint32_t count, uint64_t offset, uint32_t flags,
			int *err)
{
	struct change change;
	int r;

	begin(handle, &change, offset, count);
	r = next->zero(next, count, offset, flags, err);
	end(handle, &change);
	return r;
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

static void imagefs_close(void *handle)
{
	struct export *export = handle;

	if (export == &unreported || !drop_user(export))
		return;
	if (export->fd != -1)
		close(export->fd);
	pthread_mutex_destroy(&export->lock);
	free(export);
}

/* The plugin's open comes last, so that imagefs knows this process before it opens the image for writing. */
static void *imagefs_open(nbdkit_next_open *next, nbdkit_context *context, int readonly,
			  const char *exportname, int is_tls)
{
	struct export *export = NULL;

	(void)is_tls;
	if (!readonly && (control_file || is_image_name(exportname)))
		export = get_export(control_file ? "" : exportname);
	if (export) {
		LOCK_SCOPE(&export->lock);
		if (export->fd == -1)
			connect_export(export);
	} else {
		export = &unreported;
	}
	if (next(context, readonly, exportname) == -1) {
		imagefs_close(export);
		return NULL;
	}
	return export;
}

/* ---- parameters --------------------------------------------------------------------- */

static int imagefs_config(nbdkit_next_config *next, nbdkit_backend *nxdata, const char *key,
			  const char *value)
{
	char **path;

	if (strcmp(key, "imagefs") == 0)
		path = &control_file;
	else if (strcmp(key, "imagefs-dir") == 0)
		path = &control_dir;
	else
		return next(nxdata, key, value);

	/* nbdkit may change its directory; and imagefs may come later, so there is nothing to be resolved. */
	free(*path);
	*path = nbdkit_absolute_path(value);
	return *path ? 0 : -1;
}

static int imagefs_config_complete(nbdkit_next_config_complete *next, nbdkit_backend *nxdata)
{
	if (control_file && control_dir) {
		nbdkit_error("imagefs= and imagefs-dir= exclude each other");
		return -1;
	}
	return next(nxdata);
}

static const char config_help[] = "imagefs=FILE      The control file of the one image that is exported.\n"
				  "imagefs-dir=DIR   Where control files are, named as the exports.\n"
				  "                  Default: the only directory in " RUN_DIR ".";

static void imagefs_unload(void)
{
	free(control_file);
	free(control_dir);
}

/* What is not here passes through: reads, flush, extents, cache, and what is asked about the export. */
static struct nbdkit_filter filter = {
	.name = "imagefs",
	.longname = "nbdkit imagefs filter",
	.description = "Reports writes to imagefs(8) before they are executed.",
	.unload = imagefs_unload,
	.config = imagefs_config,
	.config_complete = imagefs_config_complete,
	.config_help = config_help,
	.open = imagefs_open,
	.close = imagefs_close,
	.pwrite = imagefs_pwrite,
	.trim = imagefs_trim,
	.zero = imagefs_zero,
};

/* What nbdkit looks for; its header defines it only. */
NBDKIT_DLL_PUBLIC struct nbdkit_filter *filter_init(void);
NBDKIT_REGISTER_FILTER(filter)
