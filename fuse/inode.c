/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/inode.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

#define BUCKETS 16384

/* What the inodes below one name of the mount may take: some 8,000 of them; and those below all. */
#define TOP_BYTES ((uint64_t)2 << 20)
#define ALL_BYTES ((uint64_t)64 << 20)

/* To make room for one, so many are looked at; and if none of them can go, again with the next one, up to */
#define LOOKED_AT_MAX 8
#define TOP_BYTES_MAX (4 * TOP_BYTES)

struct inodes {
	pthread_mutex_t lock; /* held for table work only; above that of the images */
	struct inode *by_id[BUCKETS];
	struct inode *by_key[BUCKETS]; /* all but files, by kind, parent, name and text */
	struct inode root;
	struct share *memory;
	struct order tops; /* that something is below */
	uint64_t bytes;		 /* of all that is below them */
};

struct inodes *inodes_new(struct share *memory)
{
	struct inodes *inodes = calloc(1, sizeof(*inodes));

	if (!inodes)
		return NULL;
	pthread_mutex_init(&inodes->lock, NULL);
	inodes->root = (struct inode){ .id = 1, .kind = INODE_ROOT, .lookups = 1, .top = &inodes->root };
	inodes->by_id[1] = &inodes->root;
	inodes->memory = memory;
	return inodes;
}

/* ---- places --------------------------------------------------------------- */

static void give_back(const struct place *place)
{
	if (place->dir)
		cache_dir_put(place->dir);
	if (place->root)
		cache_dir_put(place->root);
	if (place->version)
		cache_version_put(place->version);
	own_file_put(place->own);
	view_image_put(place->image);
}

struct place *place_new(struct view_image *image, struct cache_dir *root, struct cache_dir *dir,
			struct cache_version *version)
{
	struct place *place = malloc(sizeof(*place));
	struct place here = { .users = 1, .image = image, .root = root, .dir = dir, .version = version };

	if (place)
		memcpy(place, &here, sizeof(here));
	else
		give_back(&here);
	return place;
}

void place_put(struct place *place)
{
	if (!place || atomic_fetch_sub(&place->users, 1) > 1)
		return;
	give_back(place);
	free(place);
}

static struct place *place_ref(struct place *place)
{
	if (place)
		atomic_fetch_add(&place->users, 1);
	return place;
}

/* ---- the table; all under the lock --------------------------------------- */

static struct inode **id_bucket(struct inodes *inodes, uint64_t id)
{
	return &inodes->by_id[id % BUCKETS];
}

static struct inode **key_bucket(struct inodes *inodes, const struct inode *inode)
{
	uint64_t seed = (inode->parent ? inode->parent->id : 0) + inode->kind * UINT64_C(7919);

	return &inodes->by_key[text_hash(inode->name, seed) % BUCKETS];
}

