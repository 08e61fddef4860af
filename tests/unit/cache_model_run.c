/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One run of the model check: the writer does its steps when the reader's turns come, as the plan says, and tells of them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/changes/guard.h"
#include "cache/changes/reporter.h"
#include "cache/changes/trust.h"
#include "cache/changes/write_log.h"
#include "cache_model.h"

/* ---- one run ------------------------------------------------------------- */

void broken(struct run *run, const char *rule)
{
	TRACE(run, "  broken: %s\n", rule);
	if (!run->wrong)
		run->wrong = rule;
}

/* Does the writer tell, or the kernel of him, when a write was done? */
static bool has_ends(const struct run *run)
{
	enum device_kind kind = run->plan->kind;

	return kind == DEVICE_REPORTED || kind == DEVICE_TOLD || kind == DEVICE_KERNEL_SYNC || kind == DEVICE_KERNEL_BEFORE;
}

/* Does its change time move with this step? Before the bytes do, or with them. */
static bool moves_time(const struct run *run, enum phase phase)
{
	enum device_kind kind = run->plan->kind;

	return phase == SIGN || (phase == BEGIN && kind == DEVICE_KERNEL_ASYNC) ||
	       (phase == LAND && (kind == DEVICE_EVENTS || kind == DEVICE_KERNEL_SYNC));
}

/* As a server does: what it reports is taken in before it goes on. */
static void report(struct run *run, const char *line)
{
	struct saving *saving = reporter_take(run->reporter, getpid(), line, strlen(line));

	if (saving)
		saving_run(saving);
	saving_free(saving);
}

static void report_step(struct run *run, const struct step *step)
{
	char line[96];

	if (step->phase == BEGIN)
		snprintf(line, sizeof(line), "write %llu %zu %llu\n", (unsigned long long)step->offset_bytes,
			 step->length_bytes, (unsigned long long)step->offset_bytes);
	else
		snprintf(line, sizeof(line), "done %llu\n", (unsigned long long)step->offset_bytes);
	report(run, line);
}

/* The kernel does. */
static void tell_step(struct run *run, const struct step *step)
{
	struct cache_range range = { step->offset_bytes, step->length_bytes };

	if (step->phase == BEGIN)
		memory_feed_announce(run->feed, (pid_t)step->thread, &range);
	else if (step->phase == END)
		memory_feed_modified(run->feed, (pid_t)step->thread);
}

/* The server does. It may be another one by then, which knows nothing of what was before. */
static void count_step(struct run *run, const struct step *step)
{
	if (run->plan->restarts && !run->restarted && run->done >= run->script->step_count / 2 && memory_page_is_idle(run->page)) {
		memory_page_restart(run->page);
		run->restarted = true;
	}
	if (step->phase == BEGIN)
		memory_page_begin(run->page, step->offset_bytes, step->length_bytes);
	else if (step->phase == END)
		memory_page_end(run->page, step->offset_bytes, step->length_bytes);
}

static void do_step(struct run *run)
{
	static const char *const words[] = { "sign", "begin", "write", "end" };
	const struct step *step = &run->script->steps[run->done++];

	TRACE(run, "  turn %u, %lld us: %s frame %u at %llu\n", run->turns,
	      (long long)(run->memory.now_ns / 1000 % 1000000000), words[step->phase], step->frame,
	      (unsigned long long)step->offset_bytes);
	run->last_step_ns = run->memory.now_ns;
	run->in_step = true;
	if (run->feed && step->phase == BEGIN)
		tell_step(run, step);
	if (moves_time(run, step->phase))
		memory_device_sign(&run->memory);
	if (step->phase == LAND)
		memory_device_land(&run->memory, step->offset_bytes,
				   run->script->frames[step->frame].bytes + step->offset_bytes, step->length_bytes);
	else if (run->page)
		count_step(run, step);
	else if (run->reporter)
		report_step(run, step);
	else if (run->feed && step->phase == END)
		tell_step(run, step);
	run->in_step = false;
}

unsigned frames_done(const struct run *run)
{
	unsigned next = run->done;

	while (next < run->script->step_count && run->script->steps[next].phase == END)
		next++;
	return next == run->script->step_count ? run->script->frame_count - 1
					       : run->script->steps[next].frame - 1;
}

unsigned frames_begun(const struct run *run)
{
	return run->done == 0 ? 0 : run->script->steps[run->done - 1].frame;
}

/* Is a write reported, and its end not? A writer does not rest there. */
static bool in_flight(const struct run *run)
{
	enum phase phase = run->done > 0 ? run->script->steps[run->done - 1].phase : SIGN;

	return phase == BEGIN || (has_ends(run) && phase == LAND) ||
	       (has_ends(run) && run->done < run->script->step_count && run->script->steps[run->done].phase == END);
}

/* Is the writer between two updates? Then it may rest as long as it likes. */
static bool at_rest(const struct run *run)
{
	return !in_flight(run) && frames_done(run) == frames_begun(run) &&
	       run->script->update->frames[frames_done(run)].complete;
}

static void go_on(struct run *run)
{
	while (!at_rest(run) && run->memory.now_ns - run->last_step_ns >= run->pace_ns) {
		do_step(run);
	}
}

static void on_turn(struct memory_device *memory)
{
	struct run *run = memory->owner;

	if (!run->open_for_writing || run->in_step)
		return;
	for (; run->burst < run->plan->bursts && run->plan->at[run->burst] <= run->turns; run->burst++)
		while (run->done < run->plan->until[run->burst])
			do_step(run);
	run->turns++;
	go_on(run);
	if (!run->second_done && run->plan->second && run->turns >= run->plan->second && memory->in_data)
		second_reader(run);
}

