/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Between tries of what was refused. */
#define PAUSE_NS (10 * INT64_C(1000000))

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

void target_look_at_all(struct target *target)
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

void target_hold(struct target *target, struct held *held)
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

void target_let_go(struct target *target, struct held *held)
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
