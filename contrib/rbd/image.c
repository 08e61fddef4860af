/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <time.h>

#include <nbdkit-plugin.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "objects.h"

#define IDLE_MAX 1024
#define TRIES 10
#define BELIEVED_SECONDS 10 /* by those who only read, and ask for no page */

static pthread_mutex_t images_lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, image) images = TAILQ_HEAD_INITIALIZER(images); /* latest used first */

static time_t now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* ---- all images; under images_lock unless it says otherwise -------------------------------------- */

static void image_free(struct image *image)
{
	if (!image)
		return;
	layout_release(&image->layout);
	counters_free(image->counters);
	if (image->data)
		rados_ioctx_destroy(image->data);
	free(image);
}

/* One whose memory can go, to be freed without the lock: that closes parents. No more than one is too many at
 * a time. */
static struct image *take_idle(void)
{
	struct image *image, *last = NULL;
	unsigned idle = 0;

	TAILQ_FOREACH(image, &images, all)
	if (image->users == 0) {
		idle++;
		last = image;
	}
	if (idle <= IDLE_MAX)
		return NULL;
	TAILQ_REMOVE(&images, last, all);
	return last;
}

static struct image *find(const char *id)
{
	struct image *image;

	TAILQ_FOREACH(image, &images, all)
	if (strcmp(image->layout.id, id) == 0)
		break;
	return image;
}

/* Nobody finds it any more; the last user frees it. Returns what the caller frees without the lock. */
static struct image *unlist(struct image *image)
{
	TAILQ_REMOVE(&images, image, all);
	image->listed = false;
	return image->users == 0 ? image : NULL;
}

static void use(struct image *image)
{
	image->users++;
	TAILQ_REMOVE(&images, image, all);
	TAILQ_INSERT_HEAD(&images, image, all);
}

/* Takes the lock. */
void image_put(struct image *image)
{
	struct image *unused;

	if (!image)
		return;
	pthread_mutex_lock(&images_lock);
	if (--image->users > 0)
		unused = NULL;
	else
		unused = image->listed ? take_idle() : image;
	pthread_mutex_unlock(&images_lock);
	image_free(unused);
}

void images_free(void)
{
	struct image *image;

	while ((image = TAILQ_FIRST(&images)) != NULL) {
		TAILQ_REMOVE(&images, image, all);
		image_free(image);
	}
}

/* ---- what is it made of ------------------------------------------------------------------------- */

/* The looks that versions are made of. */
static int prepare_looks(const struct pool *pool, const char *id, struct object_look looks[2])
{
	int r = object_look_at(&looks[0], pool->io, "rbd_header.", id);

	return r < 0 ? r : object_look_at(&looks[1], pool->settings, "rbd_info", "");
}

static struct versions versions_of(const struct object_look looks[2])
{
	return (struct versions){ looks[0].version, looks[1].version };
}

static int look_at_versions(const struct pool *pool, const char *id, struct versions *versions)
{
	struct object_look looks[2];
	int r = prepare_looks(pool, id, looks);

	if (r == 0)
		r = objects_look(looks, 2);
	*versions = versions_of(looks);
	return r;
}

static int prepare(struct pool *pool, struct image *image)
{
	uint64_t objects = (image->layout.size_bytes >> image->layout.object_shift) + 1;
	int r = rados_ioctx_create2(pool->cluster, image->layout.data_pool, &image->data);

	if (r < 0)
		return r;
	rados_ioctx_set_namespace(image->data, pool->name_space ? pool->name_space : "");
	image->counters = counters_new(min_u64(objects, IMAGE_COUNTERS_MAX));
	if (!image->counters)
		return -ENOMEM;
	return getrandom(image->instance, IMAGE_INSTANCE_BYTES, 0) == IMAGE_INSTANCE_BYTES ? 0 : -EIO;
}

static int load_once(struct pool *pool, const char *id, struct image **loaded)
{
	struct image *image = calloc(1, sizeof(*image));
	int r;

	if (!image)
		return -ENOMEM;
	r = layout_read(pool, id, &image->layout);
	if (r == 0 && !image->layout.refusal)
		r = prepare(pool, image);
	if (r < 0) {
		image_free(image);
		return r;
	}
	*loaded = image;
	return 0;
}

/* What librbd says, and the versions that it goes with: these were the same before and after. */
static int load(struct pool *pool, const char *id, const struct versions *seen, struct image **image)
{
	struct versions before = *seen, after;
	int r;

	for (int i = 0; i < TRIES; i++) {
		r = load_once(pool, id, image);
		if (r < 0)
			return r;
		r = look_at_versions(pool, id, &after);
		if (r == 0 && after.header == before.header && after.settings == before.settings) {
			(*image)->versions = after;
			return 0;
		}
		image_free(*image);
		*image = NULL;
		if (r < 0 || after.header == OBJECT_ABSENT)
			return r < 0 ? r : -ENOENT;
		before = after;
	}
	return -EBUSY;
}

