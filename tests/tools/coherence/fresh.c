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
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "states.h"
#include "writer.h"

#define PAUSE_NS (10 * INT64_C(1000000))
#define SETTLED_NS (INT64_C(2100) * 1000000)
#define HELD 3

static struct states states;
static unsigned long rounds_wanted = 10;
static double seconds_wanted, patience_seconds = 2;
static unsigned settled_percent = 10;

struct held {
	int fd;
	unsigned name;
	size_t length;
	unsigned char *bytes;
};

/* An image in one of its directories. */
struct target {
	struct writer *writer;
	const char *directory;
	struct target *first; /* of the image's: it writes, and says when it is over */
	pthread_barrier_t together; /* the first one's, for all of them */
	bool over; /* the first one's */
	unsigned char *model; /* what the image holds */
	unsigned state;
	uint64_t random;
	int64_t written_ns;
	unsigned char *want, *got;
	bool *affected; /* by the last update, of each name */
	struct held held[HELD];
	unsigned long rounds, settled_rounds, trims, zeroes, opens, stale, refused, held_whole, held_refused,
		held_mixed;
	struct series changed_us, unchanged_us;
	pthread_t thread;
};

static void complain(struct target *target, const char *path, const char *what)
{
	if (++target->stale <= 5)
		fprintf(stderr, "fresh: %s: round %lu: %s\n", path, target->rounds, what);
}

/* ---- one look ------------------------------------------------------------ */

