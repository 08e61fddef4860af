/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "states.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "coherence: ");
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\n");
	va_end(arguments);
	exit(1);
}

void *allocate(size_t bytes)
{
	void *memory = calloc(1, bytes ? bytes : 1);

	if (!memory)
		die("no memory");
	return memory;
}

int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void sleep_ns(int64_t ns)
{
	struct timespec time = { ns / 1000000000, ns % 1000000000 };

	if (ns > 0)
		nanosleep(&time, NULL);
}

/* ---- random numbers (splitmix64) ----------------------------------------- */

uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15U);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return random_next(state) % limit;
}

/* ---- loading ------------------------------------------------------------- */

static const unsigned char *map_image(const char *path, size_t *bytes)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *map;

	if (fd < 0 || fstat(fd, &st) != 0)
		return NULL;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		die("%s: mmap: %s", path, strerror(errno));
	*bytes = (size_t)st.st_size;
	return map;
}

static unsigned name_index(struct states *states, const char *name)
{
	for (unsigned i = 0; i < states->name_count; i++)
		if (!strcmp(states->names[i], name))
			return i;
	states->names = realloc(states->names, (states->name_count + 1) * sizeof(*states->names));
	if (!states->names || !(states->names[states->name_count] = strdup(name)))
		die("no memory");
	/* The states so far do not have it. */
	for (unsigned i = 0; i < STATES_MAX; i++) {
		struct state *state = &states->state[i];

		state->files = realloc(state->files, (states->name_count + 1) * sizeof(*state->files));
		if (!state->files)
			die("no memory");
		state->files[states->name_count] = (struct file){ .kind = ABSENT };
	}
	return states->name_count++;
}

static void parse_places(struct file *file, char *text)
{
	if (!strcmp(text, "-"))
		return;
	for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		struct place place;

		if (sscanf(word, "%lu:%lu", &place.offset, &place.length) != 2)
			die("bad place: %s", word);
		file->places = realloc(file->places, (file->place_count + 1) * sizeof(place));
		if (!file->places)
			die("no memory");
		file->places[file->place_count++] = place;
	}
}

static void load_files(struct states *states, struct state *state, const char *path)
{
	FILE *in = fopen(path, "re");
	char *line = NULL;
	size_t capacity = 0;

	if (!in)
		die("%s: %s", path, strerror(errno));
	while (getline(&line, &capacity, in) > 0) {
		struct file file = { .kind = line[0] == 'd' ? DIRECTORY : REGULAR };
		int places_at = 0, places_end = 0;
		unsigned name;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line + 1, "%lu %lu %n%*s%n", &file.entry, &file.size, &places_at, &places_end) != 2 ||
		    places_end == 0)
			die("%s: bad line: %s", path, line);
		line[1 + places_end] = '\0';
		for (char *at = line + 2 + places_end; *at; at++)
			*at = (char)tolower((unsigned char)*at);
		parse_places(&file, line + 1 + places_at);
		name = name_index(states, line + 2 + places_end); /* moves state->files */
		state->files[name] = file;
	}
	free(line);
	fclose(in);
}

void states_load(struct states *states, const char *directory)
{
	char path[4096];
	size_t bytes;

	memset(states, 0, sizeof(*states));
	for (unsigned i = 0; i < STATES_MAX; i++) {
		struct state *state = &states->state[i];

		snprintf(path, sizeof(path), "%s/%u.img", directory, i);
		state->bytes = map_image(path, &bytes);
		if (!state->bytes)
			break;
		if (i > 0 && bytes != states->image_bytes)
			die("%s: another size", path);
		states->image_bytes = bytes;
		snprintf(path, sizeof(path), "%s/%u.files", directory, i);
		load_files(states, state, path);
		states->count++;
	}
	if (states->count < 2)
		die("%s: no states (mkstates.py makes them)", directory);
}

/* ---- comparing ----------------------------------------------------------- */

void file_bytes(const struct file *file, const unsigned char *image, unsigned char *out)
{
	for (size_t i = 0; i < file->place_count; i++) {
		memcpy(out, image + file->places[i].offset, file->places[i].length);
		out += file->places[i].length;
	}
}

bool untouched(const struct states *states, unsigned a, unsigned b, unsigned name)
{
	const struct file *x = &states->state[a].files[name], *y = &states->state[b].files[name];

	if (x->kind != y->kind)
		return false;
	if (x->kind == ABSENT)
		return true;
	if (x->entry != y->entry || x->size != y->size || x->place_count != y->place_count ||
	    memcmp(states->state[a].bytes + x->entry, states->state[b].bytes + y->entry, 32) != 0)
		return false;
	for (size_t i = 0; i < x->place_count; i++)
		if (x->places[i].offset != y->places[i].offset || x->places[i].length != y->places[i].length ||
		    memcmp(states->state[a].bytes + x->places[i].offset,
			   states->state[b].bytes + x->places[i].offset, x->places[i].length) != 0)
			return false;
	return true;
}

const char *child_of(const struct states *states, int parent, unsigned child)
{
	const char *name = states->names[child], *top = parent < 0 ? "" : states->names[parent];
	size_t length = strlen(top);

	if (strncmp(name, top, length) != 0)
		return NULL;
	name += length;
	if (parent >= 0 && *name++ != '/')
		return NULL;
	return *name && !strchr(name, '/') ? name : NULL;
}

size_t differing_parts(const unsigned char *have, const unsigned char *want, size_t image_bytes, size_t block_bytes,
		       size_t blocks_max, uint64_t *random, struct part **out)
{
	struct part *parts = NULL;
	size_t count = 0;

	for (size_t at = 0; at < image_bytes;) {
		size_t end = at, limit = (1 + random_below(random, blocks_max)) * block_bytes;

		while (end < image_bytes && end - at < limit && memcmp(have + end, want + end, block_bytes) != 0)
			end += block_bytes;
		if (end == at) {
			at += block_bytes;
			continue;
		}
		if ((count & (count + 1)) == 0) {
			parts = realloc(parts, (2 * count + 2) * sizeof(*parts));
			if (!parts)
				die("no memory");
		}
		parts[count++] = (struct part){ at, end - at };
		at = end;
	}
	for (size_t i = count; i > 1; i--) {
		size_t other = random_below(random, i);
		struct part swap = parts[i - 1];

		parts[i - 1] = parts[other];
		parts[other] = swap;
	}
	*out = parts;
	return count;
}

/* ---- times --------------------------------------------------------------- */

void series_add(struct series *series, double value)
{
	if (series->count == series->capacity) {
		series->capacity = series->capacity ? 2 * series->capacity : 1024;
		series->values = realloc(series->values, series->capacity * sizeof(*series->values));
		if (!series->values)
			die("no memory");
	}
	series->values[series->count++] = value;
}

void series_join(struct series *series, const struct series *more)
{
	for (size_t i = 0; i < more->count; i++)
		series_add(series, more->values[i]);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double series_quantile(struct series *series, double quantile)
{
	size_t at;

	if (series->count == 0)
		return 0;
	qsort(series->values, series->count, sizeof(*series->values), by_value);
	at = (size_t)((double)series->count * quantile);
	return series->values[at < series->count ? at : series->count - 1];
}
