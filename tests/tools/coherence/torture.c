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
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "contents.h"
#include "timeline.h"
#include "writer.h"

#define MS INT64_C(1000000)

static struct states states;
static const char *directory;
static atomic_bool over;
static int64_t settle_ns = 200 * MS;
static bool with_long, alone, reported;

/* What the holders wait for: when each sector was last written, and which state was last begun. */
#define SECTOR ((size_t)512)
static _Atomic int64_t *written_ns;
static atomic_uint latest_state;

/* ---- readers ------------------------------------------------------------- */

struct reader {
	uint64_t random;
	unsigned char *bytes;
	struct records records;
	bool slow, lists, holds;
	_Atomic int64_t opening_ns; /* since when it waits for its open; 0: it does not */
	pthread_t thread;
};

#define READERS_MAX 12
static struct reader readers[READERS_MAX];

static int read_file(struct reader *reader, int fd, struct content *content)
{
	size_t done = 0;
	struct stat st;
	ssize_t got;

	if (fstat(fd, &st) != 0)
		return errno;
	while (done < states.image_bytes) {
		got = read(fd, reader->bytes + done, 30000);
		if (got < 0)
			return errno;
		if (got == 0)
			break;
		if (reader->slow && done == 0)
			sleep_ns((int64_t)random_below(&reader->random, 400) * MS);
		done += (size_t)got;
	}
	/* The size that fstat gave is part of the content. */
	*content = (struct content){ XXH3_64bits(reader->bytes, done) + (done != (size_t)st.st_size), done };
	return 0;
}

#define HOLD_NS (4000 * MS)

static bool all_written_since(const struct file *file, int64_t since_ns)
{
	for (size_t i = 0; i < file->place_count; i++)
		for (size_t at = file->places[i].offset; at < file->places[i].offset + file->places[i].length;
		     at += SECTOR)
			if (written_ns[at / SECTOR] < since_ns)
				return false;
	return true;
}

/* Opened, begun, and read to the end only when nothing of it is on the image any more. */
static int hold_and_read(struct reader *reader, int fd, struct record *record, struct content *content)
{
	const struct file *file = &states.state[latest_state].files[record->name];
	int64_t until_ns = now_ns() + HOLD_NS;
	struct stat st;

	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	if (fstat(fd, &st) != 0 || pread(fd, reader->bytes, 4096, 0) < 0)
		return errno;
	record->held = true;
	while (!over && now_ns() < until_ns && !record->overwritten) {
		sleep_ns(5 * MS);
		record->overwritten = file->kind == REGULAR && file->size == (uint64_t)st.st_size &&
				      all_written_since(file, record->open_ns);
	}
	/* From the daemon, not from the page cache. */
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return read_file(reader, fd, content);
}

static int list_names(int fd, struct content *content, int64_t *open_ns)
{
	DIR *dir = fdopendir(fd);
	bool first = true; /* what is listed is what is there then: this reader may be paused before */
	struct dirent *entry;

	*content = (struct content){ 0 };
	if (!dir)
		return errno;
	while ((errno = 0, entry = readdir(dir))) {
		if (first)
			*open_ns = now_ns();
		first = false;
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		for (char *at = entry->d_name; *at; at++)
			*at = (char)tolower((unsigned char)*at);
		add_name(content, entry->d_name);
	}
	int error = errno;

	closedir(dir);
	return error;
}

static void read_once(struct reader *reader, unsigned name)
{
	struct record record = { .name = name, .start_ns = now_ns() };
	struct content content = { 0 };
	char path[4096];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name < states.name_count ? states.names[name] : "");
	reader->opening_ns = record.start_ns;
	fd = open(path, O_RDONLY | O_CLOEXEC | (reader->lists ? O_DIRECTORY : 0));
	reader->opening_ns = 0;
	record.error = fd < 0 ? errno : 0;
	record.open_ns = now_ns();
	record.opened = fd >= 0;
	if (fd >= 0) {
		record.inode = !reader->lists && fstat(fd, &st) == 0 ? st.st_ino : 0;
		record.error = reader->lists ? list_names(fd, &content, &record.open_ns) :
			       reader->holds ? hold_and_read(reader, fd, &record, &content) :
					       read_file(reader, fd, &content);
		if (!reader->lists)
			close(fd);
	}
	record.end_ns = now_ns();
	if (record.error == 0) {
		record.states = states_with(name, &content, reader->lists);
		record.hash = content.hash;
	} else if (record.error == ENOENT) {
		record.states = states_without(name);
	}
	records_add(&reader->records, &record);
}

