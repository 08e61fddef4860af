/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trial_writer.h"

#include <stdlib.h>

#include "trial.h"
#include "trial_readers.h"

enum pace {
	AT_ONCE,
	FAST,	 /* up to 2 ms between writes */
	SLOW,	 /* up to 20 ms */
	HALTING, /* and once a good part of the settle time */
	STOPPING, /* and once for longer */
	PACES,
};

/*
 * With reports: how long the writes of an update shall take, with pauses between
 * them. A client's writeback is a matter of tens of milliseconds; a long one is
 * longer than anybody may be kept waiting, but has no silence in it.
 */
static int64_t burst_ns(uint64_t *random, size_t count)
{
	int64_t longest = (int64_t)count * trial.settle_ns / 3, burst;

	/* What is left of a reader's patience is for the machine, which is busy. */
	burst = (int64_t)random_below(random, 3) * 45 * MS + (int64_t)random_below(random, 45) * MS;
	if (trial.with_long && random_below(random, 5) == 0)
		burst = 400 * MS + (int64_t)random_below(random, 1200) * MS;
	return burst < longest ? burst : longest;
}

static int64_t pause_ns(enum pace pace, uint64_t *random, size_t left, size_t count)
{
	int64_t pause = 0;

	if (pace == FAST || pace == HALTING || pace == STOPPING)
		pause = (int64_t)random_below(random, 2000) * 1000;
	if (pace == SLOW)
		pause = (int64_t)random_below(random, 20000) * 1000;
	/* A thousand parts are not a thousand pauses. */
	if (count > 50 && random_below(random, count) > 50)
		pause = 0;
	if (pace == HALTING && left == count / 2)
		pause = trial.settle_ns / 8 + (int64_t)random_below(random, (uint64_t)trial.settle_ns / 2);
	if (pace == STOPPING && left == count / 2)
		pause = trial.settle_ns + (int64_t)random_below(random, 3 * (uint64_t)trial.settle_ns);
	return pause;
}

static void move(struct timeline *timeline, struct writer *writer, unsigned from, unsigned to, uint64_t *random)
{
	static const size_t lengths[] = { 1, 8, 8, 64, 512 };
	const unsigned char *want = trial.states.state[to].bytes;
	size_t block_bytes = writer_block_bytes(writer), length = lengths[random_below(random, 5)], count;
	enum pace pace = (enum pace)random_below(random, trial.with_long ? PACES : STOPPING);
	struct part *parts;
	int64_t last_ns, burst;

	/* A thousand writes take their time, however short the pauses are. */
	while ((count = differing_parts(trial.states.state[from].bytes, want, trial.states.image_bytes, block_bytes, length, random,
					&parts)) > 300 && trial.reported) {
		free(parts);
		length *= 8;
	}
	burst = burst_ns(random, count);
	timeline_begin(timeline, from, to);
	trial.latest_state = to;
	last_ns = timeline->steps[timeline->step_count - 1].start_ns;
	for (size_t i = 0; i < count; i++) {
		int64_t asked_ns;

		if (trial.reported)
			sleep_ns(timeline->steps[timeline->step_count - 1].start_ns +
				 burst * (int64_t)i / (int64_t)count - now_ns());
		else if (i > 0)
			sleep_ns(pause_ns(pace, random, i, count));
		asked_ns = now_ns();
		writer_write(writer, parts[i].offset, want + parts[i].offset, parts[i].length);
		for (size_t at = 0; at < parts[i].length; at += SECTOR)
			trial.written_ns[(parts[i].offset + at) / SECTOR] = now_ns();
		/*
		 * This machine may have paused us longer than we asked for, or the server: the last write landed
		 * after it was asked for, this one before it was replied to.
		 */
		if (now_ns() - last_ns >= trial.settle_ns * 9 / 10)
			timeline_silence(timeline, last_ns + trial.settle_ns * 9 / 10, now_ns());
		last_ns = asked_ns;
	}
	writer_end(writer);
	timeline_end(timeline);
	free(parts);
}

void trial_write(struct timeline *timeline, struct writer *writer, double seconds, uint64_t random)
{
	static const int64_t rests_ms[] = { 0, 20, 150, 300, 600, 2600 };
	int64_t end = now_ns() + (int64_t)(seconds * 1e9), ended_ns;
	unsigned state = 0;

	while (now_ns() < end) {
		unsigned next = (unsigned)random_below(&random, trial.states.count - 1);

		next += next >= state;
		move(timeline, writer, state, next, &random);
		state = next;
		ended_ns = now_ns();
		sleep_ns(rests_ms[random_below(&random, trial.reported && random_below(&random, 4) ? 5 : 6)] * MS +
			 (trial.reported ? trial.settle_ns + 100 * MS : 0));
		if (trial.reported)
			trial_wait_for_readers(ended_ns);
	}
}
