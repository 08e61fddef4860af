/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trial_readers.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "contents.h"
#include "trial.h"

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
	while (done < trial.states.image_bytes) {
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
			if (trial.written_ns[at / SECTOR] < since_ns)
				return false;
	return true;
}

/* Opened, begun, and read to the end only when nothing of it is on the image any more. */
static int hold_and_read(struct reader *reader, int fd, struct record *record, struct content *content)
{
	/* By name: GCC 12 reads an atomic index as any other. */
	const struct file *file = &trial.states.state[atomic_load(&trial.latest_state)].files[record->name];
	int64_t until_ns = now_ns() + HOLD_NS;
	struct stat st;

	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	if (fstat(fd, &st) != 0 || pread(fd, reader->bytes, 4096, 0) < 0)
		return errno;
	record->held = true;
	while (!trial.over && now_ns() < until_ns && !record->overwritten) {
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

	snprintf(path, sizeof(path), "%s/%s", trial.directory, name < trial.states.name_count ? trial.states.names[name] : "");
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
	for (unsigned state = 0; state < trial.states.count; state++)
		if (is_there(state, name))
			return is_directory(state, name);
	return false;
}

bool trial_ever_changes(unsigned name)
{
	for (unsigned state = 1; state < trial.states.count; state++)
		if (!untouched(&trial.states, state - 1, state, name))
			return true;
	return false;
}

/* The kernel. */
static unsigned largest(void)
{
	unsigned best = 0;

	for (unsigned name = 1; name < trial.states.name_count; name++)
		if (trial.states.state[0].files[name].size > trial.states.state[0].files[best].size)
			best = name;
	return best;
}

static void *run_reader(void *argument)
{
	struct reader *reader = argument;

	while (!trial.over) {
		unsigned name = (unsigned)random_below(&reader->random, trial.states.name_count + 1);

		/* Every state has the kernel; it is what changes most. */
		if (!reader->lists && random_below(&reader->random, 3) == 0)
			name = (unsigned)random_below(&reader->random, 8);
		if (reader->holds && random_below(&reader->random, 2) == 0)
			name = largest();
		if (ever_directory(name) != reader->lists || (reader->holds && !trial_ever_changes(name)))
			continue;
		read_once(reader, name);
		sleep_ns((int64_t)random_below(&reader->random, trial.alone ? 4000 : reader->holds ? 2000000 : 1500) * 1000);
	}
	return NULL;
}

#define ANSWER_NS (1000 * MS)

void trial_wait_for_readers(int64_t end_ns)
{
	for (unsigned i = 0; i < READERS_MAX; i++)
		for (int64_t since_ns; (since_ns = readers[i].opening_ns) != 0 && since_ns <= end_ns &&
				       now_ns() - end_ns < ANSWER_NS;)
			sleep_ns(MS);
}

void trial_start_readers(unsigned count, uint64_t seed)
{
	for (unsigned i = 0; i < count; i++) {
		readers[i] = (struct reader){ .random = seed * 100 + i + 1,
					      .bytes = allocate(trial.states.image_bytes + 65536),
					      .slow = i == 3 || i == 4,
					      .lists = i == 5,
					      .holds = i > 5 };
		if (pthread_create(&readers[i].thread, NULL, run_reader, &readers[i]) != 0)
			die("no thread");
	}
}

void trial_join_readers(unsigned count, struct records *all)
{
	for (unsigned i = 0; i < count; i++) {
		pthread_join(readers[i].thread, NULL);
		for (size_t at = 0; at < readers[i].records.count; at++)
			records_add(all, &readers[i].records.all[at]);
	}
}
