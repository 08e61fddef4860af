/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/check.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/waits.h"
#include "cache/device/nbd_target.h"
#include "fuse/names/image_open.h"
#include "fuse/names/list.h"
#include "fuse/process/log.h"

bool check_say(const char *source, int error)
{
	if (error == -ENOTDIR)
		log_line(LOG_LEVEL_ERROR, "%s: neither a directory of images nor an image", source);
	else
		log_line(LOG_LEVEL_ERROR, "%s: %s", source, strerror(-error));
	return false;
}

/* As much of a directory as it takes to know. */
#define LOOKED_AT_MAX 1000

struct content {
	bool seen; /* a directory that can be read */
	bool any; /* but for dot files and lost+found */
	bool image; /* by its name */
};

static struct content content_of(const char *directory)
{
	DIR *dir = opendir(directory);
	struct content content = { .seen = dir != NULL };
	struct dirent *entry;

	for (int i = 0; dir && !content.image && i < LOOKED_AT_MAX && (entry = readdir(dir)); i++) {
		const char *suffix = strrchr(entry->d_name, '.');

		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "lost+found") == 0)
			continue;
		content.any = true;
		content.image = suffix && entry->d_type != DT_DIR && (strcmp(suffix, ".img") == 0 || strcmp(suffix, ".raw") == 0);
	}
	if (dir)
		closedir(dir);
	return content;
}

void check_swapped(const struct options *options)
{
	struct content hidden = content_of(options->mountpoint), source = content_of(options->source);

	if (hidden.image)
		log_line(LOG_LEVEL_WARNING, "%s: has images in it, which the mount hides: are SOURCE and MOUNTPOINT swapped?",
			 options->mountpoint);
	else if (hidden.any && source.seen && !source.any)
		log_line(LOG_LEVEL_WARNING, "%s: is empty, and %s is not: are SOURCE and MOUNTPOINT swapped?", options->source,
			 options->mountpoint);
}

static bool is_shown(struct view *view, const struct options *options)
{
	struct cache_op op = { .may_block = true };
	struct view_target target;
	struct cache_image *cache;
	unsigned wanted = options->partition;
	struct cache_dir *root;
	const char *problem;
	int error, tries = 0;

	error = view_single(view, NULL, &target);
	if (error == 0)
		error = view_image_open(target.image, &op, &cache);
	if (error != 0)
		return check_say(options->source, error);
	/* A busy image may take a moment to be believed; then it may as well be mounted. */
	do {
		struct timespec pause = { .tv_nsec = op.retry_ns };

		if (error == -EINPROGRESS)
			nanosleep(&pause, NULL);
		error = cache_image_root(cache, &op, CACHE_PARTITION_BOOT, &root);
		/* As is the first connection to a block server, which takes its time. */
	} while ((error == -EINPROGRESS ||
		  (error == -EIO && target.image->remote && nbd_target_is_connecting(target.image->remote))) &&
		 ++tries < 50);
	if (error == 0)
		cache_dir_put(root);
	problem = cache_image_problem(cache);
	view_image_put(target.image);
	if (error == 0 || error == -EINPROGRESS)
		return true;
	if (wanted != 0 && problem && strstr(problem, "number"))
		log_line(LOG_LEVEL_ERROR, "%s: partition=%u: it has no FAT partition of that number",
			options->source, wanted);
	else
		log_line(LOG_LEVEL_ERROR, "%s: %s", options->source, problem ? problem : strerror(-error));
	return false;
}

struct check {
	struct view *view;
	const struct options *options;
	atomic_bool bad;
};

static void *check_thread(void *argument)
{
	struct check *check = argument;

	if (!is_shown(check->view, check->options))
		atomic_store(&check->bad, true);
	return NULL;
}

bool check_servable(struct view *view, const struct options *options)
{
	static struct check check; /* its thread may outlive this */
	struct timespec until;
	pthread_t thread;

	check.view = view;
	check.options = options;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_CHECK_NS / WAIT_S;
	if (!view_is_single(view) || pthread_create(&thread, NULL, check_thread, &check) != 0)
		return true;
	if (pthread_timedjoin_np(thread, NULL, &until) != 0)
		pthread_detach(thread);
	return !atomic_load(&check.bad);
}

void check_say_if_empty(struct view *view, struct queue *queue, const char *source)
{
	/* The mount waits for this: no image is looked into if there is another way to tell. */
	if (!view_is_single(view) && !view_has_names(view) && view_lists_nothing(view, queue))
		log_line(LOG_LEVEL_NOTICE, "%s: no image in it yet; what comes will be shown", source);
}
