/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* For so long after an update imagefs may still be looking whether it is one. */
#define AFTERMATH_NS (INT64_C(300) * 1000000)
#define TOLD_MAX 10

/* How long of C6's 500 ms a reader can be kept waiting; and of it what he needs to look. */
#define PATIENCE_NS (INT64_C(400) * 1000000)
#define LOOK_NS (INT64_C(20) * 1000000)


/* ---- keeping ------------------------------------------------------------- */

static void *one_more(void *array, unsigned count, size_t bytes)
{
	array = realloc(array, (count + 1) * bytes);
	if (!array)
		die("no memory");
	return array;
}

void timeline_begin(struct timeline *timeline, unsigned from, unsigned to)
{
	timeline->steps = one_more(timeline->steps, timeline->step_count, sizeof(*timeline->steps));
	timeline->steps[timeline->step_count++] = (struct step){ now_ns(), INT64_MAX, from, to };
}

void timeline_end(struct timeline *timeline)
{
	timeline->steps[timeline->step_count - 1].end_ns = now_ns();
}

void timeline_silence(struct timeline *timeline, int64_t start_ns, int64_t end_ns)
{
	timeline->silences = one_more(timeline->silences, timeline->silence_count, sizeof(*timeline->silences));
	timeline->silences[timeline->silence_count++] = (struct silence){ start_ns, end_ns };
}

/*
 * What was sound in a silence was there before the rest of the update, and is served
 * until that contradicts it, or is over. A silence that was extended stays as it is.
 */
static void extend_silences(struct timeline *timeline)
{
	for (unsigned i = 0; i < timeline->silence_count; i++)
		for (unsigned j = 0; j < timeline->step_count; j++)
			if (timeline->steps[j].start_ns <= timeline->silences[i].start_ns &&
			    timeline->steps[j].end_ns >= timeline->silences[i].end_ns)
				timeline->silences[i].end_ns = timeline->steps[j].end_ns + timeline->settle_ns;
}

void timeline_reported(struct timeline *timeline, int64_t settle_ns)
{
	struct burst burst = { 0 };

	timeline->reported = true;
	timeline->settle_ns = settle_ns;
	for (unsigned i = 0; i <= timeline->step_count; i++) {
		const struct step *step = i < timeline->step_count ? &timeline->steps[i] : NULL;

		if (step && i > 0 && step->start_ns - burst.end_ns < settle_ns + LOOK_NS) {
			burst.end_ns = step->end_ns;
			continue;
		}
		if (i > 0 && burst.end_ns - burst.start_ns > PATIENCE_NS - settle_ns - LOOK_NS) {
			timeline->long_bursts =
				one_more(timeline->long_bursts, timeline->long_count, sizeof(burst));
			timeline->long_bursts[timeline->long_count++] = burst;
		}
		if (step)
			burst = (struct burst){ step->start_ns, step->end_ns };
	}
}

void timeline_save(const struct timeline *timeline, const char *path)
{
	FILE *out = fopen(path, "we");

	if (!out)
		die("%s: %s", path, strerror(errno));
	fprintf(out, "exact %ld\n", timeline->exact_ns);
	for (unsigned i = 0; i < timeline->step_count; i++)
		fprintf(out, "step %ld %ld %u %u\n", timeline->steps[i].start_ns, timeline->steps[i].end_ns,
			timeline->steps[i].from, timeline->steps[i].to);
	fprintf(out, "paused %f\n", timeline->paused_ms);
	for (unsigned i = 0; i < timeline->silence_count; i++)
		fprintf(out, "silence %ld %ld\n", timeline->silences[i].start_ns, timeline->silences[i].end_ns);
	if (fclose(out) != 0)
		die("%s: %s", path, strerror(errno));
}

void timeline_load(struct timeline *timeline, const char *path)
{
	FILE *in = fopen(path, "re");
	char line[200];

	if (!in)
		die("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), in)) {
		struct step step;

		if (sscanf(line, "step %ld %ld %u %u", &step.start_ns, &step.end_ns, &step.from, &step.to) == 4) {
			timeline->steps = one_more(timeline->steps, timeline->step_count, sizeof(step));
			timeline->steps[timeline->step_count++] = step;
		} else if (sscanf(line, "silence %ld %ld", &step.start_ns, &step.end_ns) == 2) {
			timeline_silence(timeline, step.start_ns, step.end_ns);
		} else if (sscanf(line, "exact %ld", &timeline->exact_ns) != 1 &&
			   sscanf(line, "paused %lf", &timeline->paused_ms) != 1) {
			die("%s: bad line: %s", path, line);
		}
	}
	fclose(in);
}

void records_add(struct records *records, const struct record *record)
{
	if (records->count == records->capacity) {
		records->capacity = records->capacity ? 2 * records->capacity : 4096;
		records->all = realloc(records->all, records->capacity * sizeof(*record));
		if (!records->all)
			die("no memory");
	}
	records->all[records->count++] = *record;
}

