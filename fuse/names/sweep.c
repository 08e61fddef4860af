/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/statx.h"

/* A timestamp this young may be that of a later change as well. */
#define YOUNG_SECONDS 2

/* So many names that do not answer are looked for among the images; more, and nothing is known. */
#define LATE_MAX 16

struct found {
	struct view_image **all; /* that are remembered: a user of each */
	size_t all_count;
	struct view_image **images; /* of those, what names lead to: has room for all names */
	size_t count;
	unsigned late; /* names that did not answer */
};

/* ---- what is in SOURCE ------------------------------------------------------- */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Can the names lead to other images than at the last sweep? */
static bool has_changed(struct sweep *sweep, const struct view *view)
{
	struct stat now, last = sweep->seen;

	if (view_source_stat(NULL, view_source(view), &now) != 0)
		return false; /* it may come back as it was */
	sweep->seen = now;
	return !sweep->complete || now.st_dev != last.st_dev || now.st_ino != last.st_ino ||
	       !same_time(&now.st_mtim, &last.st_mtim) || !same_time(&now.st_ctim, &last.st_ctim) ||
	       time(NULL) - now.st_ctim.tv_sec < YOUNG_SECONDS;
}

/* The image that was last found by that name, if there is one. */
static void take_by_file(struct found *found, const char *file)
{
	for (size_t i = 0; i < found->all_count; i++) {
		CLEANUP_FREE char *last = view_image_file(found->all[i]);

		if (!last || strcmp(last, file) != 0)
			continue;
		found->images[found->count++] = found->all[i];
		return;
	}
}

static int take_name(void *context, const struct walk_name *name)
{
	struct found *found = context;

	if (name->result == -EINPROGRESS || name->result == -EIO || name->result == -ESTALE) {
		/* One that does not answer leads where it did. */
		if (++found->late <= LATE_MAX)
			take_by_file(found, name->file);
	} else if (name->result == 0 && name->image) {
		found->images[found->count++] = name->image; /* or met since: then it is none of all */
	} else if (name->result == 0 && name->is_link && name->named) {
		/* The image is behind the link of its own name (jammy -> jammy:3). */
		take_by_file(found, name->file);
	}
	return 0;
}

/* All that names lead to. False: not all is known. */
static bool find_all(struct view *view, struct queue *queue, struct walk_lanes *lanes, struct found *found)
{
	struct walk *walk = walk_source(view, queue, lanes, NULL);
	int error = -ENOMEM;

	found->images = walk ? calloc(walk_count(walk) + 1, sizeof(struct view_image *)) : NULL;
	if (found->images)
		error = walk_each(walk, take_name, found);
	if (walk)
		walk_put(walk);
	return error == 0 && found->late <= LATE_MAX;
}

static bool find_single(struct view *view, struct found *found)
{
	struct view_target target;
	int error = view_single(view, NULL, &target);

	if (error != 0)
		return error == -ENOENT;
	found->images = calloc(1, sizeof(struct view_image *));
	if (found->images)
		found->images[found->count++] = target.image;
	view_image_put(target.image);
	return found->images;
}

static int compare(const void *a, const void *b)
{
	const struct view_image *const *first = a, *const *second = b;

	return *first < *second ? -1 : *first > *second;
}

static bool is_found(const struct found *found, struct view_image *image)
{
	return found->count > 0 &&
	       bsearch(&image, found->images, found->count, sizeof(struct view_image *), compare);
}

/* ---- the sweep ----------------------------------------------------------------- */

static bool is_deleted(const struct view_image *image)
{
	int fd = atomic_load(&image->fd);
	struct statx st;

	/* No question to a server: it may not answer. A device's node may go while the device stays. */
	return fd >= 0 &&
	       statx_or_stat(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK | STATX_TYPE, &st) == 0 &&
	       S_ISREG(st.stx_mode) && st.stx_nlink == 0;
}

static bool look(struct sweep *sweep, struct view *view, struct queue *queue, struct found *found)
{
	bool known;

	if (view_is_single(view))
		return find_single(view, found);
	if (!has_changed(sweep, view))
		return false;
	known = find_all(view, queue, &sweep->lanes, found);
	sweep->complete = known && found->late == 0;
	if (found->count > 0)
		qsort(found->images, found->count, sizeof(struct view_image *), compare);
	return known;
}

void sweep_images(struct sweep *sweep, struct view *view, struct queue *queue)
{
	struct found found = { 0 };
	bool known;

	/* Before SOURCE is looked at: what is met later is not among them. */
	if (view_images_all(view_images(view), &found.all, &found.all_count) != 0)
		return;
	known = look(sweep, view, queue, &found);
	for (size_t i = 0; i < found.all_count; i++) {
		struct view_image *image = found.all[i];
		struct cache_image *cache = atomic_load(&image->cache);

		if (cache) {
			cache_image_relieve(cache);
			cache_image_rest(cache);
		}
		if (cache && (view_image_is_gone(image) || is_deleted(image) || (known && !is_found(&found, image))))
			view_image_let_go(image);
		view_image_put(image);
	}
	free(found.images);
	free(found.all);
}