static void on_tick(struct memory_device *memory)
{
	go_on(memory->owner);
}

/* ---- reports ------------------------------------------------------------- */

static struct run *the_run; /* whose clock it is */

static int64_t model_clock(void)
{
	return the_run->memory.now_ns;
}

/* Servers tell, or the kernel. */
static void begin_to_tell(struct run *run)
{
	struct cache_observation seen;
	struct write_log *log;

	the_run = run;
	cr_assert_eq(write_log_new(&log), 0);
	write_log_set_clock(log, model_clock);
	cache_image_set_log(run->reader.image, log);
	if (run->plan->kind == DEVICE_TOLD) {
		run->page = memory_page_new(&run->memory, log, run->plan->unit_shift);
		return;
	}
	run->keeps = run->plan->kind == DEVICE_REPORTED || (run->plan->kind == DEVICE_KERNEL_SYNC && !run->plan->unheard);
	if (kernel_tells(run->plan->kind)) {
		run->feed = memory_feed_new(&run->memory, log);
		if (run->plan->unheard)
			return;
		/* Somebody looked at it a second ago. */
		write_log_listen(log, true);
		cr_assert_eq(run->memory.device.ops->observe(&run->memory.device, true, CACHE_LOOK_ANEW, &seen), 0);
		write_log_observe(log, &seen);
		run->memory.now_ns += SECOND;
		return;
	}
	cr_assert_eq(reporter_new(log, &run->reporter), 0);
	report(run, "done\n"); /* it introduces itself */
	/* What was written before, and nobody told of, is settled when it begins. */
	for (unsigned look = 0; look < 2; look++) {
		run->memory.device.ops->observe(&run->memory.device, true, CACHE_LOOK_ANEW, &seen);
		write_log_observe(log, &seen);
		run->memory.now_ns += 3 * SECOND;
	}
}

/* ---- pace ---------------------------------------------------------------- */

/* By how many steps is that phase of a write behind its announcement, at most? */
static unsigned farthest(const struct script *script, enum phase phase)
{
	unsigned most = 1;

	for (unsigned i = 0; i < script->step_count; i++) {
		unsigned j = i;

		if (script->steps[i].phase != BEGIN)
			continue;
		while (script->steps[j].phase != phase || script->steps[j].offset_bytes != script->steps[i].offset_bytes)
			j++;
		most = j - i > most ? j - i : most;
	}
	return most;
}

/* Slowly, but the flux time never passes between two writes of one update. A sign and its bytes are two steps. */
static int64_t slow_pace_ns(const struct script *script, enum device_kind kind)
{
	switch (kind) {
	case DEVICE_EVENTS:
		return FLUX_NS - 40 * MS;
	case DEVICE_REPORTED:
	case DEVICE_TOLD:
	case DEVICE_KERNEL_BEFORE:
		return FLUX_NS / 3 - 15 * MS;
	/* Here a write does not take the flux time, either: it would be uncertain. */
	case DEVICE_KERNEL_SYNC:
		return (FLUX_NS - 40 * MS) / (1 + farthest(script, END));
	case DEVICE_KERNEL_ASYNC:
		return (FLUX_NS - 40 * MS) / (1 + farthest(script, LAND));
	default:
		return FLUX_NS / 2 - 20 * MS;
	}
}

/* ---- one plan ------------------------------------------------------------ */

static void run_init(struct run *run, const struct script *script, const struct plan *plan, bool trace)
{
	struct cache_settings settings = cache_settings_default;

	*run = (struct run){ .script = script, .plan = plan, .trace = trace };
	run->bytes = malloc(script->frames[0].size_bytes);
	memcpy(run->bytes, script->frames[0].bytes, script->frames[0].size_bytes);
	memory_device_init(&run->memory, plan->kind, run->bytes, script->frames[0].size_bytes);
	run->memory.grain_bytes = script->update->cluster_bytes;
	run->memory.turn = on_turn;
	run->memory.tick = on_tick;
	run->memory.owner = run;
	run->pace_ns = plan->slow ? slow_pace_ns(script, plan->kind) : FLUX_NS / 2 / (script->step_count + 1);
	settings.settle_ns = FLUX_NS;
	settings.temporary_directory = "/tmp";
	if (plan->large)
		settings.keep_limit_bytes = 0;
	reader_init_device(&run->reader, &settings, &run->memory.device);
	run->reader.memory = &run->memory;
	run->reader.never_keeps = plan->later;
	if (plan->kind == DEVICE_REPORTED || plan->kind == DEVICE_TOLD || kernel_tells(plan->kind))
		begin_to_tell(run);
}

const char *run_plan(const struct script *script, const struct plan *plan, bool trace, unsigned *turns)
{
	struct handle held = { 0 };
	struct run run;

	run_init(&run, script, plan, trace);
	warm_up(&run, &held);
	run.open_for_writing = true;
	do_task(&run);
	if (held.opened && read_to_end(&run, &held, script->update->cluster_bytes) != 0 && run.keeps)
		broken(&run, "kept: an open file was refused");
	*turns = run.turns;
	run.open_for_writing = false;
	while (run.done < script->step_count)
		do_step(&run);
	TRACE(&run, "  the writer is done\n");
	expect_the_end(&run);
	if (held.opened) {
		held.at = 0;
		if (read_to_end(&run, &held, script->update->cluster_bytes) != 0 && run.keeps)
			broken(&run, "kept: an open file was refused");
	}
	run.memory.now_ns += 10 * SECOND;
	expect_the_end(&run);
	finish(&held);
	reporter_free(run.reporter);
	reader_end(&run.reader);
	free(run.bytes);
	return run.wrong;
}