/* Reads until the end. -errno, or the length, at most `capacity`. */
static ssize_t read_all(int fd, unsigned char *bytes, size_t capacity)
{
	size_t done = 0;

	while (done < capacity) {
		ssize_t got = pread(fd, bytes + done, capacity - done < 65536 ? capacity - done : 65536, (off_t)done);

		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

/* 0: as it should be; EIO, ESTALE: refused; -1: not as it should be, and told. */
static int look_once(struct target *target, const char *path, unsigned name, struct series *times)
{
	const struct file *file = &states.state[target->state].files[name];
	int64_t start = now_ns();
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error = errno;
	double took_us = (double)(now_ns() - start) / 1e3;
	char what[160];
	struct stat st;
	ssize_t got;

	target->opens++;
	if (fd < 0 && (error == EIO || error == ESTALE))
		return error;
	series_add(times, took_us);
	if (fd < 0) {
		if (error == ENOENT && file->kind == ABSENT)
			return 0;
		complain(target, path, strerror(error));
		return -1;
	}
	if (file->kind == ABSENT) {
		close(fd);
		complain(target, path, "still there");
		return -1;
	}
	if (file->kind == DIRECTORY) {
		close(fd);
		return 0;
	}
	if (fstat(fd, &st) != 0) {
		error = errno;
		close(fd);
		return error;
	}
	got = read_all(fd, target->got, states.image_bytes);
	close(fd);
	if (got == -EIO || got == -ESTALE)
		return (int)-got;
	file_bytes(file, target->model, target->want);
	if (got == (ssize_t)file->size && (uint64_t)st.st_size == file->size &&
	    memcmp(target->want, target->got, file->size) == 0)
		return 0;
	snprintf(what, sizeof(what), "%zd bytes, fstat says %ld, true are %lu; state %u", got, (long)st.st_size,
		 file->size, target->state);
	complain(target, path, what);
	return -1;
}

static void look(struct target *target, unsigned name, struct series *times)
{
	int64_t deadline = now_ns() + (int64_t)(patience_seconds * 1e9);
	char path[4096];
	int result;

	snprintf(path, sizeof(path), "%s/%s", target->directory, states.names[name]);
	while ((result = look_once(target, path, name, times)) > 0) {
		target->refused++;
		if (now_ns() < deadline) {
			sleep_ns(PAUSE_NS);
			continue;
		}
		complain(target, path, "refused for too long");
		return;
	}
}

static void lower(char *text)
{
	for (; *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

/* How many of the listed names are right, or -errno; *extra: how many are wrong. */
static int list_once(struct target *target, const char *path, int parent, unsigned *extra)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int found = 0;

	if (!dir)
		return -errno;
	*extra = 0;
	while ((errno = 0, entry = readdir(dir))) {
		unsigned name = 0;
		const char *child = NULL;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		lower(entry->d_name);
		for (; name < states.name_count; name++)
			if ((child = child_of(&states, parent, name)) && !strcmp(child, entry->d_name))
				break;
		if (name < states.name_count && states.state[target->state].files[name].kind != ABSENT)
			found++;
		else
			(*extra)++;
	}
	found = errno ? -errno : found;
	closedir(dir);
	return found;
}

static void list(struct target *target, int parent)
{
	int64_t deadline = now_ns() + (int64_t)(patience_seconds * 1e9);
	char path[4096], what[96];
	unsigned extra = 0;
	int wanted = 0, got;

	if (parent >= 0 && states.state[target->state].files[parent].kind != DIRECTORY)
		return;
	for (unsigned name = 0; name < states.name_count; name++)
		wanted += child_of(&states, parent, name) && states.state[target->state].files[name].kind != ABSENT;
	snprintf(path, sizeof(path), "%s/%s", target->directory, parent < 0 ? "" : states.names[parent]);
	while ((got = list_once(target, path, parent, &extra)) == -EIO || got == -ESTALE) {
		target->refused++;
		if (now_ns() < deadline) {
			sleep_ns(PAUSE_NS);
			continue;
		}
		complain(target, path, "list: refused for too long");
		return;
	}
	target->opens++;
	if (got == wanted && extra == 0)
		return;
	snprintf(what, sizeof(what), "lists %d right and %u wrong names (%s), true are %d", got, extra,
		 got < 0 ? strerror(-got) : "", wanted);
	complain(target, path, what);
}

static void look_at_all(struct target *target)
{
	unsigned start = (unsigned)random_below(&target->random, states.name_count);

	for (int affected = 1; affected >= 0; affected--)
		for (unsigned i = 0; i < states.name_count; i++) {
			unsigned name = (start + i) % states.name_count;

			if (target->affected[name] == affected)
				look(target, name, affected ? &target->changed_us : &target->unchanged_us);
		}
	for (int parent = -1; parent < (int)states.name_count; parent++)
		list(target, parent);
	memset(target->affected, 0, states.name_count * sizeof(bool));
}

/* ---- files held open across an update ------------------------------------ */

static void hold(struct target *target, struct held *held)
{
	const struct file *file;
	char path[4096];

	held->name = (unsigned)random_below(&target->random, states.name_count);
	file = &states.state[target->state].files[held->name];
	held->fd = -1;
	if (file->kind != REGULAR)
		return;
	snprintf(path, sizeof(path), "%s/%s", target->directory, states.names[held->name]);
	held->fd = open(path, O_RDONLY | O_CLOEXEC);
	held->length = file->size;
	held->bytes = allocate(file->size);
	file_bytes(file, target->model, held->bytes);
	if (held->fd >= 0 && pread(held->fd, target->got, 100, 0) >= 0)
		return;
	target->refused++;
	if (held->fd >= 0)
		close(held->fd);
	held->fd = -1;
	free(held->bytes);
}

static void let_go(struct target *target, struct held *held)
{
	ssize_t got;
	struct stat st;

	if (held->fd < 0)
		return;
	got = read_all(held->fd, target->got, states.image_bytes);
	if (got == -EIO || got == -ESTALE) {
		target->held_refused++;
	} else if (got == (ssize_t)held->length && memcmp(target->got, held->bytes, held->length) == 0 &&
		   fstat(held->fd, &st) == 0 && (uint64_t)st.st_size == held->length) {
		target->held_whole++;
	} else {
		if (++target->held_mixed <= 5)
			fprintf(stderr, "fresh: %s/%s: round %lu: open across an update: %zd bytes that it never was\n",
				target->directory, states.names[held->name], target->rounds, got);
	}
	close(held->fd);
	free(held->bytes);
}

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
	look_at_all(target);
	if (random_below(&target->random, 100) < settled_percent) {
		sleep_ns(target->written_ns + SETTLED_NS - now_ns());
		look_at_all(target);
		target->settled_rounds++;
	}
	for (int i = 0; i < HELD; i++)
		hold(target, &target->held[i]);
	update_for_all(target);
	look_at_all(target);
	target->written_ns = now_ns();
	for (int i = 0; i < HELD; i++)
		let_go(target, &target->held[i]);
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