static bool has_key(const struct inode *inode)
{
	return inode->kind != INODE_FILE;
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

static bool is_like(const struct inode *inode, const struct inode *wanted)
{
	return inode->kind == wanted->kind && inode->parent == wanted->parent && strcmp(inode->name, wanted->name) == 0 &&
	       (!inode->text || strcmp(inode->text, wanted->text) == 0);
}

static struct inode *find_key(struct inodes *inodes, const struct inode *wanted)
{
	struct inode *inode = *key_bucket(inodes, wanted);

	while (inode && !is_like(inode, wanted))
		inode = inode->next_by_key;
	return inode;
}

/* Put the inode in the place, a user of which is taken over; the last place is the caller's to put. */
static struct place *bind_place(struct inode *inode, struct place *place)
{
	struct place *last = inode->place;

	if (last) {
		*inode->bound_link = inode->next_bound;
		if (inode->next_bound)
			inode->next_bound->bound_link = inode->bound_link;
	}
	inode->place = place;
	if (place) {
		inode->next_bound = place->image->bound;
		inode->bound_link = &place->image->bound;
		if (inode->next_bound)
			inode->next_bound->bound_link = &inode->next_bound;
		place->image->bound = inode;
	}
	return last;
}

/* ---- how much there is of them; under the lock ----------------------------- */

static struct inode *inode_of(struct order_link *link)
{
	return ORDER_OWNER(link, struct inode, by_use);
}

/* It is the last one that was used. */
static void touch(struct inodes *inodes, struct inode *inode)
{
	struct inode *top = inode->top;

	if (inode == top || &inode->by_use == top->below.newest)
		return;
	order_use(&top->below, &inode->by_use);
	order_use(&inodes->tops, &top->by_use);
}

static void count_below(struct inodes *inodes, struct inode *inode, bool added)
{
	uint64_t bytes = sizeof(*inode) + sizeof(struct place) + strlen(inode->name) + 1;
	struct inode *top = inode->top;

	share_count(inodes->memory, added ? 0 : bytes, added ? bytes : 0);
	inodes->bytes += added ? bytes : -bytes;
	top->below_bytes += added ? bytes : -bytes;
}

static void add_below(struct inodes *inodes, struct inode *inode)
{
	struct inode *top = inode->top;

	if (inode == top)
		return;
	if (!top->below.newest)
		order_add(&inodes->tops, &top->by_use);
	order_add(&top->below, &inode->by_use);
	count_below(inodes, inode, true);
}

static void take_below(struct inodes *inodes, struct inode *inode)
{
	struct inode *top = inode->top;

	if (inode == top)
		return;
	order_take(&top->below, &inode->by_use);
	if (!top->below.newest)
		order_take(&inodes->tops, &top->by_use);
	count_below(inodes, inode, false);
}

/*
 * The inode, and what it was the last child of, if nobody needs them: out of the
 * table, in front of the list by `next`. As long as the path is deep, and each inode
 * is dropped once.
 */
static struct inode *drop_unused(struct inodes *inodes, struct inode *inode, struct inode *dropped)
{
	/* One that is open may have been forgotten too early: what was told of it before is not known. */
	while (inode && inode != &inodes->root && inode->lookups == 0 && inode->references == 0 && inode->opens == 0) {
		struct inode *parent = inode->parent;
		struct place *place = bind_place(inode, NULL);

		take_below(inodes, inode);
		remove_inode(inodes, inode);
		inode->place = place; /* what is left to give back */
		inode->next = dropped;
		dropped = inode;
		if (parent)
			parent->references--;
		inode = parent;
	}
	return dropped;
}

/* There is one more, `added`, and may be too many below its top, or in all. As drop_unused. */
static struct inode *drop_surplus(struct inodes *inodes, struct inode *added)
{
	struct inode *dropped = NULL;

	for (int i = 0; i < LOOKED_AT_MAX; i++) {
		struct inode *top = added->top->below_bytes > TOP_BYTES ? added->top :
				    inodes->bytes > ALL_BYTES		? inode_of(inodes->tops.oldest) :
									  NULL;
		struct inode *oldest = top ? inode_of(top->below.oldest) : NULL;

		if (!oldest || oldest == added)
			break;
		touch(inodes, oldest);
		if (oldest->references > 0 || oldest->opens > 0)
			continue;
		oldest->lookups = 0;
		dropped = drop_unused(inodes, oldest, dropped);
	}
	return dropped;
}

/* Without the lock, since it may end an image. */
static void free_dropped(struct inode *inode)
{
	while (inode) {
		struct inode *next = inode->next;

		place_put(inode->place);
		free(inode->name);
		free(inode->text);
		free(inode);
		inode = next;
	}
}

/* ---- lookups -------------------------------------------------------------- */

/* A new one in the table like `wanted`. NULL: no memory. */
static struct inode *make(struct inodes *inodes, const struct inode *wanted)
{
	bool full = wanted->parent && wanted->parent->top->below_bytes > TOP_BYTES_MAX;
	struct inode *made = full ? NULL : malloc(sizeof(*made));
	char *name = strdup(wanted->name), *text = wanted->text ? strdup(wanted->text) : NULL;

	if (!made || !name || (wanted->text && !text)) {
		free(made);
		free(name);
		free(text);
		return NULL;
	}
	*made = *wanted;
	made->name = name;
	made->text = text;
	if (made->id == 0)
		made->id = cache_next_id();
	made->top = made->parent ? made->parent->top : made;
	if (made->parent) {
		made->parent->references++;
		made->depth = made->parent->depth + 1;
	}
	insert(inodes, made);
	add_below(inodes, made);
	return made;
}

/* The inode like `wanted`, made if there is none, in `place`, which is used up. */
static struct inode *lookup(struct inodes *inodes, const struct inode *wanted, struct place *place)
{
	struct inode *inode, *dropped = NULL;

	pthread_mutex_lock(&inodes->lock);
	inode = has_key(wanted) ? find_key(inodes, wanted) : find_id(inodes, wanted->id);
	if (inode)
		touch(inodes, inode);
	else if ((inode = make(inodes, wanted)))
		dropped = drop_surplus(inodes, inode);
	if (inode) {
		inode->lookups++;
		inode->references++;
		if (place && inode->opens == 0)
			place = bind_place(inode, place);
	}
	pthread_mutex_unlock(&inodes->lock);
	place_put(place);
	free_dropped(dropped);
	return inode;
}

struct inode *inodes_of_link(struct inodes *inodes, const char *name, const char *text)
{
	struct inode wanted = { .kind = INODE_LINK, .name = (char *)name, .text = (char *)text };

	return lookup(inodes, &wanted, NULL);
}

struct inode *inodes_of_image(struct inodes *inodes, const char *name, struct view_image *image)
{
	struct inode wanted = { .kind = INODE_IMAGE, .name = (char *)name };
	struct place *place = place_new(image, NULL, NULL, NULL);

	return place ? lookup(inodes, &wanted, place) : NULL;
}

struct inode *inodes_of_node(struct inodes *inodes, struct inode *parent, const char *name,
			     const struct place *in, const struct cache_node *node)
{
	struct inode wanted = { .parent = parent, .name = (char *)name };
	struct view_image *image = view_image_ref(in->image);
	struct place *place;

	if (node->kind == CACHE_NODE_DIR) {
		wanted.kind = INODE_DIR;
		wanted.name = (char *)node->name;
		place = place_new(image, cache_dir_ref(in->root), node->dir, NULL);
	} else {
		wanted.kind = INODE_FILE;
		wanted.id = node->attributes.id;
		place = place_new(image, NULL, NULL, node->version);
	}
	return place ? lookup(inodes, &wanted, place) : NULL;
}

struct inode *inodes_of_own(struct inodes *inodes, struct inode *parent, const char *name, const struct place *in,
			    struct own_file *own)
{
	struct inode wanted = { .kind = INODE_FILE, .id = own_file_id(own), .parent = parent, .name = (char *)name };
	struct place *place = place_new(view_image_ref(in->image), NULL, NULL, NULL);

	if (!place) {
		own_file_put(own);
		return NULL;
	}
	place->own = own;
	return lookup(inodes, &wanted, place);
}

void inodes_forget(struct inodes *inodes, uint64_t id, uint64_t count)
{
	struct inode *inode, *dropped = NULL;

	pthread_mutex_lock(&inodes->lock);
	inode = find_id(inodes, id);
	if (inode) {
		inode->lookups -= inode->lookups < count ? inode->lookups : count;
		dropped = drop_unused(inodes, inode, NULL);
	}
	pthread_mutex_unlock(&inodes->lock);
	free_dropped(dropped);
}

struct inode *inodes_get(struct inodes *inodes, uint64_t id)
{
	struct inode *inode;

	LOCK_SCOPE(&inodes->lock);
	inode = find_id(inodes, id);
	if (inode) {
		inode->references++;
		touch(inodes, inode);
	}
	return inode;
}

void inodes_put(struct inodes *inodes, struct inode *inode)
{
	struct inode *dropped;

	if (!inode)
		return;
	pthread_mutex_lock(&inodes->lock);
	inode->references--;
	dropped = drop_unused(inodes, inode, NULL);
	pthread_mutex_unlock(&inodes->lock);
	free_dropped(dropped);
}

/* ---- where they are ------------------------------------------------------- */

struct place *inodes_place(struct inodes *inodes, struct inode *inode)
{
	LOCK_SCOPE(&inodes->lock);
	return place_ref(inode->place);
}

void inodes_bind(struct inodes *inodes, struct inode *inode, struct place *place)
{
	struct place *last;

	pthread_mutex_lock(&inodes->lock);
	last = bind_place(inode, place_ref(place));
	pthread_mutex_unlock(&inodes->lock);
	place_put(last);
}

struct view_image *inodes_image(struct inodes *inodes, struct inode *inode)
{
	LOCK_SCOPE(&inodes->lock);
	return inode->place ? view_image_ref(inode->place->image) : NULL;
}

void inodes_opened(struct inodes *inodes, struct inode *inode, struct place *place)
{
	struct place *last = NULL;

	pthread_mutex_lock(&inodes->lock);
	if (inode->opens++ == 0 && inode->place != place)
		last = bind_place(inode, place_ref(place));
	pthread_mutex_unlock(&inodes->lock);
	place_put(last);
}

void inodes_closed(struct inodes *inodes, struct inode *inode)
{
	LOCK_SCOPE(&inodes->lock);
	inode->opens--;
}

bool inodes_is_open(struct inodes *inodes, const struct inode *inode)
{
	LOCK_SCOPE(&inodes->lock);
	return inode->opens > 0;
}

bool inodes_let_go(struct inodes *inodes, struct view_image *image)
{
	struct inode *inode, *next;
	struct place *first = NULL;
	bool all;

	/* One at a time: a place given back may end much. Bounded by the inodes of the image. */
	do {
		place_put(first);
		first = NULL;
		pthread_mutex_lock(&inodes->lock);
		for (inode = image->bound; inode && !first; inode = next) {
			next = inode->next_bound;
			if (inode->opens == 0)
				first = bind_place(inode, NULL);
		}
		all = !image->bound;
		pthread_mutex_unlock(&inodes->lock);
	} while (first);
	return all;
}
