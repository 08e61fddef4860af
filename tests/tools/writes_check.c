/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * writes_check - may a reader believe what NAME@writes says?
 *
 *   writes_check URI PAGE-URI WRITERS READERS ACCEPTED [FIRST-UNIT [WRITERS-URI [STEP]]]
 *
 * Each writer, on a connection of its own (to WRITERS-URI, if there is one), stamps its region again and
 * again: 256 KiB over the border of two units, the next one's border being his neighbour's (or that STEP
 * units further), by one request; now and then it is zeroed. Each reader reads the page, a region in 16
 * pieces, and the page, by the rules of cache/changes/formats/writes_page.h. What these accept must be of one
 * stamp (C2), and of none older than the last one that had its reply before the reader began (C1). When the
 * page says later that nothing was written, what was read then must not be older either.
 *
 * Ends when so many reads were accepted, or one that is wrong, and prints what was seen. Writes may fail, not
 * all of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <libnbd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/clock.h"
#include "cache/changes/formats/writes_page.h"

#define MIB (UINT64_C(1) << 20)
#define REGION_BYTES (256u << 10)
#define PIECES 16
#define PIECE_BYTES (REGION_BYTES / PIECES)
#define STEP_BYTES 512
#define REGIONS_MAX 64
#define PIECE_OF_COUNTERS_BYTES 64
#define ZERO_EVERY 16
#define PAUSE_LOOKS \
	8 /* a writer rests as long as this many looks at most, so that some are accepted on any machine */

static const char *image_uri, *page_uri, *writers_uri;
static unsigned regions;
static uint64_t first_unit, step = 1;
static long wanted;
static atomic_bool stop;
static atomic_uint look_us = 1000; /* how long a reader's last one took */
static atomic_long accepted, believed, rejected, torn, stale, failed;

/* Stamps count from 1 on. `zeroed` is the last of those that wrote zeroes. */
static struct {
	_Atomic uint64_t asked, replied, zeroed;
} region_of[REGIONS_MAX];

/* The page's first bytes, and where the region is beyond the counters in these, a piece of them. */
struct look {
	unsigned char bytes[WRITES_PAGE_FIRST_READ], further[PIECE_OF_COUNTERS_BYTES];
	struct writes_page page;
};

struct remembered {
	bool valid;
	uint64_t stamp;
	struct look before;
};

static void die(const char *what)
{
	fprintf(stderr, "writes_check: %s: %s\n", what, nbd_get_error());
	exit(1);
}

static struct nbd_handle *connected(const char *uri)
{
	struct nbd_handle *nbd = nbd_create();

	if (!nbd || nbd_connect_uri(nbd, uri) == -1)
		die(uri);
	return nbd;
}

static struct writes_range range_of(unsigned region)
{
	return (struct writes_range){ (first_unit + region * step + 1) * MIB - REGION_BYTES / 2,
				      REGION_BYTES };
}

static void pause_us(unsigned us)
{
	struct timespec time = clock_timespec((int64_t)us * 1000);

	nanosleep(&time, NULL);
}

/* ---- writers ----------------------------------------------------------------------------- */

static int stamp_region(struct nbd_handle *nbd, unsigned region, uint64_t stamp, unsigned char *data)
{
	struct writes_range range = range_of(region);

	if (stamp % ZERO_EVERY == 0) {
		atomic_store(&region_of[region].zeroed, stamp);
		return nbd_zero(nbd, range.length_bytes, range.offset_bytes, 0);
	}
	for (size_t at = 0; at < REGION_BYTES; at += STEP_BYTES)
		put_le64(data + at, stamp);
	return nbd_pwrite(nbd, data, REGION_BYTES, range.offset_bytes,
			  stamp % 3 == 0 ? LIBNBD_CMD_FLAG_FUA : 0);
}

static void *write_on(void *argument)
{
	unsigned region = (unsigned)(uintptr_t)argument, random = region * 2654435761u + 1;
	struct nbd_handle *nbd = connected(writers_uri);
	unsigned char *data = calloc(1, REGION_BYTES);

	for (uint64_t stamp = 1; data && !atomic_load(&stop); stamp++) {
		atomic_store(&region_of[region].asked, stamp);
		if (stamp_region(nbd, region, stamp, data) == 0)
			atomic_store(&region_of[region].replied, stamp);
		else if (nbd_get_errno() == EIO && !nbd_aio_is_dead(nbd))
			atomic_fetch_add(&failed, 1);
		else
			die("write");
		random = random * 1664525 + 1013904223;
		pause_us((random >> 8) % (PAUSE_LOOKS * atomic_load(&look_us)));
	}
	free(data);
	nbd_close(nbd);
	return NULL;
}

/* ---- readers ----------------------------------------------------------------------------- */

static void must(bool true_of_page)
{
	if (true_of_page)
		return;
	fprintf(stderr, "writes_check: an impossible page\n");
	exit(1);
}

static void read_page(struct nbd_handle *nbd, const struct writes_range *range, struct look *look)
{
	struct writes_range at;

	if (nbd_pread(nbd, look->bytes, sizeof(look->bytes), 0, 0) == -1)
		die("page");
	must(writes_page_parse(&look->page, look->bytes, sizeof(look->bytes)) == 0);
	at = writes_page_where(&look->page, range);
	if (at.offset_bytes + at.length_bytes <= sizeof(look->bytes))
		return;
	must(at.length_bytes <= sizeof(look->further));
	if (nbd_pread(nbd, look->further, at.length_bytes, at.offset_bytes, 0) == -1)
		die("counters");
	must(writes_page_set_counters(&look->page, look->further, at.offset_bytes, at.length_bytes) == 0);
}

