/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/holds.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define BUCKETS 1024

/* Of one user in one image; or, without an image, in how many images the user has such. */
struct hold {
	uid_t uid;
	const void *image;
	size_t count; /* files; or images */
	struct hold *next;
};

struct holds {
	size_t images_max; /* constant */
	pthread_mutex_t lock;
	size_t all; /* lock: images of each user other than root, added up */
	struct hold *buckets[BUCKETS];
};

struct holds *holds_new(size_t images_max)
{
	struct holds *holds = calloc(1, sizeof(*holds));

	if (!holds)
		return NULL;
	holds->images_max = images_max;
	pthread_mutex_init(&holds->lock, NULL);
	return holds;
}

/* ---- under the lock ------------------------------------------------------------ */

/* Where it stands, or would stand, in its chain. */
static struct hold **place_of(struct holds *holds, uid_t uid, const void *image)
{
	struct hold **at = &holds->buckets[((uintptr_t)image / sizeof(void *) * 31 + uid) % BUCKETS];

	while (*at && ((*at)->uid != uid || (*at)->image != image))
		at = &(*at)->next;
	return at;
}

/* One more of it. NULL: no memory. */
static struct hold *add(struct holds *holds, uid_t uid, const void *image)
{
	struct hold **at = place_of(holds, uid, image);

	if (!*at && (*at = calloc(1, sizeof(**at)))) {
		(*at)->uid = uid;
		(*at)->image = image;
	}
	if (*at)
		(*at)->count++;
	return *at;
}

/* One less of it. Was it the last one? */
static bool take_away(struct holds *holds, uid_t uid, const void *image)
{
	struct hold **at = place_of(holds, uid, image), *hold = *at;

	if (--hold->count > 0)
		return false;
	*at = hold->next;
	free(hold);
	return true;
}

/* `count` with one more that the user wants. */
static bool has_share(const struct holds *holds, size_t count)
{
	size_t all_max = 2 * holds->images_max, left = all_max > holds->all ? all_max - holds->all : 0;

	return count <= HOLDS_LEAST || (count <= holds->images_max && count <= left);
}

/* ---- interface ------------------------------------------------------------------ */

int hold_take(struct holds *holds, uid_t uid, const void *image, struct hold **out)
{
	struct hold *images;

	LOCK_SCOPE(&holds->lock);
	if (!*place_of(holds, uid, image)) {
		images = add(holds, uid, NULL);
		if (!images)
			return -ENOMEM;
		if (uid != 0 && !has_share(holds, images->count)) {
			take_away(holds, uid, NULL);
			return -EMFILE;
		}
		holds->all += uid != 0;
	}
	*out = add(holds, uid, image);
	if (*out)
		return 0;
	take_away(holds, uid, NULL);
	holds->all -= uid != 0;
	return -ENOMEM;
}

void hold_put(struct holds *holds, struct hold *hold)
{
	uid_t uid = hold->uid;

	LOCK_SCOPE(&holds->lock);
	if (!take_away(holds, uid, hold->image))
		return;
	take_away(holds, uid, NULL);
	holds->all -= uid != 0;
}
