/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What contrib/rbd/counters.h promises: the same number twice, and nothing else was seen in between. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdint.h>

#include "contrib/rbd/counters.h"

#define ABSENT 0

static uint64_t note(struct counters *counters, uint64_t index, uint64_t version)
{
	uint64_t number;

	cr_assert(counters_note(counters, index, version, &number) && counters_noted(counters, index));
	return number;
}

Test(rbd_counters, another_version_is_another_number)
{
	struct counters *counters = counters_new(2000);
	uint64_t first;

	cr_assert(!counters_noted(counters, 1999));
	cr_assert(note(counters, 1999, 7) == 0 && note(counters, 1999, 7) == 0);
	cr_assert(!counters_noted(counters, 1998));
	first = note(counters, 1999, 8);
	cr_assert(first != 0 && note(counters, 1999, 8) == first);
	cr_assert(note(counters, 1999, 7) > first, "what came back was away");
	counters_free(counters);
}

/* It has what it had; but who read it in between has something else. */
Test(rbd_counters, what_came_and_went_was_seen)
{
	struct counters *counters = counters_new(1);
	uint64_t before = note(counters, 0, ABSENT);

	note(counters, 0, 3);
	cr_assert(note(counters, 0, ABSENT) != before);
	counters_free(counters);
}

/* Also when an answer comes late. */
Test(rbd_counters, no_number_comes_again)
{
	struct counters *counters = counters_new(1);
	uint64_t last = note(counters, 0, 5000);

	for (uint64_t version = 1; version < 1000; version++) {
		uint64_t late = note(counters, 0, version - 1);
		uint64_t number = note(counters, 0, version);

		cr_assert(late >= last && number > late);
		last = number;
	}
	counters_free(counters);
}

Test(rbd_counters, images_have_no_number_in_common)
{
	struct counters *one = counters_new(4), *other = counters_new(4);

	for (uint64_t i = 0; i < 4; i++)
		note(one, i, 4), note(other, i, 4);
	for (uint64_t i = 0; i < 4; i++)
		for (uint64_t j = 0; j < 4; j++)
			cr_assert(note(one, i, 5) != note(other, j, 5));
	cr_assert(note(one, 3, 6) < counters_draw());
	counters_free(one);
	counters_free(other);
	counters_free(NULL);
}

static struct counters *shared;

static void *note_many(void *argument)
{
	for (uint64_t i = 0; i < 20000; i++)
		note(shared, i % 1024, (uint64_t)(uintptr_t)argument + i);
	return NULL;
}

Test(rbd_counters, any_thread)
{
	pthread_t threads[4];

	shared = counters_new(1024);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, note_many, (void *)(i << 20));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	cr_assert(note(shared, 1023, 1) == note(shared, 1023, 1));
	counters_free(shared);
}
