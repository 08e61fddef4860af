/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "counters.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define BLOCK 512
#define FIRST 1 /* for others: 0 */

struct counter {
	uint64_t version;
	uint64_t number; /* 0: not noted yet; FIRST: with one version */
};

struct counters {
	pthread_mutex_t lock; /* for all blocks */
	uint64_t block_count;
	struct counter *blocks[]; /* NULL: none of them was looked at */
};

/* The row begins behind FIRST. It does not end: 2^64 changes take longer. */
static _Atomic uint64_t row = FIRST;

uint64_t counters_draw(void)
{
	return atomic_fetch_add(&row, 1) + 1;
}

struct counters *counters_new(uint64_t count)
{
	uint64_t blocks = count / BLOCK + 1;
	struct counters *counters = calloc(1, sizeof(*counters) + blocks * sizeof(struct counter *));

	if (!counters)
		return NULL;
	pthread_mutex_init(&counters->lock, NULL);
	counters->block_count = blocks;
	return counters;
}

void counters_free(struct counters *counters)
{
	if (!counters)
		return;
	for (uint64_t i = 0; i < counters->block_count; i++)
		free(counters->blocks[i]);
	pthread_mutex_destroy(&counters->lock);
	free(counters);
}

bool counters_note(struct counters *counters, uint64_t index, uint64_t version, uint64_t *number)
{
	struct counter **block = &counters->blocks[index / BLOCK];
	struct counter *counter;

	LOCK_SCOPE(&counters->lock);
	if (!*block)
		*block = calloc(BLOCK, sizeof(struct counter));
	if (!*block)
		return false;
	counter = *block + index % BLOCK;
	if (counter->number == 0)
		*counter = (struct counter){ version, FIRST };
	else if (counter->version != version)
		*counter = (struct counter){ version, counters_draw() };
	*number = counter->number == FIRST ? 0 : counter->number;
	return true;
}

bool counters_noted(struct counters *counters, uint64_t index)
{
	const struct counter *block;

	LOCK_SCOPE(&counters->lock);
	block = counters->blocks[index / BLOCK];
	return block && block[index % BLOCK].number != 0;
}
