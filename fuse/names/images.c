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
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/waits.h"
#include "cache/changes/kernel.h"
#include "cache/changes/nbd_writes.h"
#include "cache/device/disk.h"
#include "cache/device/nbd.h"
#include "cache/device/nbd_loop.h"
#include "cache/device/nbd_target.h"
#include "cache/device/opener.h"
#include "cache/changes/write_log.h"
#include "cache/device/watch.h"
#include "fuse/names/links.h"
#include "fuse/process/log.h"

#define BUCKETS 4096

/* To make room for an image, so many that are used are asked to go. */
#define ASKED_TO_GO_MAX 16

/* What hangs while it is closed keeps few others waiting. */
#define CLOSING_LANES 8

struct view_images {
	const struct view_source *source;
	struct view_settings settings;
	struct watch *watch;  /* or NULL */
	pthread_mutex_t lock; /* never held across I/O on an image */
	struct view_image *buckets[BUCKETS];
	struct order used, unused;
	size_t count, unused_count;
	size_t open_count; /* opened, or being opened */
	struct lane closing_lanes[CLOSING_LANES]; /* the queue's */
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

/* One user less. Returns an image, this or another, that nobody uses or finds any more: the caller's to end; or NULL. */
static struct view_image *give_back(struct view_image *image)
{
	struct view_images *images = image->images;
	struct view_image *surplus;

	LOCK_SCOPE(&images->lock);
	if (--image->users > 0)
		return NULL;
	order_take(&images->used, &image->by_use);
	order_add(&images->unused, &image->by_use);
	images->unused_count++;
	surplus = image->gone				      ? image :
		  images->unused_count > images->settings.unused_max ? image_of(images->unused.oldest) :
								       NULL;
	if (surplus)
		forget(images, surplus);
	return surplus;
}

/* ---- life of one image --------------------------------------------------- */

/* The first half of its end: waits for the process that opens images. */
static void image_close(struct view_image *image)
{
	if (atomic_load(&image->cache))
		log_debug(LOG_DEBUG_IMAGES, "%s: closed", image->name);
	cache_image_put(atomic_load(&image->cache));
}

static void image_free(struct view_image *image)
{
	free(image->name);
	free(image->file);
	free(image->complaint);
	nbd_target_unref(image->remote);
	asked_log_free(atomic_load(&image->asked));
	free(image);
}

/* Both, where that may be waited for. */
static void image_end(struct view_image *image)
{
	image_close(image);
	image_free(image);
}

static int64_t closing_run(struct job *job)
{
	image_close((struct view_image *)job);
	return 0;
}

static void closing_done(struct job *job)
{
	image_free((struct view_image *)job);
}

/* Elsewhere: with few threads at a time, since the kernel may forget thousands at once. */
static void image_end_soon(struct view_image *image)
{
	struct view_images *images = image->images;

	image->closing = (struct job){
		.run = closing_run,
		.done = closing_done,
		.lane = &images->closing_lanes[image->identity.inode % CLOSING_LANES],
	};
	if (!images->settings.submit(images->settings.context, &image->closing))
		image_end(image);
}

/* The identity of what `st` describes: a device is the same behind every node. */
static struct view_identity identity_of(const struct stat *st)
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
	image->identity = identity_of(st);
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
	struct view_identity identity = identity_of(st);
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

/* ---- opening ------------------------------------------------------------- */

static char *file_of(const struct view_image *image)
{
	LOCK_SCOPE(&image->images->lock);
	return strdup(image->file);
}

static bool is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -EAGAIN; /* the last one: of connections to the opener */
}

int view_shortage(struct cache_op *op, int error)
{
	if (!is_shortage(error))
		return error;
	op->retry_ns = WAIT_RETRY_BUSY_NS;
	op->rule = "there are too few file descriptors";
	return -EINPROGRESS;
}

/* A descriptor of just this image, or a negative error. */
static int open_image(const struct view_image *image)
{
	CLEANUP_FREE char *file = file_of(image);
	CLEANUP_FD int dir_fd = view_source_open(NULL, image->images->source, O_PATH);
	CLEANUP_FD int fd = dir_fd < 0 ? dir_fd : file ? opener_open(file) : -ENOMEM;
	struct view_identity identity;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0) {
		static _Atomic long long last;
		int error = fd < 0 ? fd : -errno;

		if (error != -ENOENT && !is_shortage(error) && log_allowed(&last))
			log_line(LOG_LEVEL_ERROR, "%s: cannot be opened: %s", image->name, strerror(-error));
		return error == -ENOENT ? -ESTALE : is_shortage(error) ? error : -EIO;
	}
	identity = identity_of(&st);
	if (!view_identity_equal(&identity, &image->identity))
		return -ESTALE;
	return steal_fd(&fd);
}

/* What is known of its writes: by the kernel's events where they can be had, and by what servers report. */
static int make_log(struct view_images *images, const struct cache_device *device, struct cache_image *cache)
{
	struct write_log *log;
	int error = write_log_new(&log);

	if (error != 0) {
		cache_image_put(cache);
		return error;
	}
	if (!images->settings.kernel)
		write_log_no_feed(log, images->settings.why_no_kernel);
	else if ((error = disk_silent_error(device)) != 0 ||
		 (error = kernel_feed_new(images->settings.kernel, disk_fd(device), log)) != 0)
		write_log_no_feed(log, kernel_why_not(error));
	cache_image_set_log(cache, log);
	return 0;
}

