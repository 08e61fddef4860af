/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuse/process/patience.c: how long one system call may wait. */
#include <criterion/criterion.h>

#include "fuse/process/patience.h"

#define MS INT64_C(1000000)
#define START (1000 * MS)
#define ALLOWED (420 * MS)

enum { CONFIG = 77, KERNEL = 78, BOARD = 79 }; /* questions */
enum { ANNA = 5, BERT = 6 };	   /* threads */

static int64_t begin(struct patience *patience, pid_t caller, uint64_t question, int64_t now_ns)
{
	return patience_begin(patience, caller, question, ALLOWED, now_ns) - now_ns;
}

/* Anna waited for CONFIG as long as she may. */
static int64_t refuse(struct patience *patience)
{
	patience_init(patience);
	cr_assert_eq(begin(patience, ANNA, CONFIG, START), ALLOWED);
	patience_refused(patience, ANNA, CONFIG, START + ALLOWED);
	return START + ALLOWED;
}

Test(fuse_patience, the_requests_of_one_call_wait_together)
{
	struct patience patience;

	patience_init(&patience);
	cr_assert_eq(begin(&patience, ANNA, CONFIG, START), ALLOWED);
	patience_answered(&patience, ANNA, CONFIG, PATIENCE_PATH, true, START + 100 * MS);
	cr_assert_eq(begin(&patience, ANNA, KERNEL, START + 110 * MS), ALLOWED - 110 * MS);
	cr_assert_eq(begin(&patience, BERT, KERNEL, START + 110 * MS), ALLOWED);
}

Test(fuse_patience, the_next_call_waits_anew)
{
	struct patience patience;

	patience_init(&patience);
	begin(&patience, ANNA, CONFIG, START);
	patience_answered(&patience, ANNA, CONFIG, PATIENCE_PATH, true, START + 100 * MS);
	patience_ends(&patience, ANNA);
	cr_assert_eq(begin(&patience, ANNA, KERNEL, START + 110 * MS), ALLOWED);
}

Test(fuse_patience, what_was_waited_for_in_vain_is_not_waited_for_by_the_same_thread)
{
	struct patience patience;
	int64_t now_ns = refuse(&patience);

	/* Not even when it has come by way of another name: a TFTP server has other clients. */
	patience_answered(&patience, ANNA, BOARD, PATIENCE_FIRST, false, now_ns + 1 * MS);
	cr_assert_eq(begin(&patience, ANNA, CONFIG, now_ns + 2 * MS), 0);
	/* But in a moment, or for something else, it is. */
	cr_assert_eq(begin(&patience, ANNA, CONFIG, now_ns + 60 * MS), ALLOWED);
	patience_ends(&patience, ANNA);
	cr_assert_eq(begin(&patience, ANNA, KERNEL, now_ns + 61 * MS), ALLOWED);
}

Test(fuse_patience, nor_by_who_stood_in_the_kernel_meanwhile)
{
	struct patience patience;
	int64_t now_ns;

	now_ns = refuse(&patience);
	cr_assert_eq(begin(&patience, BERT, CONFIG, now_ns + 1 * MS), 0, "Bert was never seen");
	patience_answered(&patience, BERT, BOARD, PATIENCE_FIRST, false, START + 1 * MS);
	cr_assert_eq(begin(&patience, BERT, CONFIG, now_ns + 1 * MS), 0, "Bert was last seen when Anna came");
	cr_assert_eq(begin(&patience, 0, CONFIG, now_ns + 1 * MS), 0, "nobody knows who it is");
}

Test(fuse_patience, who_has_just_come_waits)
{
	struct patience patience;
	int64_t now_ns = refuse(&patience);

	patience_answered(&patience, BERT, BOARD, PATIENCE_FIRST, false, now_ns + 1 * MS);
	cr_assert_eq(begin(&patience, BERT, CONFIG, now_ns + 2 * MS), ALLOWED);
	/* Another thread has the place by now. */
	patience_answered(&patience, BERT + PATIENCE_SLOTS, BOARD, PATIENCE_FIRST, false, now_ns + 3 * MS);
	patience_ends(&patience, BERT);
	cr_assert_eq(begin(&patience, BERT, CONFIG, now_ns + 4 * MS), 0);
}