static bool ever_directory(unsigned name)
{
	for (unsigned state = 0; state < states.count; state++)
		if (is_there(state, name))
			return is_directory(state, name);
	return false;
}

static bool ever_changes(unsigned name)
{
	for (unsigned state = 1; state < states.count; state++)
		if (!untouched(&states, state - 1, state, name))
			return true;
	return false;
}

/* The kernel. */
static unsigned largest(void)
{
	unsigned best = 0;

	for (unsigned name = 1; name < states.name_count; name++)
		if (states.state[0].files[name].size > states.state[0].files[best].size)
			best = name;
	return best;
}

static void *run_reader(void *argument)
{
	struct reader *reader = argument;

	while (!over) {
		unsigned name = (unsigned)random_below(&reader->random, states.name_count + 1);

		/* Every state has the kernel; it is what changes most. */
		if (!reader->lists && random_below(&reader->random, 3) == 0)
			name = (unsigned)random_below(&reader->random, 8);
		if (reader->holds && random_below(&reader->random, 2) == 0)
			name = largest();
		if (ever_directory(name) != reader->lists || (reader->holds && !ever_changes(name)))
			continue;
		read_once(reader, name);
		sleep_ns((int64_t)random_below(&reader->random, alone ? 4000 : reader->holds ? 2000000 : 1500) * 1000);
	}
	return NULL;
}

/* ---- the writer ---------------------------------------------------------- */

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
	int64_t longest = (int64_t)count * settle_ns / 3, burst;

	/* What is left of a reader's patience is for the machine, which is busy. */
	burst = (int64_t)random_below(random, 3) * 45 * MS + (int64_t)random_below(random, 45) * MS;
	if (with_long && random_below(random, 5) == 0)
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
		pause = settle_ns / 8 + (int64_t)random_below(random, (uint64_t)settle_ns / 2);
	if (pace == STOPPING && left == count / 2)
		pause = settle_ns + (int64_t)random_below(random, 3 * (uint64_t)settle_ns);
	return pause;
}

static void move(struct timeline *timeline, struct writer *writer, unsigned from, unsigned to, uint64_t *random)
{
	static const size_t lengths[] = { 1, 8, 8, 64, 512 };
	const unsigned char *want = states.state[to].bytes;
	size_t block_bytes = writer_block_bytes(writer), length = lengths[random_below(random, 5)], count;
	enum pace pace = (enum pace)random_below(random, with_long ? PACES : STOPPING);
	struct part *parts;
	int64_t last_ns, burst;

	/* A thousand writes take their time, however short the pauses are. */
	while ((count = differing_parts(states.state[from].bytes, want, states.image_bytes, block_bytes, length, random,
					&parts)) > 300 && reported) {
		free(parts);
		length *= 8;
	}
	burst = burst_ns(random, count);
	timeline_begin(timeline, from, to);
	latest_state = to;
	last_ns = timeline->steps[timeline->step_count - 1].start_ns;
	for (size_t i = 0; i < count; i++) {
		int64_t asked_ns;

		if (reported)
			sleep_ns(timeline->steps[timeline->step_count - 1].start_ns +
				 burst * (int64_t)i / (int64_t)count - now_ns());
		else if (i > 0)
			sleep_ns(pause_ns(pace, random, i, count));
		asked_ns = now_ns();
		writer_write(writer, parts[i].offset, want + parts[i].offset, parts[i].length);
		for (size_t at = 0; at < parts[i].length; at += SECTOR)
			written_ns[(parts[i].offset + at) / SECTOR] = now_ns();
		/*
		 * This machine may have paused us longer than we asked for, or the server: the last write landed
		 * after it was asked for, this one before it was replied to.
		 */
		if (now_ns() - last_ns >= settle_ns * 9 / 10)
			timeline_silence(timeline, last_ns + settle_ns * 9 / 10, now_ns());
		last_ns = asked_ns;
	}
	writer_end(writer);
	timeline_end(timeline);
	free(parts);
}

/*
 * A rest is one if those whom the update made wait could look meanwhile: on a busy
 * machine they need longer. Who is not answered at all is not waited for.
 */
#define ANSWER_NS (1000 * MS)

static void wait_for_readers(int64_t end_ns)
{
	for (unsigned i = 0; i < READERS_MAX; i++)
		for (int64_t since_ns; (since_ns = readers[i].opening_ns) != 0 && since_ns <= end_ns &&
				       now_ns() - end_ns < ANSWER_NS;)
			sleep_ns(MS);
}

