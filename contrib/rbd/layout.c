/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "layout.h"

#include <errno.h>
#include <string.h>

#include <nbdkit-plugin.h>
#include <rbd/features.h>
#include <rbd/librbd.h>

#include "policy.h"

/* NULL with *r < 0 when it cannot be told. */
static const char *refuse(rbd_image_t rbd, const struct pool *pool, const struct layout *layout, int *r)
{
	uint64_t features = 0, stripe_unit = 0, stripe_count = 0;
	const char *objection;

	*r = rbd_get_features(rbd, &features);
	if (*r == 0)
		*r = rbd_get_stripe_unit(rbd, &stripe_unit);
	if (*r == 0)
		*r = rbd_get_stripe_count(rbd, &stripe_count);
	if (*r < 0)
		return NULL;
	if (features & RBD_FEATURE_MIGRATING)
		return "it is being migrated";
	if (stripe_count != 1 || stripe_unit != (uint64_t)1 << layout->object_shift)
		return "it is striped over several objects";
	objection = policy_of_image(rbd, r);
	if (objection && *r == 0 && pool->allow_writeback) {
		nbdkit_error("imagefs-rbd: warning: image %s: %s: readers may see what is old", layout->id,
			     objection);
		objection = NULL;
	}
	return *r == 0 ? objection : NULL;
}

static int ask_librbd(rbd_image_t rbd, struct pool *pool, struct layout *layout)
{
	rbd_image_info_t info;
	int r = rbd_stat(rbd, &info, sizeof(info));

	if (r < 0)
		return r;
	if (info.order < 12 || info.order > 25)
		return -EINVAL;
	layout->object_shift = (unsigned)info.order;
	layout->size_bytes = info.size;
	layout->refusal = refuse(rbd, pool, layout, &r);
	if (r < 0 || layout->refusal)
		return r;
	r = rbd_get_block_name_prefix(rbd, layout->prefix, sizeof(layout->prefix));
	if (r < 0)
		return r;
	layout->data_pool = rbd_get_data_pool_id(rbd);
	r = parent_get(pool->cluster, rbd, &layout->parent);
	return r < 0 || !layout->parent ? r : rbd_get_overlap(rbd, &layout->overlap_bytes);
}

int layout_read(struct pool *pool, const char *id, struct layout *layout)
{
	rbd_image_t rbd;
	int r;

	*layout = (struct layout){ .data_pool = -1 };
	strcpy(layout->id, id);
	r = rbd_open_by_id_read_only(pool->io, id, &rbd, NULL);
	if (r < 0)
		return r;
	r = ask_librbd(rbd, pool, layout);
	rbd_close(rbd);
	if (r < 0)
		layout_release(layout);
	return r;
}

void layout_release(struct layout *layout)
{
	parent_put(layout->parent);
	layout->parent = NULL;
}

/* One parent is one struct while it is held. */
bool layout_same(const struct layout *a, const struct layout *b)
{
	return a->refusal == b->refusal && a->size_bytes == b->size_bytes && a->parent == b->parent &&
	       a->overlap_bytes == b->overlap_bytes && a->data_pool == b->data_pool &&
	       a->object_shift == b->object_shift && strcmp(a->prefix, b->prefix) == 0;
}