/* It borrows its bytes: those of the copy are the same. */
static void remember(struct remembered *remembered, const struct look *look, uint64_t stamp)
{
	struct look *copy = &remembered->before;

	*copy = *look;
	copy->page.bytes = copy->bytes;
	copy->page.counters =
		look->page.of_one_moment ? copy->bytes + (look->page.counters - look->bytes) : copy->further;
	remembered->stamp = stamp;
	remembered->valid = true;
}

/* The one stamp of all of it; UINT64_MAX: there are several. */
static uint64_t stamp_in(const unsigned char *data)
{
	uint64_t stamp = get_le64(data);

	for (size_t at = 0; at < REGION_BYTES; at += STEP_BYTES)
		if (get_le64(data + at) != stamp)
			return UINT64_MAX;
	return stamp;
}

static void judge(unsigned region, uint64_t stamp, uint64_t replied)
{
	uint64_t is = stamp == 0 ? atomic_load(&region_of[region].zeroed) : stamp;

	if (stamp == UINT64_MAX)
		atomic_fetch_add(&torn, 1);
	else if (is < replied || is > atomic_load(&region_of[region].asked))
		atomic_fetch_add(&stale, 1);
	else
		return;
	atomic_store(&stop, true);
}

static void read_region(struct nbd_handle *image, struct nbd_handle *pages, unsigned region,
			struct remembered *remembered, unsigned char *data)
{
	struct look before, after;
	struct writes_range range = range_of(region);
	uint64_t replied = atomic_load(&region_of[region].replied); /* the look begins */
	int64_t since_ns = clock_now_ns(CLOCK_MONOTONIC);

	read_page(pages, &range, &before);
	if (remembered->valid && writes_page_held(&remembered->before.page, &before.page, &range)) {
		judge(region, remembered->stamp, replied);
		atomic_fetch_add(&believed, 1);
		return;
	}
	for (size_t at = 0; at < REGION_BYTES; at += PIECE_BYTES)
		if (nbd_pread(image, data + at, PIECE_BYTES, range.offset_bytes + at, 0) == -1)
			die("read");
	read_page(pages, &range, &after);
	atomic_store(
		&look_us,
		(unsigned)min_u64((uint64_t)(clock_now_ns(CLOCK_MONOTONIC) - since_ns) / 1000 + 1, 20000));
	if (!writes_page_held(&before.page, &after.page, &range)) {
		atomic_fetch_add(&rejected, 1);
		return;
	}
	remember(remembered, &before, stamp_in(data));
	judge(region, remembered->stamp, replied);
	if (atomic_fetch_add(&accepted, 1) + 1 >= wanted)
		atomic_store(&stop, true);
}

static void *read_on(void *argument)
{
	struct nbd_handle *image = connected(image_uri), *pages = connected(page_uri);
	struct remembered *remembered = calloc(regions, sizeof(*remembered));
	unsigned char *data = malloc(REGION_BYTES);

	for (unsigned turn = (unsigned)(uintptr_t)argument; remembered && data && !atomic_load(&stop); turn++)
		read_region(image, pages, turn % regions, &remembered[turn % regions], data);
	free(data);
	free(remembered);
	nbd_close(image);
	nbd_close(pages);
	return NULL;
}

/* Of stamp 0 before anybody writes. */
static void clear_regions(void)
{
	struct nbd_handle *nbd = connected(writers_uri);

	for (unsigned region = 0; region < regions; region++) {
		struct writes_range range = range_of(region);

		while (nbd_zero(nbd, range.length_bytes, range.offset_bytes, 0) == -1)
			if (nbd_get_errno() != EIO)
				die("zero");
	}
	nbd_close(nbd);
}

int main(int argc, char **argv)
{
	pthread_t threads[2 * REGIONS_MAX];
	unsigned readers, count = 0;
	uint64_t writes = 0;

	if (argc < 6 || argc > 9) {
		fprintf(stderr, "usage: writes_check URI PAGE-URI WRITERS READERS ACCEPTED [FIRST-UNIT "
				"[WRITERS-URI [STEP]]]\n");
		return 2;
	}
	image_uri = argv[1];
	page_uri = argv[2];
	regions = (unsigned)atoi(argv[3]);
	readers = (unsigned)atoi(argv[4]);
	wanted = atol(argv[5]);
	first_unit = argc > 6 ? strtoull(argv[6], NULL, 0) : 0;
	writers_uri = argc > 7 ? argv[7] : image_uri;
	step = argc > 8 ? strtoull(argv[8], NULL, 0) : 1;
	if (regions < 1 || regions > REGIONS_MAX || readers < 1 || readers > REGIONS_MAX)
		return 2;
	clear_regions();
	for (uintptr_t i = 0; i < regions; i++)
		pthread_create(&threads[count++], NULL, write_on, (void *)i);
	for (uintptr_t i = 0; i < readers; i++)
		pthread_create(&threads[count++], NULL, read_on, (void *)i);
	while (count > 0)
		pthread_join(threads[--count], NULL);
	for (unsigned i = 0; i < regions; i++)
		writes += atomic_load(&region_of[i].asked);
	printf("accepted %ld believed %ld rejected %ld torn %ld stale %ld writes %" PRIu64 " failed %ld\n",
	       accepted, believed, rejected, torn, stale, writes, failed);
	return torn == 0 && stale == 0 ? 0 : 1;
}
