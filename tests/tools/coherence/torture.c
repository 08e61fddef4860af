/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * torture - does anything but whole files, of the right time, ever come out?
 *
 *   torture [options] STATES WRITER DIRECTORY
 *   torture -j TIMELINE STATES RECORDS...
 *
 * A writer (see writer.h) moves an image, which holds state 0 of STATES
 * (mkstates.py) and is seen in DIRECTORY, from state to state by writing the
 * blocks that differ in random order with random pauses, as a client's
 * writeback does. Readers open, read and list all the time. Afterwards every
 * read is judged (timeline.h).
 *
 *   -s SECONDS    for how long (30)         -n SEED     of the random numbers
 *   -w MS         the settle time (200): no pause of the writer comes near it
 *   -L            but some are longer: what is then read is counted apart
 *   -R            the writer's server reports: updates are bursts with rests between
 *                 them, and nothing may be refused (timeline.h); some readers hold a
 *                 file open until all of it was written over. With -L some bursts
 *                 are too long to wait for. With -j: judge so
 *   -1            reads only one by one, with little load (for latencies)
 *   -o TIMELINE   save the writer's doings, to judge others' reads by
 *   -j TIMELINE   judge the reads in RECORDS, of tftp_reader.py
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "contents.h"
#include "timeline.h"
#include "trial.h"
#include "trial_readers.h"
#include "trial_writer.h"
#include "writer.h"

struct trial trial = { .settle_ns = 200 * MS };

static int by_inode(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return 0;
}

/*
 * C3: an inode number has one content; a file that no update touches has one number, but
 * that a version whose read ended with an error (written while nothing told what) is not
 * believed again: the next open has another number. Sorts.
 */
static int check_inodes(struct records *records)
{
	unsigned long numbers = 0, reused = 0, changed = 0, ended = 0;
	uint64_t *last = allocate(trial.states.name_count * sizeof(*last));

	qsort(records->all, records->count, sizeof(*records->all), by_inode);
	for (size_t i = 0; i < records->count; i++) {
		const struct record *record = &records->all[i], *before = i > 0 ? record - 1 : NULL;

		ended += record->opened && record->error != 0;
		if (record->inode == 0 || record->error != 0)
			continue;
		if (before && before->inode == record->inode) {
			reused += before->error == 0 && before->hash != record->hash;
			continue;
		}
		numbers++;
		changed += last[record->name] != 0 && !trial_ever_changes(record->name);
		last[record->name] = record->inode;
	}
	free(last);
	printf("    %lu inode numbers, %lu of them with two contents; files never changed got %lu more than one each\n",
	       numbers, reused, changed);
	return reused || changed > (ended ? numbers / 10 : 0);
}

static int judge_others(const char *timeline_path, char **records_paths, int count)
{
	struct timeline timeline = { 0 };
	int status = 0;

	timeline_load(&timeline, timeline_path);
	if (trial.reported)
		timeline_reported(&timeline, trial.settle_ns);
	for (int i = 0; i < count; i++) {
		struct records records = { 0 };
		struct verdicts verdicts = { 0 };
		const char *slash = strrchr(records_paths[i], '/');

		records_load(&records, &trial.states, records_paths[i]);
		timeline_judge(&timeline, &trial.states, &records, &verdicts);
		status |= verdicts_print(&verdicts, slash ? slash + 1 : records_paths[i]);
	}
	return status;
}

/* How late is who only sleeps? */
static void *watch_machine(void *argument)
{
	struct series *late_ms = argument;

	while (!trial.over) {
		int64_t end_ns = now_ns() + 2 * MS;

		sleep_ns(2 * MS);
		series_add(late_ms, (double)(now_ns() - end_ns) / 1e6);
	}
	return NULL;
}