static unsigned find_name(const struct states *states, const char *name)
{
	for (unsigned i = 0; i < states->name_count; i++)
		if (!strcmp(states->names[i], name))
			return i;
	die("%s: in no state", name);
}

/* As tftp_reader.py writes them: START OPEN END ERRNO STATES OPENED NAME */
void records_load(struct records *records, const struct states *states, const char *path)
{
	FILE *in = fopen(path, "re");
	char line[4096];

	if (!in)
		die("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), in)) {
		struct record record = { 0 };
		int opened, at = 0;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%ld %ld %ld %d %lx %d %n", &record.start_ns, &record.open_ns, &record.end_ns,
			   &record.error, &record.states, &opened, &at) != 6)
			die("%s: bad line: %s", path, line);
		record.opened = opened != 0;
		record.name = find_name(states, line + at);
		records_add(records, &record);
	}
	fclose(in);
}

/* ---- judging ------------------------------------------------------------- */

/* An open of a path of three names goes from one thread to another so often; and what makes all of them late. */
#define SWITCHES 10
#define MUCH_PAUSED_MS 10

/* Was the step under way, or just over, somewhere in the time until the open was answered? */
static bool met(const struct timeline *timeline, const struct step *step, const struct record *record)
{
	int64_t aftermath_ns = AFTERMATH_NS + (int64_t)(SWITCHES * timeline->paused_ms * 1e6);

	return step->start_ns < record->open_ns && step->end_ns > record->start_ns - aftermath_ns;
}

/*
 * From the last one done when it was opened. Where nothing is guarded, what nobody
 * had read yet at the open may be a later one's when it is read: a whole one.
 */
static uint64_t states_allowed(const struct timeline *timeline, const struct record *record)
{
	int64_t end_ns = timeline->reported ? record->open_ns : record->end_ns;
	unsigned done = timeline->step_count;
	uint64_t allowed;

	while (done > 0 && timeline->steps[done - 1].end_ns > record->start_ns)
		done--;
	allowed = UINT64_C(1) << (done > 0 ? timeline->steps[done - 1].to :
				  timeline->step_count > 0 ? timeline->steps[0].from : 0);
	for (; done < timeline->step_count && timeline->steps[done].start_ns < end_ns; done++)
		allowed |= UINT64_C(1) << timeline->steps[done].to;
	return allowed;
}

static bool met_silence(const struct timeline *timeline, const struct record *record)
{
	for (unsigned i = 0; i < timeline->silence_count; i++)
		if (timeline->silences[i].start_ns < record->end_ns && timeline->silences[i].end_ns > record->start_ns)
			return true;
	return false;
}

/* Not a shorter one: then it is refused for want of a reason. */
static bool met_long_burst(const struct timeline *timeline, const struct record *record)
{
	for (unsigned i = 0; i < timeline->long_count; i++)
		if (timeline->long_bursts[i].start_ns < record->open_ns &&
		    timeline->long_bursts[i].end_ns + timeline->settle_ns > record->start_ns)
			return true;
	return false;
}

static struct series *class_of(const struct timeline *timeline, const struct states *states,
			       const struct record *record, struct verdicts *verdicts)
{
	bool any = false;

	for (unsigned i = 0; i < timeline->step_count; i++) {
		const struct step *step = &timeline->steps[i];

		if (!met(timeline, step, record))
			continue;
		any = true;
		if (record->name >= states->name_count || !untouched(states, step->from, step->to, record->name))
			return &verdicts->changed_ms;
	}
	return any ? &verdicts->unchanged_ms : &verdicts->rest_ms;
}

static void tell(const struct timeline *timeline, const struct states *states, const struct record *record,
		 const char *what)
{
	unsigned last = 0;

	while (last + 1 < timeline->step_count && timeline->steps[last + 1].start_ns < record->end_ns)
		last++;
	fprintf(stderr, "torture: %s: %s: is of states %lx, allowed %lx; at %ld ms open took %.1f ms, all %.1f ms; ",
		record->name < states->name_count ? states->names[record->name] : "/", what, record->states,
		states_allowed(timeline, record), record->start_ns / 1000000 % 100000,
		(double)(record->open_ns - record->start_ns) / 1e6,
		(double)(record->end_ns - record->start_ns) / 1e6);
	if (timeline->step_count > 0)
		fprintf(stderr, "update %u to %u began %.1f ms before and took %.1f ms%s\n",
			timeline->steps[last].from, timeline->steps[last].to,
			(double)(record->start_ns - timeline->steps[last].start_ns) / 1e6,
			(double)(timeline->steps[last].end_ns - timeline->steps[last].start_ns) / 1e6,
			record->error == ENOENT ? " (ENOENT)" :
			record->error == ESTALE ? " (ESTALE)" :
			record->error == EIO	? " (EIO)" : "");
}

