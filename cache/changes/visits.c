/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/visits.h"

#include "base/cleanup.h"

struct visit {
	dev_t device;
	ino_t inode;
	struct visit *next;
};

void visits_init(struct visits *visits)
{
	pthread_mutex_init(&visits->lock, NULL);
}

void visits_make(struct visits *visits, const struct stat *st, void (*act)(void *context), void *context)
{
	struct visit visit = { .device = st->st_dev, .inode = st->st_ino }, **at = &visits->first;

	pthread_mutex_lock(&visits->lock);
	visit.next = visits->first;
	visits->first = &visit;
	pthread_mutex_unlock(&visits->lock);
	act(context);
	LOCK_SCOPE(&visits->lock);
	while (*at != &visit)
		at = &(*at)->next;
	*at = visit.next;
}

bool visits_have(struct visits *visits, dev_t device, ino_t inode)
{
	const struct visit *visit;

	LOCK_SCOPE(&visits->lock);
	for (visit = visits->first; visit && (visit->device != device || visit->inode != inode);)
		visit = visit->next;
	return visit;
}
