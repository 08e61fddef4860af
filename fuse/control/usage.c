/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/usage.h"

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/text.h"

/* Beside those of the queue: libfuse's, the queue's clock, signals, the kernel's events. */
#define OTHER_THREADS 16

/* Of /proc/self; opened before the daemon may not open files any more. */
static struct counted {
	const char *path;
	pthread_mutex_t lock;
	DIR *dir; /* lock; NULL: not to be had */
} task = { "/proc/self/task", PTHREAD_MUTEX_INITIALIZER, NULL },
  fd = { "/proc/self/fd", PTHREAD_MUTEX_INITIALIZER, NULL };

void usage_prepare(void)
{
	task.dir = opendir(task.path);
	fd.dir = opendir(fd.path);
}

/* The number of entries; 0: not known. */
static uint64_t count_entries(struct counted *counted)
{
	uint64_t count = 0;

	if (!counted->dir)
		return 0;
	LOCK_SCOPE(&counted->lock);
	rewinddir(counted->dir);
	for (struct dirent *entry; (entry = readdir(counted->dir));)
		count += entry->d_name[0] != '.';
	return count;
}

static struct usage_pair descriptors(void)
{
	struct rlimit limit = { 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	/* The soft limit may be below the hard one for a moment: kernel.c. */
	return (struct usage_pair){ count_entries(&fd), limit.rlim_max };
}

void usage_take(const struct control_base *control, struct usage *usage)
{
	struct handles_status handles;

	handles_status(control->handles, &handles);
	*usage = (struct usage){
		.threads = { count_entries(&task), queue_threads_max() + OTHER_THREADS },
		.descriptors = descriptors(),
		.handles = { handles.handles, HANDLES_USER_MAX },
		.handle_bytes = { handles.content_bytes, HANDLES_ALL_BYTES },
	};
	view_images_count(view_images(control->view), &usage->open_images.used, &usage->open_images.limit);
}

/* ---- as text ------------------------------------------------------------------- */

void usage_write_text(FILE *out, const struct usage *usage)
{
	fprintf(out,
		"in use: %" PRIu64 " of %" PRIu64 " threads, %" PRIu64 " of %" PRIu64 " descriptors, %" PRIu64
		" of %" PRIu64 " open images, %" PRIu64 " handles (%" PRIu64 " a user), ",
		usage->threads.used, usage->threads.limit, usage->descriptors.used, usage->descriptors.limit,
		usage->open_images.used, usage->open_images.limit, usage->handles.used, usage->handles.limit);
	text_write_size(out, usage->handle_bytes.used, "");
	fputs(" of ", out);
	text_write_size(out, usage->handle_bytes.limit, "");
	fputs(" for them\n", out);
}

static const struct {
	const char *name, *help;
	size_t offset;
} pairs[] = {
	{ "threads", "Threads of the daemon", offsetof(struct usage, threads) },
	{ "descriptors", "File descriptors of the daemon", offsetof(struct usage, descriptors) },
	{ "open_images", "Images that are open", offsetof(struct usage, open_images) },
	{ "handles", "Directories and status files that are open", offsetof(struct usage, handles) },
	{ "handle_bytes", "Bytes of what handles are read from", offsetof(struct usage, handle_bytes) },
};

#define PAIRS (sizeof(pairs) / sizeof(pairs[0]))

static const struct usage_pair *pair_of(const struct usage *usage, size_t at)
{
	return (const struct usage_pair *)(const void *)((const char *)usage + pairs[at].offset);
}

void usage_write_json(FILE *out, const struct usage *usage)
{
	for (size_t i = 0; i < PAIRS; i++)
		fprintf(out, "  \"%s\": %" PRIu64 ",\n  \"%s_limit\": %" PRIu64 ",\n", pairs[i].name,
			pair_of(usage, i)->used, pairs[i].name, pair_of(usage, i)->limit);
}

static void write_metric(FILE *out, const char *name, const char *suffix, const char *help, const char *end,
			 uint64_t value)
{
	fprintf(out, "# HELP imagefs_%s%s %s%s\n# TYPE imagefs_%s%s gauge\nimagefs_%s%s %" PRIu64 "\n", name,
		suffix, help, end, name, suffix, name, suffix, value);
}

void usage_write_metrics(FILE *out, const struct usage *usage)
{
	for (size_t i = 0; i < PAIRS; i++) {
		const struct usage_pair *pair = pair_of(usage, i);

		write_metric(out, pairs[i].name, "", pairs[i].help, ".", pair->used);
		write_metric(out, pairs[i].name, "_limit", pairs[i].help, ", at most.", pair->limit);
	}
}
