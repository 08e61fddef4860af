/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model check: writers and readers of one image, in every order that fits.
 *
 * A writer takes the volume through states, by writing what differs block by
 * block, in any order. A reader looks a file up, opens it and reads it in
 * pieces, as the daemon does. Before each thing that the reader does to the
 * device the writer may do any number of its writes: a plan says which. All
 * plans with one burst of writes are run, and those with two and three as far
 * as the budget goes, chosen by a fixed seed. Nothing sleeps; time is counted.
 *
 * What must hold, in every run
 *   fresh     whoever opens (or looks up, or lists) after the last write of an
 *             update was replied to gets its state, or an error;
 *   whole     one open returns bytes of one state only, of the size that stat
 *             gave, also when it reads on after the writer is done;
 *   versions  one id never stands for bytes of two states, in any two opens;
 *   names     a name that is in all states is never absent;
 *   kept      where every write is told before and after it is done, a file
 *             that is open is readable to its end, whatever is written;
 *   alive     when the writer is done every call succeeds within its patience.
 *
 * What is not promised, and not asked: the writer here never lets the flux time
 * pass between two writes of one update, and ends it before what it has written
 * is old. If it does not, a half that is sound in structure is believed: a file
 * that is half overwritten, a directory that shows both names of a rename.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache_model.h"

/* ---- all runs ------------------------------------------------------------ */

static unsigned long runs;

static void check(const struct script *script, unsigned order, const struct plan *plan, unsigned *turns)
{
	const char *wrong = run_plan(script, plan, false, turns);

	runs++;
	if (!wrong)
		return;
	fprintf(stderr, "%s, order %u, device %d, warmth %d, task %d, second %u%s%s%s%s:\n",
		script->update->what, order, plan->kind, plan->warmth, plan->task, plan->second,
		plan->large ? ", large" : "", plan->slow ? ", slow" : "",
		plan->later ? ", later" : "", plan->unheard ? ", unheard" : "");
	run_plan(script, plan, true, turns);
	cr_assert_fail("%s: %s", script->update->what, wrong);
}

/* Every place for all writes at once; returns how many places there are. */
static unsigned check_one_burst(const struct script *script, unsigned order, struct plan *plan)
{
	unsigned turns = 0, most = 0;

	plan->bursts = 1;
	plan->second = 0;
	plan->later = !plan->later;
	plan->until[0] = script->step_count;
	for (plan->at[0] = 0; plan->at[0] <= turns; plan->at[0]++) {
		check(script, order, plan, &turns);
		most = turns > most ? turns : most;
	}
	return most;
}

static unsigned random_below(uint64_t *state, unsigned limit)
{
	*state = *state * 6364136223846793005U + 1442695040888963407U;
	return (unsigned)((*state >> 33) % limit);
}

static int compare_unsigned(const void *a, const void *b)
{
	const unsigned *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static void check_random(const struct script *script, unsigned order, struct plan *plan, unsigned turns,
			 unsigned bursts, uint64_t *seed)
{
	unsigned ignored;

	plan->bursts = bursts;
	plan->later = random_below(seed, 2);
	plan->second = random_below(seed, 2) ? 1 + random_below(seed, turns + 1) : 0;
	for (unsigned i = 0; i < bursts; i++) {
		plan->at[i] = random_below(seed, turns + 1);
		plan->until[i] = 1 + random_below(seed, script->step_count);
	}
	qsort(plan->at, bursts, sizeof(unsigned), compare_unsigned);
	qsort(plan->until, bursts, sizeof(unsigned), compare_unsigned);
	check(script, order, plan, &ignored);
}

/* Every two places and every division of the writes between them and the end. */
static void check_two_bursts(const struct script *script, unsigned order, struct plan *plan)
{
	plan->bursts = 2;
	for (plan->until[0] = 1; plan->until[0] < script->step_count; plan->until[0]++) {
		unsigned turns = 1;

		plan->until[1] = script->step_count;
		for (plan->at[0] = 0; plan->at[0] <= turns; plan->at[0]++)
			for (plan->at[1] = plan->at[0] + 1, turns = plan->at[1]; plan->at[1] <= turns;
			     plan->at[1]++)
				check(script, order, plan, &turns);
	}
}

/*
 * How much of it is run: 1 is what a test run has time for, 0 what it has under
 * sanitizers; with 5 and more every two bursts are tried, which takes hours.
 */
static unsigned depth(void)
{
	const char *text = getenv("IMAGEFS_MODEL_DEPTH");

	return text ? (unsigned)atoi(text) : MODEL_DEPTH;
}

static unsigned orders_max(void)
{
	return depth() ? 10 * depth() : 3;
}

static unsigned random_plans(void)
{
	return depth() ? 16 * depth() : 5;
}

static void check_update(const struct update *update, struct plan *plan, uint64_t *seed)
{
	struct script script;
	unsigned all, some;

	script_make(&script, update);
	all = script_orders(&script);
	some = all < orders_max() ? all : orders_max();
	for (unsigned i = 0; i < some; i++) {
		unsigned order = i * all / some, turns;

		script_order(&script, order, plan->kind);
		turns = check_one_burst(&script, order, plan);
		for (unsigned j = 0; j < random_plans(); j++)
			check_random(&script, order, plan, turns, 2 + j % 2, seed);
		if (depth() > 4)
			check_two_bursts(&script, order, plan);
	}
	script_free(&script);
}

static void check_plan(struct plan plan)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < update_count; i++)
		for (plan.task = 0; plan.task < TASKS; plan.task++)
			for (plan.warmth = 0; plan.warmth < WARMTHS; plan.warmth++)
				check_update(&updates[i], &plan, &seed);
	fprintf(stderr, "%lu interleavings\n", runs);
}

