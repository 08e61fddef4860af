/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/inode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define BUCKETS 16384

struct inodes {
	pthread_mutex_t lock; /* leaf; held for table work only */
	struct inode *by_id[BUCKETS];
	struct inode *by_key[BUCKETS]; /* links by name, images by image and number */
	struct inode root;
};

struct inodes *inodes_new(void)
{
	struct inodes *inodes = calloc(1, sizeof(*inodes));

	if (!inodes)
		return NULL;
	pthread_mutex_init(&inodes->lock, NULL);
	inodes->root = (struct inode){ .id = 1, .kind = INODE_ROOT, .lookups = 1 };
	inodes->by_id[1] = &inodes->root;
	return inodes;
}

/* ---- the table; all under the lock --------------------------------------- */

static struct inode **id_bucket(struct inodes *inodes, uint64_t id)
{
	return &inodes->by_id[id % BUCKETS];
}

static size_t key_hash(enum inode_kind kind, const char *name, const struct view_image *image, unsigned number)
{
	size_t hash = 5381;

	if (kind == INODE_IMAGE)
		return ((uintptr_t)image / sizeof(void *) + number * 7919) % BUCKETS;
	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash % BUCKETS;
}

static struct inode **key_bucket(struct inodes *inodes, const struct inode *inode)
{
	return &inodes->by_key[key_hash(inode->kind, inode->name, inode->image, inode->number)];
}

static bool has_key(const struct inode *inode)
{
	return inode->kind == INODE_LINK || inode->kind == INODE_IMAGE;
}

static void insert(struct inodes *inodes, struct inode *inode)
{
	inode->next = *id_bucket(inodes, inode->id);
	*id_bucket(inodes, inode->id) = inode;
	if (!has_key(inode))
		return;
	inode->next_by_key = *key_bucket(inodes, inode);
	*key_bucket(inodes, inode) = inode;
}

static void remove_inode(struct inodes *inodes, struct inode *inode)
{
	struct inode **at = id_bucket(inodes, inode->id);

	while (*at != inode)
		at = &(*at)->next;
	*at = inode->next;
	if (!has_key(inode))
		return;
	for (at = key_bucket(inodes, inode); *at != inode;)
		at = &(*at)->next_by_key;
	*at = inode->next_by_key;
}

static struct inode *find_id(struct inodes *inodes, uint64_t id)
{
	struct inode *inode = *id_bucket(inodes, id);

	while (inode && inode->id != id)
		inode = inode->next;
	return inode;
}

static struct inode *find_key(struct inodes *inodes, const struct inode *wanted)
{
	struct inode *inode = *key_bucket(inodes, wanted);

	for (; inode; inode = inode->next_by_key) {
		if (inode->kind != wanted->kind)
			continue;
		if (inode->kind == INODE_IMAGE && inode->image == wanted->image && inode->number == wanted->number)
			return inode;
		if (inode->kind == INODE_LINK && strcmp(inode->name, wanted->name) == 0)
			return inode;
	}
	return NULL;
}

/* ---- life ---------------------------------------------------------------- */

/* Give back what the inode holds; without the lock, since that may end an image. */
static void release(struct inode *inode)
{
	if (inode->dir)
		cache_dir_put(inode->dir);
	if (inode->version)
		cache_version_put(inode->version);
	view_image_put(inode->image);
	free(inode->name);
}

/* Under the lock: is it unused, and now out of the table? */
static bool drop_if_unused(struct inodes *inodes, struct inode *inode)
{
	if (inode->lookups > 0 || inode->references > 0 || inode == &inodes->root)
		return false;
	remove_inode(inodes, inode);
	return true;
}

/* Below a directory of the partition: for status, so it may be missing. */
static char *path_below(const struct inode *parent, const char *name)
{
	char *path;

	if (parent->kind != INODE_DIR || !parent->name)
		return strdup(name);
	return asprintf(&path, "%s/%s", parent->name, name) < 0 ? NULL : path;
}

/*
 * The inode like `wanted`, made if there is none; what `wanted` holds is used up.
 * `parent` and `name` say where one is made that has no key.
 */
static struct inode *lookup(struct inodes *inodes, struct inode *wanted, const struct inode *parent, const char *name)
{
	struct inode *inode, *made = NULL;

	pthread_mutex_lock(&inodes->lock);
	inode = has_key(wanted) ? find_key(inodes, wanted) : find_id(inodes, wanted->id);
	if (!inode) {
		made = malloc(sizeof(*made));
		if (made) {
			*made = *wanted;
			if (made->id == 0)
				made->id = cache_next_id();
			if (parent)
				made->name = path_below(parent, name);
			insert(inodes, made);
			inode = made;
		}
	}
	if (inode)
		inode->lookups++;
	pthread_mutex_unlock(&inodes->lock);
	if (!made)
		release(wanted);
	return inode;
}

struct inode *inodes_of_link(struct inodes *inodes, const char *name)
{
	struct inode wanted = { .kind = INODE_LINK, .name = strdup(name) };

	return wanted.name ? lookup(inodes, &wanted, NULL, NULL) : NULL;
}

struct inode *inodes_of_image(struct inodes *inodes, struct view_image *image, unsigned number)
{
	struct inode wanted = { .kind = INODE_IMAGE, .image = image, .number = number };

	return lookup(inodes, &wanted, NULL, NULL);
}

struct inode *inodes_of_node(struct inodes *inodes, const struct inode *parent, const char *name,
			     struct view_image *image, const struct cache_node *node)
{
	struct inode wanted = { .id = node->attributes.id, .image = image };

	if (node->kind == CACHE_NODE_DIR) {
		wanted.kind = INODE_DIR;
		wanted.dir = node->dir;
	} else {
		wanted.kind = INODE_FILE;
		wanted.version = node->version;
	}
	return lookup(inodes, &wanted, parent, name);
}

void inodes_forget(struct inodes *inodes, uint64_t id, uint64_t count)
{
	struct inode *inode;
	bool gone = false;

	pthread_mutex_lock(&inodes->lock);
	inode = find_id(inodes, id);
	if (inode) {
		inode->lookups -= inode->lookups < count ? inode->lookups : count;
		gone = drop_if_unused(inodes, inode);
	}
	pthread_mutex_unlock(&inodes->lock);
	if (gone) {
		release(inode);
		free(inode);
	}
}

struct inode *inodes_get(struct inodes *inodes, uint64_t id)
{
	struct inode *inode;

	LOCK_SCOPE(&inodes->lock);
	inode = find_id(inodes, id);
	if (inode)
		inode->references++;
	return inode;
}

void inodes_put(struct inodes *inodes, struct inode *inode)
{
	bool gone;

	if (!inode)
		return;
	pthread_mutex_lock(&inodes->lock);
	inode->references--;
	gone = drop_if_unused(inodes, inode);
	pthread_mutex_unlock(&inodes->lock);
	if (gone) {
		release(inode);
		free(inode);
	}
}
