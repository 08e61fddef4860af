/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fresh - is every open the newest, at the moment the writer has its reply?
 *
 *   fresh [-r ROUNDS] [-s SECONDS] [-n SEED] [-q PERCENT] [-p SECONDS] STATES WRITER DIRECTORY [WRITER DIRECTORY]...
 *
 * Each WRITER (see writer.h) writes to an image of its own, which holds state 0
 * of STATES (mkstates.py) and is seen in DIRECTORY, or in several, D1,D2,...
 * (heads with a mount each); each directory has a thread. A round:
 * read everything, so that every cache is warm; sometimes (-q) wait until the
 * image counts as settled, and read again; open some files; bring the image to
 * another state by writing the blocks that differ, in random order, or trim or
 * zero a file's bytes; and as soon as the last reply is there open every file
 * and list every directory, those that changed first. They must be the new
 * ones (C1). Files that were open must end as they were, or with an error (C2).
 *
 * EIO and ESTALE count as refused, and are tried again for two seconds (-p).
 * Fails when anything was stale or mixed, or was refused for longer.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "states.h"
#include "target.h"
#include "writer.h"

#define SETTLED_NS (INT64_C(2100) * 1000000)

struct states states;
double patience_seconds = 2;
static unsigned long rounds_wanted = 10;
static double seconds_wanted;
static unsigned settled_percent = 10;

/* ---- updates ------------------------------------------------------------- */

static void move_to(struct target *target, unsigned next)
{
	const unsigned char *want = states.state[next].bytes;
	static const size_t lengths[] = { 1, 8, 64, 500 };
	size_t block_bytes = writer_block_bytes(target->writer);
	struct part *parts;
	size_t count = differing_parts(target->model, want, states.image_bytes, block_bytes,
				       lengths[random_below(&target->random, 4)] * 512 / block_bytes + 1,
				       &target->random, &parts);

	for (unsigned name = 0; name < states.name_count; name++)
		target->affected[name] = !untouched(&states, target->state, next, name);
	for (size_t i = 0; i < count; i++)
		writer_write(target->writer, parts[i].offset, want + parts[i].offset, parts[i].length);
	/* What trims and zeroes made of the old state is written over as well. */
	memcpy(target->model, want, states.image_bytes);
	target->state = next;
	free(parts);
}

/* Trim or zero a file's bytes where they are; false when there is nothing to do it to, or no way. */
static bool wipe(struct target *target, bool trim)
{
	unsigned name = (unsigned)random_below(&target->random, states.name_count);
	const struct file *file = &states.state[target->state].files[name];
	size_t block_bytes = writer_block_bytes(target->writer), length;
	const struct place *place;

	if (file->kind != REGULAR || file->place_count == 0)
		return false;
	place = &file->places[random_below(&target->random, file->place_count)];
	length = (place->length + block_bytes - 1) / block_bytes * block_bytes;
	if (length > 512 * 1024 || place->offset % block_bytes ||
	    !(trim ? writer_trim : writer_zero)(target->writer, place->offset, length))
		return false;
	*(trim ? &target->trims : &target->zeroes) += 1;
	writer_end(target->writer);
	writer_read(target->writer, place->offset, target->model + place->offset, length);
	target->affected[name] = true;
	return true;
}

static void update(struct target *target)
{
	unsigned next = (unsigned)random_below(&target->random, states.count - 1);
	uint64_t kind = random_below(&target->random, 8);

	if (kind < 2 && wipe(target, kind == 0))
		return;
	move_to(target, next + (next >= target->state));
	writer_end(target->writer);
}

static void wait_for_all(struct target *target)
{
	pthread_barrier_wait(&target->first->together);
}

/* The first one writes; the others look at what it has written, all at once. */
static void update_for_all(struct target *target)
{
	const struct target *first = target->first;

	wait_for_all(target); /* all hold what they want to hold */
	if (target == first)
		update(target);
	wait_for_all(target);
	if (target != first) {
		memcpy(target->model, first->model, states.image_bytes);
		memcpy(target->affected, first->affected, states.name_count * sizeof(bool));
		target->state = first->state;
	}
	wait_for_all(target); /* looking clears what is affected */
}

static void round_of(struct target *target)
{
	target_look_at_all(target);
	if (random_below(&target->random, 100) < settled_percent) {
		sleep_ns(target->written_ns + SETTLED_NS - now_ns());
		target_look_at_all(target);
		target->settled_rounds++;
	}
	for (int i = 0; i < HELD; i++)
		target_hold(target, &target->held[i]);
	update_for_all(target);
	target_look_at_all(target);
	target->written_ns = now_ns();
	for (int i = 0; i < HELD; i++)
		target_let_go(target, &target->held[i]);
	target->rounds++;
}