static void run_writer(struct timeline *timeline, struct writer *writer, double seconds, uint64_t random)
{
	static const int64_t rests_ms[] = { 0, 20, 150, 300, 600, 2600 };
	int64_t end = now_ns() + (int64_t)(seconds * 1e9), ended_ns;
	unsigned state = 0;

	while (now_ns() < end) {
		unsigned next = (unsigned)random_below(&random, states.count - 1);

		next += next >= state;
		move(timeline, writer, state, next, &random);
		state = next;
		ended_ns = now_ns();
		sleep_ns(rests_ms[random_below(&random, reported && random_below(&random, 4) ? 5 : 6)] * MS +
			 (reported ? settle_ns + 100 * MS : 0));
		if (reported)
			wait_for_readers(ended_ns);
	}
}

/* ---- the whole ----------------------------------------------------------- */

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
	uint64_t *last = allocate(states.name_count * sizeof(*last));

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
		changed += last[record->name] != 0 && !ever_changes(record->name);
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
	if (reported)
		timeline_reported(&timeline, settle_ns);
	for (int i = 0; i < count; i++) {
		struct records records = { 0 };
		struct verdicts verdicts = { 0 };
		const char *slash = strrchr(records_paths[i], '/');

		records_load(&records, &states, records_paths[i]);
		timeline_judge(&timeline, &states, &records, &verdicts);
		status |= verdicts_print(&verdicts, slash ? slash + 1 : records_paths[i]);
	}
	return status;
}

/* How late is who only sleeps? */
static void *watch_machine(void *argument)
{
	struct series *late_ms = argument;

	while (!over) {
		int64_t end_ns = now_ns() + 2 * MS;

		sleep_ns(2 * MS);
		series_add(late_ms, (double)(now_ns() - end_ns) / 1e6);
	}
	return NULL;
}

static int torture(struct writer *writer, double seconds, uint64_t seed, const char *save)
{
	unsigned count = alone ? 1 : reported ? READERS_MAX : 6;
	struct timeline timeline = { .exact_ns = reported ? now_ns() : 0 };
	struct records all = { 0 };
	struct verdicts verdicts = { 0 };
	struct series late_ms = { 0 };
	pthread_t watcher;
	int status;

	if (pthread_create(&watcher, NULL, watch_machine, &late_ms) != 0)
		die("no thread");
	for (unsigned i = 0; i < count; i++) {
		readers[i] = (struct reader){ .random = seed * 100 + i + 1,
					      .bytes = allocate(states.image_bytes + 65536),
					      .slow = i == 3 || i == 4,
					      .lists = i == 5,
					      .holds = i > 5 };
		if (pthread_create(&readers[i].thread, NULL, run_reader, &readers[i]) != 0)
			die("no thread");
	}
	run_writer(&timeline, writer, seconds, seed);
	over = true;
	writer_close(writer);
	pthread_join(watcher, NULL);
	timeline.paused_ms = series_quantile(&late_ms, 0.999);
	free(late_ms.values);
	for (unsigned i = 0; i < count; i++) {
		pthread_join(readers[i].thread, NULL);
		for (size_t at = 0; at < readers[i].records.count; at++)
			records_add(&all, &readers[i].records.all[at]);
	}
	if (save)
		timeline_save(&timeline, save);
	if (reported)
		timeline_reported(&timeline, settle_ns);
	timeline_judge(&timeline, &states, &all, &verdicts);
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
			snprintf(text, sizeof(text), "%s/%s", directory, states.names[0]);
			access(text, F_OK);
			/* A writer's rest: what came before is settled, and the first update has a beginning. */
			nanosleep(&(struct timespec){ .tv_nsec = 2 * settle_ns }, NULL);
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
			settle_ns = strtol(optarg, NULL, 10) * MS;
			break;
		case 'L':
			with_long = true;
			break;
		case 'R':
			reported = true;
			break;
		case '1':
			alone = true;
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
	states_load(&states, argv[optind]);
	if (judge)
		return judge_others(judge, argv + optind + 1, argc - optind - 1);
	contents_learn(&states);
	written_ns = allocate(states.image_bytes / SECTOR * sizeof(*written_ns));
	directory = argv[optind + 2];
	writer = writer_open(argv[optind + 1]);
	if (status_path)
		wait_until_exact(writer, status_path);
	return torture(writer, seconds, seed, save);
}
