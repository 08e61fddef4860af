/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/recent.h"

#include <string.h>

#include "base/cleanup.h"

void recent_init(struct recent *recent)
{
	memset(recent, 0, sizeof(*recent));
	pthread_mutex_init(&recent->lock, NULL);
}

void recent_note(struct recent *recent, const struct recent_request *request)
{
	struct recent_request *place;

	LOCK_SCOPE(&recent->lock);
	place = &recent->requests[recent->count % RECENT_COUNT];
	*place = *request;
	place->sequence = ++recent->count;
}

size_t recent_copy(struct recent *recent, struct recent_request copy[RECENT_COUNT])
{
	size_t count;

	LOCK_SCOPE(&recent->lock);
	count = recent->count < RECENT_COUNT ? (size_t)recent->count : RECENT_COUNT;
	for (size_t i = 0; i < count; i++)
		copy[i] = recent->requests[(recent->count - count + i) % RECENT_COUNT];
	return count;
}
