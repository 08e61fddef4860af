/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What contrib/rbd/counters.h promises: the same number twice, and nothing else was seen in between. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdint.h>

#include "contrib/rbd/counters.h"

#define ABSENT 0

Test(rbd_counters, another_version_is_another_number)
{
	struct counters *counters = counters_new(2000);
	uint64_t first = counters_note(counters, 1999, 7);

	cr_assert(first != 0 && counters_note(counters, 1999, 7) == first);
	cr_assert(counters_note(counters, 1998, 7) != first);
	cr_assert(counters_note(counters, 1999, 8) > first);
	counters_free(counters);
}

/* It has what it had; but who read it in between has something else. */
Test(rbd_counters, what_came_and_went_was_seen)
{
	struct counters *counters = counters_new(1);
	uint64_t before = counters_note(counters, 0, ABSENT);

	counters_note(counters, 0, 3);
	cr_assert(counters_note(counters, 0, ABSENT) != before);
	counters_free(counters);
}

/* Also when an answer comes late. */
Test(rbd_counters, no_number_comes_again)
{
	struct counters *counters = counters_new(1);
	uint64_t last = 0;

	for (uint64_t version = 1; version < 1000; version++) {
		uint64_t late = counters_note(counters, 0, version - 1);
		uint64_t number = counters_note(counters, 0, version);

		cr_assert(late >= last && number > late);
		last = number;
	}
	counters_free(counters);
}

Test(rbd_counters, images_have_no_number_in_common)
{
	struct counters *one = counters_new(4), *other = counters_new(4);

	for (uint64_t i = 0; i < 4; i++)
		for (uint64_t j = 0; j < 4; j++)
			cr_assert(counters_note(one, i, 5) != counters_note(other, j, 5));
	cr_assert(counters_note(one, 3, 6) < counters_draw());
	counters_free(one);
	counters_free(other);
	counters_free(NULL);
}

static struct counters *shared;

static void *note_many(void *argument)
{
	for (uint64_t i = 0; i < 20000; i++)
		counters_note(shared, i % 1024, (uint64_t)(uintptr_t)argument + i);
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
	cr_assert(counters_note(shared, 1023, 1) == counters_note(shared, 1023, 1));
	counters_free(shared);
}
