/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As long as an image is open its number cannot be given to another file, so the
 * pair is its identity: a file replaced by rename is another image, and one file
 * under two names is one. Before it is opened nothing is remembered of it that
 * could be wrong.
 *
 * Images nobody uses stay open, up to a limit, the longest unused going first. When
 * there are too many open ones (descriptors are few), those that are used go too, the
 * least recently used first, if their users are of the kind that is given back
 * (let_go): what the kernel remembers for a next time.
 */
#include "fuse/names/images.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/waits.h"
#include "cache/device/nbd_target.h"
#include "cache/device/watch.h"
#include "fuse/names/links.h"
#include "fuse/process/log.h"

#define BUCKETS 4096

/* To make room for an image, so many that are used are asked to go. */
#define ASKED_TO_GO_MAX 16

struct view_images {
	const struct view_source *source;
	struct view_settings settings;
	struct watch *watch;  /* or NULL */
	pthread_mutex_t lock; /* never held across I/O on an image */
	struct view_image *buckets[BUCKETS];
	struct order used, unused;
	size_t count, unused_count;
	size_t open_count; /* opened, or being opened */
};

int view_images_new(const struct view_source *source, const struct view_settings *settings,
		    struct view_images **out)
{
	struct view_images *images = calloc(1, sizeof(*images));

	if (!images)
		return -ENOMEM;
	images->source = source;
	images->settings = *settings;
	pthread_mutex_init(&images->lock, NULL);
	if (watch_new(&images->watch) != 0)
		log_line(LOG_LEVEL_WARNING,
			 "inotify is not to be had: every image is read again at every open");
	*out = images;
	return 0;
}

struct watch *view_images_watch(struct view_images *images)
{
	return images->watch;
}

const struct view_source *view_images_source(const struct view_images *images)
{
	return images->source;
}

const struct view_settings *view_images_settings(const struct view_images *images)
{
	return &images->settings;
}

/* ---- the table; all under the lock --------------------------------------- */

static struct view_image *image_of(struct order_link *link)
{
	return ORDER_OWNER(link, struct view_image, by_use);
}

static struct view_image **bucket_of(struct view_images *images, const struct view_identity *identity)
{
	return &images->buckets[(identity->inode ^ identity->device * 31) % BUCKETS];
}

bool view_identity_equal(const struct view_identity *a, const struct view_identity *b)
{
	return a->device == b->device && a->inode == b->inode;
}

/* One user more, who is the last one to have used it. */
static void use(struct view_images *images, struct view_image *image)
{
	bool unused = image->users++ == 0;

	order_take(unused ? &images->unused : &images->used, &image->by_use);
	images->unused_count -= unused;
	order_add(&images->used, &image->by_use);
}

static struct view_image *find(struct view_images *images, const struct view_identity *identity)
{
	struct view_image *image = *bucket_of(images, identity);

	while (image && !view_identity_equal(&image->identity, identity))
		image = image->next;
	if (image)
		use(images, image);
	return image;
}

static void unlink_image(struct view_images *images, struct view_image *image)
{
	struct view_image **at = bucket_of(images, &image->identity);

	while (*at != image)
		at = &(*at)->next;
	*at = image->next;
}

/* Take an unused image out of the table; it is the caller's to free. */
static void forget(struct view_images *images, struct view_image *image)
{
	order_take(&images->unused, &image->by_use);
	images->unused_count--;
	unlink_image(images, image);
	images->count--;
	if (atomic_load(&image->cache))
		images->open_count--;
}

/* ---- life of one image --------------------------------------------------- */

static void image_free(struct view_image *image)
{
	if (atomic_load(&image->cache))
		log_debug(LOG_DEBUG_IMAGES, "%s: closed", image->name);
	cache_image_put(atomic_load(&image->cache));
	free(image->name);
	free(image->file);
	free(image->complaint);
	nbd_target_unref(image->remote);
	asked_log_free(atomic_load(&image->asked));
	free(image);
}

struct view_identity view_identity_of(const struct stat *st)
{
	return S_ISBLK(st->st_mode) ? (struct view_identity){ st->st_rdev, 0 } :
				      (struct view_identity){ st->st_dev, st->st_ino };
}