static void judge_one(const struct timeline *timeline, const struct states *states, const struct record *record,
		      struct verdicts *verdicts)
{
	double open_ms = (double)(record->open_ns - record->start_ns) / 1e6;
	struct series *class = class_of(timeline, states, record, verdicts);
	unsigned long told = verdicts->stale + verdicts->torn + verdicts->other + verdicts->refused_at_rest;
	const char *wrong = NULL;

	if (timeline->reported)
		told += verdicts->refused + verdicts->ended;
	verdicts->held += record->held;
	verdicts->overwritten += record->overwritten;
	if (open_ms > 500 && verdicts->late++ < TOLD_MAX)
		tell(timeline, states, record, "slow to open");
	if (timeline->reported && !record->opened && (record->error == EIO || record->error == ESTALE) &&
	    (met_long_burst(timeline, record) || record->start_ns < timeline->exact_ns ||
	     timeline->paused_ms > MUCH_PAUSED_MS)) {
		*(record->start_ns < timeline->exact_ns ? &verdicts->refused_early : &verdicts->refused_long) += 1;
		series_add(&verdicts->refused_ms, open_ms);
		return;
	}
	if (record->error == EIO || record->error == ESTALE) {
		verdicts->refused += !record->opened;
		verdicts->ended += record->opened;
		series_add(record->opened ? class : &verdicts->refused_ms, open_ms);
		if (!timeline->reported && (record->opened || class != &verdicts->rest_ms))
			return;
		verdicts->refused_at_rest += !record->opened && class == &verdicts->rest_ms;
		wrong = record->opened ? "ended by an error" : "refused";
	} else if (record->error != 0 && record->error != ENOENT) {
		verdicts->other++;
		wrong = strerror(record->error);
	} else {
		series_add(class, open_ms);
		*(record->error == ENOENT ? &verdicts->absent : &verdicts->reads) += 1;
		if (record->states & states_allowed(timeline, record))
			return;
		if (met_silence(timeline, record)) {
			verdicts->half++;
			return;
		}
		*(record->states ? &verdicts->stale : &verdicts->torn) += 1;
		wrong = record->states ? "stale" : "torn";
	}
	if (told < TOLD_MAX)
		tell(timeline, states, record, wrong);
}

void timeline_judge(struct timeline *timeline, const struct states *states, const struct records *records,
		    struct verdicts *verdicts)
{
	extend_silences(timeline);
	verdicts->reported = timeline->reported;
	verdicts->paused_ms = timeline->paused_ms;
	for (size_t i = 0; i < records->count; i++)
		judge_one(timeline, states, &records->all[i], verdicts);
}

static void print_times(const char *what, struct series *ms)
{
	printf("    %-30s %7zu opens, median %.2f ms, 99.9 %% %.1f ms, worst %.1f ms\n", what, ms->count,
	       series_quantile(ms, 0.5), series_quantile(ms, 0.999), series_quantile(ms, 1));
}

int verdicts_print(struct verdicts *verdicts, const char *who)
{
	struct series near = { 0 };
	double limit_ms;
	int status = 0;

	printf("%s: %lu reads, %lu absent, %lu opens refused, %lu reads ended by an error: "
	       "%lu stale, %lu torn, %lu half-updated, %lu refused at rest, %lu other errors\n",
	       who, verdicts->reads, verdicts->absent, verdicts->refused, verdicts->ended, verdicts->stale,
	       verdicts->torn, verdicts->half, verdicts->refused_at_rest, verdicts->other);
	if (verdicts->reported)
		printf("    %lu refused before reports were exact, %lu in bursts too long to wait for; "
		       "%lu held open, %lu until all was written over\n",
		       verdicts->refused_early, verdicts->refused_long, verdicts->held, verdicts->overwritten);
	print_times("changed by an update", &verdicts->changed_ms);
	print_times("not changed by an update", &verdicts->unchanged_ms);
	print_times("no update near", &verdicts->rest_ms);
	print_times("refused", &verdicts->refused_ms);
	/* C6 speaks of a partition that is being rewritten. */
	series_join(&near, &verdicts->changed_ms);
	series_join(&near, &verdicts->unchanged_ms);
	series_join(&near, &verdicts->refused_ms);
	/*
	 * C6 bounds each request; an open is several, and lookups of one name stand behind each
	 * other in the kernel. Few opens may be over what one thread is to wait.
	 */
	limit_ms = 500 + SWITCHES * verdicts->paused_ms;
	if (near.count >= 1000 && series_quantile(&near, 0.999) > limit_ms) {
		fprintf(stderr, "torture: %s: over %.0f ms\n", who, limit_ms);
		status = 1;
	}
	free(near.values);
	if (verdicts->late)
		printf("    %lu opens took longer than 500 ms; of a thread that sleeps 99.9 %% is %.1f ms late\n",
		       verdicts->late, verdicts->paused_ms);
	if (verdicts->reads == 0 || verdicts->stale || verdicts->torn || verdicts->refused_at_rest || verdicts->other)
		status = 1;
	if (verdicts->reported && (verdicts->refused || verdicts->ended))
		status = 1;
	return status;
}
