/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/tables.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/source.h"
#include "base/waits.h"
#include "cache/changes/kernel.h"
#include "cache/device/disk.h"
#include "cache/device/opener.h"
#include "cache/device/ring.h"
#include "part/part.h"

struct tables_found {
	unsigned users; /* the lock of the tables */
	struct tables *tables;
	size_t count;
	struct tables_of all[]; /* sorted */
};

struct tables {
	bool believed; /* constant, as the next */
	struct kernel_events *kernel;
	pthread_mutex_t lock;
	struct tables_found *last; /* lock: a use of it, or NULL */
};

struct tables *tables_new(bool believed, struct kernel_events *kernel)
{
	struct tables *tables = calloc(1, sizeof(*tables));

	if (!tables)
		return NULL;
	tables->believed = believed;
	tables->kernel = kernel;
	pthread_mutex_init(&tables->lock, NULL);
	return tables;
}

/* ---- what was found ---------------------------------------------------------- */

static struct tables_file file_of(const struct stat *st)
{
	return (struct tables_file){ st->st_dev, st->st_ino, st->st_size, st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec };
}

static int compare(const void *a, const void *b)
{
	const struct tables_file *first = &((const struct tables_of *)a)->file, *second = &((const struct tables_of *)b)->file;

	if (first->inode != second->inode)
		return first->inode < second->inode ? -1 : 1;
	return first->device < second->device ? -1 : first->device > second->device;
}

static bool is_unchanged(const struct tables_file *then, const struct stat *st)
{
	struct tables_file now = file_of(st);

	return then->device == now.device && then->inode == now.inode && then->size_bytes == now.size_bytes &&
	       then->ctime_ns == now.ctime_ns;
}

/* False: no memory. */
static bool copy_of(const struct tables_of *from, struct tables_of *to)
{
	*to = *from;
	if (from->count == 0)
		return true;
	to->numbers = reallocarray(NULL, from->count, sizeof(*to->numbers));
	if (to->numbers)
		memcpy(to->numbers, from->numbers, from->count * sizeof(*to->numbers));
	return to->numbers;
}

struct tables_found *tables_last(struct tables *tables)
{
	LOCK_SCOPE(&tables->lock);
	if (tables->last)
		tables->last->users++;
	return tables->last;
}

void tables_put(struct tables_found *found)
{
	bool last;

	if (!found)
		return;
	pthread_mutex_lock(&found->tables->lock);
	last = --found->users == 0;
	pthread_mutex_unlock(&found->tables->lock);
	for (size_t i = 0; last && i < found->count; i++)
		free(found->all[i].numbers);
	if (last)
		free(found);
}

bool tables_find(const struct tables_found *found, const struct stat *st, struct tables_of *of)
{
	const struct tables_of wanted = { .file = file_of(st) }, *at;

	if (!found)
		return false;
	at = bsearch(&wanted, found->all, found->count, sizeof(wanted), compare);
	return at && is_unchanged(&at->file, st) && copy_of(at, of);
}

/* All of them that may be remembered. NULL: no memory. */
static struct tables_found *gather(struct tables *tables, const struct tables_of *const *all, size_t count)
{
	struct tables_found *found = calloc(1, sizeof(*found) + count * sizeof(found->all[0]));

	if (!found)
		return NULL;
	found->tables = tables;
	found->users = 1;
	for (size_t i = 0; i < count; i++)
		if (all[i]->rests && copy_of(all[i], &found->all[found->count]))
			found->count++;
	qsort(found->all, found->count, sizeof(found->all[0]), compare);
	return found;
}

void tables_keep(struct tables *tables, const struct tables_of *const *all, size_t count)
{
	struct tables_found *found = gather(tables, all, count), *before;

	pthread_mutex_lock(&tables->lock);
	before = tables->last;
	tables->last = found;
	pthread_mutex_unlock(&tables->lock);
	tables_put(before);
}

/* ---- reading one --------------------------------------------------------------- */

/* A file of SOURCE that is read. */
struct reading {
	struct source source; /* first */
	int fd;
	struct tables_file then; /* what it is to be, before and after */
	struct part_table *table;
	bool done;
};

static int read_file(struct source *self, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	ssize_t got = read_all(((struct reading *)self)->fd, offset_bytes, buffer, length_bytes);

	return got >= 0 && (size_t)got == length_bytes ? 0 : -EIO;
}

static void read_table(void *context)
{
	struct reading *reading = context;
	struct stat now;

	reading->done = part_table_read(&reading->source, 0, &reading->table) == 0 && fstat(reading->fd, &now) == 0 &&
			is_unchanged(&reading->then, &now);
}

/* Not changed for so long; a time to come is of a clock that was set. */
static bool rests_for(const struct tables_file *file, int64_t rest_ns)
{
	return clock_now_ns(CLOCK_REALTIME) - file->ctime_ns >= rest_ns;
}

/* False: no memory. */
static bool take_numbers(const struct part_table *table, struct tables_of *of)
{
	/* Only where there is a choice. */
	if (part_table_fat_count(table) < 2)
		return true;
	of->numbers = reallocarray(NULL, TABLES_LISTED_MAX, sizeof(*of->numbers));
	/* A table has at most PART_ENTRIES_MAX entries. */
	for (size_t i = 0; of->numbers && i < table->count && of->count < TABLES_LISTED_MAX; i++)
		if (table->entries[i].is_fat)
			of->numbers[of->count++] = table->entries[i].number;
	return of->numbers;
}

bool tables_read(const struct tables *tables, const char *file, const struct stat *st, struct tables_of *of)
{
	struct reading reading = {
		.source = { .read = read_file, .size_bytes = (uint64_t)st->st_size }, .then = file_of(st)
	};
	bool rests = rests_for(&reading.then, WAIT_TABLE_REST_NS); /* before it is read */
	struct stat now;

	*of = (struct tables_of){ 0 };
	if (!tables->believed || !S_ISREG(st->st_mode) || !rests_for(&reading.then, WAIT_CTIME_LAG_NS))
		return false;
	CLEANUP_FD int fd = reading.fd = opener_open(file);

	if (fd < 0 || fstat(fd, &now) != 0 || !is_unchanged(&reading.then, &now) || !disk_tells_changes(fd))
		return false;
	if (tables->kernel)
		kernel_events_while(tables->kernel, &now, read_table, &reading);
	else
		read_table(&reading);
	if (reading.done && take_numbers(reading.table, of))
		*of = (struct tables_of){ rests, reading.then, of->numbers, of->count };
	else
		reading.done = false;
	free(reading.table);
	return reading.done;
}