static int image_new(struct view_images *images, const char *file, const char *uri, const struct stat *st,
		     struct view_image **out)
{
	struct view_image *image = calloc(1, sizeof(*image));

	if (!image)
		return -ENOMEM;
	image->name = strdup(*file ? file : uri);
	image->file = strdup(file);
	if (view_is_remote(st))
		image->remote = nbd_target_new(uri, file);
	if (!image->name || !image->file || (view_is_remote(st) && !image->remote)) {
		nbd_target_unref(image->remote);
		free(image->name);
		free(image->file);
		free(image);
		return -ENOMEM;
	}
	image->images = images;
	atomic_store(&image->fd, -1);
	image->identity = view_identity_of(st);
	image->share = view_share_of(file);
	image->used_ns = queue_now_ns();
	image->users = 1;
	*out = image;
	return 0;
}

/* As long as it is not opened it may be renamed, or its inode number be another file's by now: the last name
 * counts. */
static void found_at(struct view_image *image, const char *file)
{
	char *copy;

	image->gone = false;
	image->used_ns = queue_now_ns();
	/* Its next connection is asked for by a link that leads to it. */
	if (image->remote)
		nbd_target_found_at(image->remote, file);
	if (atomic_load(&image->cache) || strcmp(image->file, file) == 0)
		return;
	copy = strdup(file);
	if (!copy)
		return;
	free(image->file);
	image->file = copy;
}

int view_images_get(struct view_images *images, const char *file, const char *uri, const struct stat *st,
		    struct view_image **out)
{
	struct view_identity identity = view_identity_of(st);
	int error;

	LOCK_SCOPE(&images->lock);
	*out = find(images, &identity);
	if (*out) {
		found_at(*out, file);
		return 0;
	}
	error = image_new(images, file, uri, st, out);
	if (error == 0) {
		order_add(&images->used, &(*out)->by_use);
		images->count++;
		(*out)->next = *bucket_of(images, &identity);
		*bucket_of(images, &identity) = *out;
	}
	return error;
}

/* ---- room for those that are open ---------------------------------------- */

/*
 * Under the lock: an open image that was not used since `before_ns`, the least recently used
 * first, with a user more. Each one that is asked, or is not open, goes behind the others.
 */
static struct view_image *next_to_go(struct view_images *images, int64_t before_ns)
{
	struct view_image *image;

	for (size_t left = images->count; left > 0 && (image = image_of(images->used.oldest)); left--) {
		bool open = atomic_load(&image->cache);

		if (open && image->used_ns > before_ns)
			break;
		order_use(&images->used, &image->by_use);
		if (!open)
			continue;
		image->users++;
		return image;
	}
	return NULL;
}

void view_images_make_room(struct view_images *images, size_t open_max, int64_t before_ns)
{
	struct view_image *image, *unused;

	for (int asked = 0; asked < ASKED_TO_GO_MAX;) {
		pthread_mutex_lock(&images->lock);
		image = unused = NULL;
		if (images->open_count > open_max && (unused = image_of(images->unused.oldest)))
			forget(images, unused);
		else if (images->open_count > open_max)
			image = next_to_go(images, before_ns);
		pthread_mutex_unlock(&images->lock);
		if (unused) {
			image_free(unused);
			continue;
		}
		if (!image)
			return;
		images->settings.let_go(images->settings.let_go_context, image);
		view_image_put(image);
		asked++;
	}
}

size_t view_images_count_open(struct view_images *images, int change)
{
	LOCK_SCOPE(&images->lock);
	return images->open_count += (size_t)change;
}

/* ---- what was wrong ------------------------------------------------------ */

void view_image_complain(struct view_image *image, const char *text, bool is_damage)
{
	char *copy = strdup(text);

	if (!copy)
		return;
	LOCK_SCOPE(&image->images->lock);
	free(image->complaint);
	image->complaint = copy;
	image->complaint_ns = queue_now_ns();
	image->complaint_is_damage = is_damage;
}

char *view_image_complaint(struct view_image *image, int64_t *when_ns, bool *is_damage)
{
	LOCK_SCOPE(&image->images->lock);
	*when_ns = image->complaint_ns;
	*is_damage = image->complaint_is_damage;
	return image->complaint ? strdup(image->complaint) : NULL;
}

