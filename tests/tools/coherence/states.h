/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * states: the states of an image that mkstates.py made, in memory: its bytes,
 * and of every path where its entry and its bytes are. All for tests: what goes
 * wrong ends the program.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATES_MAX 64 /* they are bits of a mask */

enum kind {
	ABSENT,
	REGULAR,
	DIRECTORY,
};

struct place {
	uint64_t offset, length;
};

struct file {
	enum kind kind;
	uint64_t entry, size;
	size_t place_count;
	struct place *places;
};

struct state {
	const unsigned char *bytes;
	struct file *files; /* one for each of states.names */
};

struct states {
	size_t image_bytes;
	unsigned count, name_count;
	char **names; /* of all states together, in lower case */
	struct state state[STATES_MAX];
};

void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void *allocate(size_t bytes);
int64_t now_ns(void);
void sleep_ns(int64_t ns);

void states_load(struct states *states, const char *directory);

/* The file's bytes as `image` holds them: file->size of them, to `out`. */
void file_bytes(const struct file *file, const unsigned char *image, unsigned char *out);

/* Is everything of it, entry and places and bytes, the same in two states? */
bool untouched(const struct states *states, unsigned a, unsigned b, unsigned name);

/* Name `child` is directly in `parent` (-1: the root)? Gives its last component. */
const char *child_of(const struct states *states, int parent, unsigned child);

/* Parts of an image in which two differ, in random order and of random length. */
struct part {
	uint64_t offset;
	size_t length;
};
size_t differing_parts(const unsigned char *have, const unsigned char *want, size_t image_bytes, size_t block_bytes,
		       size_t blocks_max, uint64_t *random, struct part **parts);

uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t limit);

/* Times, of which median and the like are asked for at the end. */
struct series {
	double *values;
	size_t count, capacity;
};
void series_add(struct series *series, double value);
void series_join(struct series *series, const struct series *more);
double series_quantile(struct series *series, double quantile); /* 1: the worst; sorts */