static int torture(struct writer *writer, double seconds, uint64_t seed, const char *save)
{
	unsigned count = trial.alone ? 1 : trial.reported ? READERS_MAX : 6;
	struct timeline timeline = { .exact_ns = trial.reported ? now_ns() : 0 };
	struct records all = { 0 };
	struct verdicts verdicts = { 0 };
	struct series late_ms = { 0 };
	pthread_t watcher;
	int status;

	if (pthread_create(&watcher, NULL, watch_machine, &late_ms) != 0)
		die("no thread");
	trial_start_readers(count, seed);
	trial_write(&timeline, writer, seconds, seed);
	trial.over = true;
	writer_close(writer);
	pthread_join(watcher, NULL);
	timeline.paused_ms = series_quantile(&late_ms, 0.999);
	free(late_ms.values);
	trial_join_readers(count, &all);
	if (save)
		timeline_save(&timeline, save);
	if (trial.reported)
		timeline_reported(&timeline, trial.settle_ns);
	timeline_judge(&timeline, &trial.states, &all, &verdicts);
	printf("%u updates, %u of them with a silence as long as the settle time\n", timeline.step_count,
	       timeline.silence_count);
	status = verdicts_print(&verdicts, "directly");
	status |= check_inodes(&all);
	return status;
}

/* A server has reported something, and imagefs has found out that nobody else writes. */
static void wait_until_exact(struct writer *writer, const char *status_path)
{
	unsigned char sector[SECTOR];
	static char text[65536];

	writer_read(writer, 0, sector, sizeof(sector));
	writer_write(writer, 0, sector, sizeof(sector));
	writer_end(writer);
	for (unsigned tries = 0; tries < 10000; tries++) {
		FILE *file = fopen(status_path, "re");
		size_t length = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

		if (file)
			fclose(file);
		text[length] = '\0';
		if (strstr(text, "\"exact\": true")) {
			/* It is so for readers from the first look on, as they tell what went before. */
			snprintf(text, sizeof(text), "%s/%s", trial.directory, trial.states.names[0]);
			access(text, F_OK);
			/* A writer's rest: what came before is settled, and the first update has a beginning. */
			nanosleep(&(struct timespec){ .tv_nsec = 2 * trial.settle_ns }, NULL);
			return;
		}
		nanosleep(&(struct timespec){ .tv_nsec = MS }, NULL);
	}
	die("%s: never exact", status_path);
}

int main(int argc, char **argv)
{
	const char *save = NULL, *judge = NULL, *status_path = NULL;
	struct writer *writer;
	double seconds = 30;
	uint64_t seed = 1;

	for (int option; (option = getopt(argc, argv, "s:n:w:LR1o:j:x:")) != -1;)
		switch (option) {
		case 's':
			seconds = strtod(optarg, NULL);
			break;
		case 'n':
			seed = strtoull(optarg, NULL, 10);
			break;
		case 'w':
			trial.settle_ns = strtol(optarg, NULL, 10) * MS;
			break;
		case 'L':
			trial.with_long = true;
			break;
		case 'R':
			trial.reported = true;
			break;
		case '1':
			trial.alone = true;
			break;
		case 'o':
			save = optarg;
			break;
		case 'j':
			judge = optarg;
			break;
		case 'x':
			status_path = optarg;
			break;
		default:
			return 2;
		}
	if (argc - optind < 2 || (!judge && argc - optind != 3))
		die("usage: torture [-s SECONDS] [-n SEED] [-w MS] [-L] [-R] [-1] [-o TIMELINE] [-x STATUS] STATES WRITER DIRECTORY\n"
		    "       torture [-R] [-w MS] -j TIMELINE STATES RECORDS...");
	states_load(&trial.states, argv[optind]);
	if (judge)
		return judge_others(judge, argv + optind + 1, argc - optind - 1);
	contents_learn(&trial.states);
	trial.written_ns = allocate(trial.states.image_bytes / SECTOR * sizeof(*trial.written_ns));
	trial.directory = argv[optind + 2];
	writer = writer_open(argv[optind + 1]);
	if (status_path)
		wait_until_exact(writer, status_path);
	return torture(writer, seconds, seed, save);
}