static void check_all(enum device_kind kind, bool slow, bool large)
{
	check_plan((struct plan){ .kind = kind, .slow = slow, .large = large });
}

Test(cache_model, events)
{
	check_all(DEVICE_EVENTS, false, false);
}

Test(cache_model, events_slowly)
{
	check_all(DEVICE_EVENTS, true, false);
}

Test(cache_model, events_and_files_above_the_keep_limit)
{
	check_all(DEVICE_EVENTS, false, true);
}

Test(cache_model, times)
{
	check_all(DEVICE_TIMES, false, false);
}

Test(cache_model, times_and_files_above_the_keep_limit)
{
	check_all(DEVICE_TIMES, false, true);
}

Test(cache_model, nothing)
{
	check_all(DEVICE_NOTHING, false, false);
}

Test(cache_model, nothing_slowly_and_files_above_the_keep_limit)
{
	check_all(DEVICE_NOTHING, true, true);
}

Test(cache_model, reported)
{
	check_all(DEVICE_REPORTED, false, false);
}

Test(cache_model, reported_slowly_and_files_above_the_keep_limit)
{
	check_all(DEVICE_REPORTED, true, true);
}

static void check_told(unsigned unit_shift, bool slow, bool large, bool restarts)
{
	check_plan((struct plan){ .kind = DEVICE_TOLD, .unit_shift = unit_shift, .slow = slow, .large = large, .restarts = restarts });
}

Test(cache_model, told)
{
	check_told(12, false, false, false);
}

Test(cache_model, told_of_large_units)
{
	check_told(20, false, true, false);
}

Test(cache_model, told_slowly)
{
	check_told(13, true, true, false);
}

Test(cache_model, told_by_one_that_restarts)
{
	check_told(12, false, false, true);
}

static void check_kernel(enum device_kind kind, bool slow, bool unheard)
{
	check_plan((struct plan){ .kind = kind, .slow = slow, .unheard = unheard });
}

Test(cache_model, kernel_begins_and_ends)
{
	check_kernel(DEVICE_KERNEL_SYNC, false, false);
}

Test(cache_model, kernel_begins_and_ends_slowly_and_files_above_the_keep_limit)
{
	check_plan((struct plan){ .kind = DEVICE_KERNEL_SYNC, .slow = true, .large = true });
}

Test(cache_model, kernel_begins_and_ends_of_who_was_there)
{
	check_kernel(DEVICE_KERNEL_SYNC, false, true);
}

Test(cache_model, kernel_begins)
{
	check_kernel(DEVICE_KERNEL_ASYNC, false, false);
}

Test(cache_model, kernel_begins_slowly_of_who_was_there)
{
	check_kernel(DEVICE_KERNEL_ASYNC, true, true);
}

Test(cache_model, kernel_ends)
{
	check_kernel(DEVICE_KERNEL_BEFORE, false, true);
}

Test(cache_model, kernel_ends_slowly)
{
	check_kernel(DEVICE_KERNEL_BEFORE, true, false);
}

Test(cache_model, kernel_silent)
{
	check_kernel(DEVICE_KERNEL_SILENT, false, false);
}

Test(cache_model, kernel_silent_slowly)
{
	check_kernel(DEVICE_KERNEL_SILENT, true, true);
}