/*
 * The image that was loaded is what its id means now. If it is made as before, the one of before stays, with
 * what it counted: what came and went in between (a snapshot, a size that is again what it was) shows in the
 * versions of objects, and an overlap with the parent never grows again.
 */
static struct image *publish(struct image *loaded)
{
	struct image *old, *unused;
	bool again;

	pthread_mutex_lock(&images_lock);
	old = find(loaded->layout.id);
	again = old && layout_same(&old->layout, &loaded->layout);
	if (again) {
		old->versions = loaded->versions;
		unused = loaded;
		loaded = old;
	} else {
		unused = old ? unlist(old) : NULL;
		loaded->listed = true;
		TAILQ_INSERT_HEAD(&images, loaded, all);
	}
	loaded->believed_until = now_seconds() + BELIEVED_SECONDS;
	use(loaded);
	pthread_mutex_unlock(&images_lock);
	if (!again && loaded->layout.refusal)
		nbdkit_error("imagefs-rbd: image %s is refused: %s", loaded->layout.id,
			     loaded->layout.refusal);
	image_free(unused);
	return loaded;
}

/* ---- what does it mean now ---------------------------------------------------------------- */

/* The one that is known by that id, in hand, if it was read with these versions. */
static struct image *use_known(const char *id, const struct versions *versions)
{
	struct image *image;

	LOCK_SCOPE(&images_lock);
	image = find(id);
	if (!image || image->versions.header != versions->header ||
	    image->versions.settings != versions->settings)
		return NULL;
	image->believed_until = now_seconds() + BELIEVED_SECONDS;
	use(image);
	return image;
}

static void forget(const char *id)
{
	struct image *image, *unused = NULL;

	pthread_mutex_lock(&images_lock);
	image = find(id);
	if (image)
		unused = unlist(image);
	pthread_mutex_unlock(&images_lock);
	image_free(unused);
}

/* As image_follow, but of an id that had these versions a moment ago. */
static int follow_versions(struct pool *pool, const char *id, const struct versions *versions,
			   struct image **image)
{
	struct image *now = NULL;
	int r = 0;

	if (versions->header == OBJECT_ABSENT) {
		forget(id);
		return -ENOENT;
	}
	now = use_known(id, versions);
	if (!now) {
		r = load(pool, id, versions, &now);
		if (r < 0)
			return r;
		now = publish(now);
	}
	if (now->layout.refusal) {
		image_put(now);
		return -EPERM;
	}
	image_put(*image);
	*image = now;
	return 0;
}

int image_follow_id(struct pool *pool, const char *id, struct image **image)
{
	struct versions versions;
	int r = look_at_versions(pool, id, &versions);

	return r < 0 ? r : follow_versions(pool, id, &versions, image);
}

/* rbd_id.NAME has the id, behind its length. */
static int parse_id(const unsigned char *bytes, size_t length, char *id)
{
	uint32_t id_length;

	if (length < 4)
		return -EPROTO;
	id_length = get_le32(bytes);
	if (id_length == 0 || id_length >= LAYOUT_ID_BYTES || id_length > length - 4 ||
	    memchr(bytes + 4, '\0', id_length))
		return -EPROTO;
	memcpy(id, bytes + 4, id_length);
	id[id_length] = '\0';
	return 0;
}

/* With an image in hand its versions are looked at together with its name: usually that is all. */
int image_follow(struct pool *pool, const char *name, struct image **image)
{
	unsigned char bytes[4 + LAYOUT_ID_BYTES];
	struct object_look looks[3]; /* the name, and the versions of the image in hand */
	struct versions versions;
	char id[LAYOUT_ID_BYTES];
	int r;

	if (object_look_at(&looks[0], pool->io, "rbd_id.", name) < 0)
		return -ENOENT;
	looks[0].buffer = bytes;
	looks[0].length_bytes = sizeof(bytes);
	r = *image ? prepare_looks(pool, (*image)->layout.id, looks + 1) : 0;
	if (r == 0)
		r = objects_look(looks, *image ? 3 : 1);
	if (r < 0)
		return r;
	if (looks[0].version == OBJECT_ABSENT)
		return -ENOENT;
	r = parse_id(bytes, looks[0].got_bytes, id);
	if (r < 0)
		return r;
	if (!*image || strcmp(id, (*image)->layout.id) != 0)
		return image_follow_id(pool, id, image);
	versions = versions_of(looks + 1);
	return follow_versions(pool, id, &versions, image);
}

int image_follow_at_times(struct pool *pool, struct image **image)
{
	bool due;

	pthread_mutex_lock(&images_lock);
	due = now_seconds() >= (*image)->believed_until;
	pthread_mutex_unlock(&images_lock);
	return due ? image_follow_id(pool, (*image)->layout.id, image) : 0;
}