/* ---- is it being written --------------------------------------------------- */

/* Between two looks that are further apart nothing is known. */
#define FLUX_KNOWN_NS (60 * WAIT_S)

void view_image_flux(struct view_image *image, int64_t now_ns)
{
	int64_t last_ns = atomic_load(&image->flux_ns);

	if (last_ns == 0 || now_ns - last_ns > FLUX_KNOWN_NS || atomic_load(&image->rest_ns) >= atomic_load(&image->flux_since_ns))
		atomic_store(&image->flux_since_ns, now_ns);
	atomic_store(&image->flux_ns, now_ns);
}

void view_image_rest(struct view_image *image, int64_t now_ns)
{
	atomic_store(&image->rest_ns, now_ns);
}

int64_t view_image_in_flux(struct view_image *image, int64_t now_ns)
{
	int64_t last_ns = atomic_load(&image->flux_ns);

	if (last_ns == 0 || now_ns - last_ns > FLUX_KNOWN_NS || atomic_load(&image->rest_ns) >= last_ns)
		return 0;
	return last_ns - atomic_load(&image->flux_since_ns);
}

/* ---- those that were met -------------------------------------------------- */

struct view_image *view_images_met(struct view_images *images, const struct view_identity *identity)
{
	LOCK_SCOPE(&images->lock);
	return find(images, identity);
}

struct view_image *view_images_known(struct view_images *images, const struct stat *st)
{
	struct view_identity identity = view_identity_of(st);
	struct view_image *image;

	LOCK_SCOPE(&images->lock);
	image = find(images, &identity);
	if (image)
		image->gone = false;
	return image;
}

int view_images_all(struct view_images *images, struct view_image ***out, size_t *count)
{
	struct view_image *image, *next;

	*count = 0;
	LOCK_SCOPE(&images->lock);
	*out = reallocarray(NULL, images->count + 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (image = image_of(images->used.oldest); image; image = image_of(image->by_use.newer)) {
		image->users++;
		(*out)[(*count)++] = image;
	}
	/* From the oldest on, so that they are in the same order when they are given back. */
	for (image = image_of(images->unused.oldest); image; image = next) {
		next = image_of(image->by_use.newer);
		use(images, image);
		(*out)[(*count)++] = image;
	}
	return 0;
}

void view_images_count(struct view_images *images, uint64_t *open, uint64_t *open_max)
{
	LOCK_SCOPE(&images->lock);
	*open = images->open_count;
	*open_max = images->settings.open_max;
}

unsigned view_image_users(struct view_image *image)
{
	LOCK_SCOPE(&image->images->lock);
	return image->users;
}

char *view_image_file(struct view_image *image)
{
	LOCK_SCOPE(&image->images->lock);
	return strdup(image->file);
}

/* ---- users --------------------------------------------------------------- */

struct view_image *view_image_ref(struct view_image *image)
{
	LOCK_SCOPE(&image->images->lock);
	image->users++;
	return image;
}

void view_image_put(struct view_image *image)
{
	struct view_images *images;
	struct view_image *surplus = NULL;

	if (!image)
		return;
	images = image->images;
	pthread_mutex_lock(&images->lock);
	if (--image->users == 0) {
		order_take(&images->used, &image->by_use);
		order_add(&images->unused, &image->by_use);
		images->unused_count++;
		if (image->gone)
			surplus = image;
		else if (images->unused_count > images->settings.unused_max)
			surplus = image_of(images->unused.oldest);
		if (surplus)
			forget(images, surplus);
	}
	pthread_mutex_unlock(&images->lock);
	if (surplus)
		image_free(surplus);
}

/* ---- what no name leads to ------------------------------------------------ */

void view_image_let_go(struct view_image *image)
{
	struct view_images *images = image->images;

	pthread_mutex_lock(&images->lock);
	image->gone = true;
	pthread_mutex_unlock(&images->lock);
	images->settings.let_go(images->settings.let_go_context, image);
}

bool view_image_is_gone(struct view_image *image)
{
	LOCK_SCOPE(&image->images->lock);
	return image->gone;
}
