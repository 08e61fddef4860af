/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * timeline: what a writer did to an image and when, and what readers got when;
 * and the judgement of each read, after the fact.
 *
 * A read begins at start_ns and its open is answered at open_ns. It may hold
 * the content of any state from the last one that was complete before it began
 * to the last one that was begun before the open was answered: anything older
 * is stale, what was in no state at all is torn.
 *
 * A writer that is silent for longer than the settle time half way through an
 * update leaves a half-updated image; what is sound of it may be served, as no
 * reader can know better. Reads that meet such a
 * silence, or the rest of the update after it, are counted apart.
 *
 * Where the server reports its writes (CONTRACT C5) nothing may be refused, if the
 * writes of an update are over soon enough to wait for them: timeline_reported.
 * An open that meets a longer burst may be refused, and is counted apart; a read of
 * what is open may never be. An open from before the reports were believed (others
 * read while the writer still connects) is not judged by that.
 *
 * On a machine that has other work everybody is late, and what is late says nothing of the daemon. How late is
 * measured by a thread that only sleeps (paused_ms): bounds in time are longer by that for each of the switches
 * that an open takes, and where it is much, a refusal is none for want of a reason.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "states.h"

struct step {
	int64_t start_ns, end_ns; /* before the first write; after the last reply */
	unsigned from, to;
};

struct silence {
	int64_t start_ns, end_ns;
};

/* Writes with no rest between them in which a reader could have looked. */
struct burst {
	int64_t start_ns, end_ns;
};

struct timeline {
	struct step *steps;
	struct silence *silences; /* within a step, long enough to be taken for its end */
	struct burst *long_bursts; /* too long to wait for */
	unsigned step_count, silence_count, long_count;
	bool reported;
	int64_t settle_ns;
	double paused_ms; /* how late this machine wakes a thread that only sleeps, in 99.9 % */
	int64_t exact_ns; /* with reports: since when they are believed; 0: from the beginning */
};

void timeline_begin(struct timeline *timeline, unsigned from, unsigned to);
void timeline_end(struct timeline *timeline);
void timeline_silence(struct timeline *timeline, int64_t start_ns, int64_t end_ns);
void timeline_save(const struct timeline *timeline, const char *path);
void timeline_load(struct timeline *timeline, const char *path);

/* From now on judge by what C5 promises. After the last step. */
void timeline_reported(struct timeline *timeline, int64_t settle_ns);

/* One read of a file, or listing of a directory. */
struct record {
	int64_t start_ns, open_ns, end_ns;
	uint64_t states; /* that have this content; of ENOENT: that do not have the file */
	uint64_t inode, hash; /* of what was read directly */
	unsigned name;
	int error;	 /* that it ended with, or 0 */
	bool opened;
	bool held, overwritten; /* held open for a while; until every byte of it was written over */
};

struct records {
	struct record *all;
	size_t count, capacity;
};

void records_add(struct records *records, const struct record *record);
void records_load(struct records *records, const struct states *states, const char *path);

struct verdicts {
	unsigned long reads, absent, refused, ended, refused_at_rest, stale, torn, half, other, late;
	unsigned long refused_early, refused_long; /* with reports: before they were exact, in too long a burst */
	unsigned long held, overwritten;
	bool reported;
	double paused_ms; /* the timeline's */
	struct series rest_ms, unchanged_ms, changed_ms, refused_ms;
};

void timeline_judge(struct timeline *timeline, const struct states *states, const struct records *records,
		    struct verdicts *verdicts);
int verdicts_print(struct verdicts *verdicts, const char *who); /* what to exit with */