static int silent_fd(void *context, int fd)
{
	return kernel_silent_fd(context, fd);
}

/* Nothing is connected to before it is looked at. */
static int make_remote(struct view_image *image, struct cache_image **cache, int *fd_of_device)
{
	struct cache_device *device;
	struct write_log *log;
	int error = nbd_device_new(image->remote, &device);

	*fd_of_device = -1;
	if (error == 0)
		error = cache_image_new(image->images->settings.cache, device, 0, cache);
	if (error != 0)
		return error;
	error = write_log_new(&log);
	if (error == 0)
		cache_image_set_log(*cache, log);
	if (error == 0 && !image->images->settings.believe_nothing && nbd_available())
		error = nbd_writes_new(device, log);
	if (error != 0)
		cache_image_put(*cache);
	return error;
}

static int make_cache(struct view_image *image, struct cache_image **cache, int *fd_of_device)
{
	struct view_images *images = image->images;
	struct disk_options options = {
		.believe_nothing = images->settings.believe_nothing,
		.ctime_lag_ns = WAIT_CTIME_LAG_NS,
		.silent_fd = images->settings.kernel ? silent_fd : NULL,
		.context = images->settings.kernel,
		.descriptors_low = images->settings.descriptors_low,
	};
	struct cache_device *device;
	int fd, error;

	if (image->remote)
		return make_remote(image, cache, fd_of_device);
	fd = open_image(image);
	if (fd < 0)
		return fd;
	error = disk_new(fd, images->watch, &options, &device);
	if (error != 0)
		return error == -ENOMEM || is_shortage(error) ? error : -EIO;
	error = cache_image_new(images->settings.cache, device, disk_sector_bytes(device), cache);
	if (error == 0)
		error = make_log(images, device, *cache);
	if (error == 0)
		*fd_of_device = disk_fd(device);
	return error;
}

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

/* Until no more than so many are open, or being opened: close the least recently used. */
static void make_room(struct view_images *images, size_t open_max, int64_t before_ns)
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
			image_end(unused);
			continue;
		}
		if (!image)
			return;
		images->settings.let_go(images->settings.context, image);
		view_image_put_here(image);
		asked++;
	}
}

static size_t count_open(struct view_images *images, int change)
{
	LOCK_SCOPE(&images->lock);
	return images->open_count += (size_t)change;
}

/* Descriptors have run out, whoever has them: we do with half of the images, at least. */
#define SHORTAGE_TRIES 4

/*
 * Who has looked a file up and is about to open it would find it gone: what was used a moment
 * ago is closed only when few descriptors are left. The lowest free one is what the kernel gives.
 */
static int open_in_room(struct view_image *image, struct cache_image **cache, int *fd)
{
	struct view_images *images = image->images;
	size_t open = count_open(images, 1);
	static _Atomic long long last;
	int error;

	make_room(images, images->settings.open_max, queue_now_ns() - WAIT_IMAGE_IN_USE_NS);
	error = make_cache(image, cache, fd);
	if (error == 0 && *fd >= images->settings.descriptors_low)
		make_room(images, open - min_u64(open, 2), INT64_MAX);
	for (int tries = 1; is_shortage(error) && tries <= SHORTAGE_TRIES; tries++) {
		make_room(images, open >> tries, INT64_MAX);
		error = make_cache(image, cache, fd);
	}
	if (is_shortage(error) && log_allowed(&last))
		log_line(LOG_LEVEL_ERROR, "%s: cannot be opened: %s", image->name, strerror(-error));
	return error;
}

int view_image_open(struct view_image *image, struct cache_op *op, struct cache_image **cache)
{
	struct cache_image *none = NULL;
	int error, fd;

	*cache = atomic_load(&image->cache);
	if (*cache)
		return 0;
	if (!op->may_block)
		return -EAGAIN;
	error = open_in_room(image, cache, &fd);
	if (error == 0 && atomic_compare_exchange_strong(&image->cache, &none, *cache)) {
		atomic_store(&image->fd, fd);
		log_debug(LOG_DEBUG_IMAGES, "%s: opened", image->name);
		return 0;
	}
	count_open(image->images, -1);
	if (error == 0) {
		cache_image_put(*cache); /* somebody was faster */
		*cache = none;
	}
	return view_shortage(op, error);
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
	struct view_identity identity = identity_of(st);
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
	return file_of(image);
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
	struct view_image *surplus = image ? give_back(image) : NULL;

	if (surplus)
		image_end_soon(surplus);
}

void view_image_put_here(struct view_image *image)
{
	struct view_image *surplus = image ? give_back(image) : NULL;

	if (surplus)
		image_end(surplus);
}

/* ---- what no name leads to ------------------------------------------------ */

void view_image_let_go(struct view_image *image)
{
	struct view_images *images = image->images;

	pthread_mutex_lock(&images->lock);
	image->gone = true;
	pthread_mutex_unlock(&images->lock);
	images->settings.let_go(images->settings.context, image);
}

bool view_image_is_gone(struct view_image *image)
{
	LOCK_SCOPE(&image->images->lock);
	return image->gone;
}