Test(fuse_patience, after_estale_the_second_walk_is_careful_and_has_the_same_end)
{
	struct patience patience;

	patience_init(&patience);
	cr_assert_not(patience_careful(&patience, ANNA));
	begin(&patience, ANNA, CONFIG, START);
	patience_stale(&patience, ANNA, CONFIG, ALLOWED, START + 300 * MS);
	cr_assert(patience_careful(&patience, ANNA));
	cr_assert_not(patience_careful(&patience, BERT));
	cr_assert_eq(begin(&patience, ANNA, CONFIG, START + 301 * MS), ALLOWED - 301 * MS);
	patience_ends(&patience, ANNA);
	cr_assert_not(patience_careful(&patience, ANNA));
}

/* A name that it knew is looked up again when it could not be made sure of; with the answer the kernel goes on. */
Test(fuse_patience, what_is_asked_again_after_a_refusal_is_of_the_same_call)
{
	struct patience patience;
	int64_t now_ns = START + ALLOWED;

	patience_init(&patience);
	cr_assert_eq(begin(&patience, ANNA, BOARD, START), ALLOWED);
	patience_refused(&patience, ANNA, BOARD, now_ns);
	patience_answered(&patience, ANNA, BOARD, PATIENCE_FIRST, false, now_ns + 1 * MS);
	cr_assert_leq(begin(&patience, ANNA, CONFIG, now_ns + 2 * MS), 0, "it has waited as long as it may");
}

Test(fuse_patience, another_question_after_a_refusal_is_another_call)
{
	struct patience patience;
	int64_t now_ns = refuse(&patience);

	patience_answered(&patience, ANNA, BOARD, PATIENCE_FIRST, false, now_ns + 1 * MS);
	cr_assert_eq(begin(&patience, ANNA, KERNEL, now_ns + 2 * MS), ALLOWED);
}

/* Bert's lookup of the same name waits in the kernel for Anna's, and comes here with what she got, or not at all. */
Test(fuse_patience, who_stood_behind_another_in_the_kernel_has_waited_too)
{
	struct patience patience;
	int64_t now_ns = START + 400 * MS;

	patience_init(&patience);
	patience_answered(&patience, BERT, BOARD, PATIENCE_FIRST, false, START + 1 * MS);
	cr_assert_eq(begin(&patience, ANNA, CONFIG, START), ALLOWED);
	patience_answered(&patience, ANNA, CONFIG, PATIENCE_PATH, true, now_ns);
	cr_assert_eq(begin(&patience, BERT, KERNEL, now_ns + 1 * MS), ALLOWED - 401 * MS);

	patience_init(&patience);
	patience_answered(&patience, BERT, BOARD, PATIENCE_FIRST, false, START + 1 * MS);
	cr_assert_eq(begin(&patience, ANNA, CONFIG, START), ALLOWED);
	patience_refused(&patience, ANNA, CONFIG, START + ALLOWED);
	patience_answered(&patience, BERT, CONFIG, PATIENCE_PATH, false, START + ALLOWED + 1 * MS);
	cr_assert_leq(begin(&patience, BERT, KERNEL, START + ALLOWED + 2 * MS), 0);
}

Test(fuse_patience, who_was_silent_for_himself_has_not)
{
	struct patience patience;
	int64_t now_ns = START + 400 * MS;

	patience_init(&patience);
	patience_answered(&patience, BERT, BOARD, PATIENCE_FIRST, false, START + 1 * MS);
	patience_ends(&patience, BERT);
	cr_assert_eq(begin(&patience, ANNA, CONFIG, START), ALLOWED);
	patience_answered(&patience, ANNA, CONFIG, PATIENCE_PATH, true, now_ns);
	patience_answered(&patience, BERT, BOARD, PATIENCE_FIRST, false, now_ns + 1 * MS);
	cr_assert_eq(begin(&patience, BERT, KERNEL, now_ns + 2 * MS), ALLOWED);
}