static void *run(void *argument)
{
	struct target *target = argument, *first = target->first;
	int64_t end = now_ns() + (int64_t)(seconds_wanted * 1e9);

	for (;;) {
		if (target == first)
			target->over = seconds_wanted > 0 ? now_ns() >= end : target->rounds >= rounds_wanted;
		wait_for_all(target);
		if (first->over)
			return NULL;
		round_of(target);
	}
}

/* ---- the whole ----------------------------------------------------------- */

static void target_init(struct target *target, struct target *first, const char *directory, uint64_t seed)
{
	*target = (struct target){
		.writer = first->writer,
		.first = first,
		.directory = directory,
		.model = allocate(states.image_bytes),
		.want = allocate(states.image_bytes),
		.got = allocate(states.image_bytes),
		.affected = allocate(states.name_count * sizeof(bool)),
		.random = seed,
		.written_ns = now_ns(),
	};
	memcpy(target->model, states.state[0].bytes, states.image_bytes);
}

/* Adds the image with its directories to the targets; returns how many there are then. */
static unsigned add_image(struct target *targets, unsigned count, const char *writer, char *directories, uint64_t seed)
{
	struct target *first = &targets[count];
	char *rest = NULL;

	first->writer = writer_open(writer);
	for (char *one = strtok_r(directories, ",", &rest); one; one = strtok_r(NULL, ",", &rest), count++)
		target_init(&targets[count], first, one, seed + 100 * (uint64_t)(&targets[count] - first));
	if (pthread_barrier_init(&first->together, NULL, (unsigned)(&targets[count] - first)) != 0)
		die("no barrier");
	return count;
}

static int report(struct target *targets, unsigned count, unsigned images)
{
	struct target all = { 0 };

	for (unsigned i = 0; i < count; i++) {
		const struct target *one = &targets[i];

		all.rounds += one == one->first ? one->rounds : 0;
		all.settled_rounds += one->settled_rounds;
		all.trims += one->trims;
		all.zeroes += one->zeroes;
		all.opens += one->opens;
		all.stale += one->stale;
		all.refused += one->refused;
		all.held_whole += one->held_whole;
		all.held_refused += one->held_refused;
		all.held_mixed += one->held_mixed;
		series_join(&all.changed_us, &one->changed_us);
		series_join(&all.unchanged_us, &one->unchanged_us);
	}
	printf("%u images, %lu rounds (%lu from rest, %lu trims, %lu zeroes), %lu opens: %lu stale, %lu refused; "
	       "open across an update: %lu whole, %lu refused, %lu mixed\n",
	       images, all.rounds, all.settled_rounds, all.trims, all.zeroes, all.opens, all.stale, all.refused,
	       all.held_whole, all.held_refused, all.held_mixed);
	printf("    lookup+open, ms (median, 99.9 %%, worst): changed %.2f %.1f %.1f, unchanged %.2f %.1f %.1f\n",
	       series_quantile(&all.changed_us, 0.5) / 1e3, series_quantile(&all.changed_us, 0.999) / 1e3,
	       series_quantile(&all.changed_us, 1) / 1e3, series_quantile(&all.unchanged_us, 0.5) / 1e3,
	       series_quantile(&all.unchanged_us, 0.999) / 1e3, series_quantile(&all.unchanged_us, 1) / 1e3);
	return all.rounds == 0 || all.stale || all.held_mixed;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1;
	unsigned images, most = 0, count = 0;
	struct target *targets;

	for (int option; (option = getopt(argc, argv, "r:s:n:q:p:")) != -1;) {
		if (option == 'r')
			rounds_wanted = strtoul(optarg, NULL, 10);
		else if (option == 's')
			seconds_wanted = strtod(optarg, NULL);
		else if (option == 'n')
			seed = strtoull(optarg, NULL, 10);
		else if (option == 'p')
			patience_seconds = strtod(optarg, NULL);
		else if (option == 'q')
			settled_percent = (unsigned)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (argc - optind < 3 || (argc - optind) % 2 == 0)
		die("usage: fresh [-r ROUNDS] [-s SECONDS] [-n SEED] [-q PERCENT] [-p SECONDS] STATES WRITER DIRECTORY...");
	states_load(&states, argv[optind]);
	images = (unsigned)(argc - optind - 1) / 2;
	for (unsigned i = 0; i < images; i++)
		for (const char *at = argv[optind + 2 + 2 * i]; at; at = strchr(at + 1, ','))
			most++;
	targets = allocate(most * sizeof(*targets));
	for (unsigned i = 0; i < images; i++)
		count = add_image(targets, count, argv[optind + 1 + 2 * i], argv[optind + 2 + 2 * i], seed * 1000 + i);
	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&targets[i].thread, NULL, run, &targets[i]) != 0)
			die("no thread");
	for (unsigned i = 0; i < count; i++)
		pthread_join(targets[i].thread, NULL);
	for (unsigned i = 0; i < count; i++)
		if (targets[i].first == &targets[i])
			writer_close(targets[i].writer);
	return report(targets, count, images);
}
