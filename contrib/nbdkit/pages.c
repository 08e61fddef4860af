/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pages.h"

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "cache/changes/formats/writes_page.h"

#define FIRST_BYTES 4096
#define INSTANCE_BYTES 16
#define SLOTS ((PAGES_HEADER_BYTES - WRITES_PAGE_SLOTS) / WRITES_PAGE_SLOT_BYTES)
#define NO_SLOT UINT_MAX

_Static_assert(SLOTS < 32, "free slots are the bits of an unsigned");

struct page {
	struct page *next; /* pages_lock, as is users; in the order of last use, latest first */
	unsigned users;
	pthread_mutex_t lock; /* for all below */
	unsigned char *bytes; /* as readers see them; what follows is 0 */
	size_t length_bytes;
	unsigned free_slots; /* a bit for each */
	char key[];	     /* constant */
};

static pthread_mutex_t pages_lock = PTHREAD_MUTEX_INITIALIZER;
static struct page *pages;

/* ---- counting; under the page's lock --------------------------------------------------- */

static void add_total(struct page *page, size_t at, uint64_t more)
{
	put_le64(page->bytes + at, get_le64(page->bytes + at) + more);
}

static void add_unlisted(struct page *page, uint32_t more)
{
	put_le32(page->bytes + WRITES_PAGE_UNLISTED, get_le32(page->bytes + WRITES_PAGE_UNLISTED) + more);
}

/*
 * So that the counter of the write's last unit is there, if the page can have it. Without
 * memory no counter can be believed any more: the page ends being one, for its readers.
 */
static void make_room(struct page *page, const struct page_write *write)
{
	uint64_t last = (write->offset_bytes + (write->length_bytes - 1)) >> PAGES_UNIT_SHIFT;
	uint64_t need = PAGES_HEADER_BYTES + (last + 1) * WRITES_PAGE_COUNTER_BYTES;
	size_t length = page->length_bytes;
	unsigned char *bytes;

	need = min_u64(need, PAGES_EXPORT_BYTES);
	if (need <= length)
		return;
	while (length < need)
		length *= 2;
	bytes = realloc(page->bytes, length);
	if (!bytes) {
		memset(page->bytes, 0, strlen(WRITES_PAGE_MAGIC));
		return;
	}
	memset(bytes + page->length_bytes, 0, length - page->length_bytes);
	page->bytes = bytes;
	page->length_bytes = length;
}

/* One more in the counter, at `field` of the two, of each unit of the write. */
static void count_units(struct page *page, const struct page_write *write, size_t field)
{
	uint64_t units = (page->length_bytes - PAGES_HEADER_BYTES) / WRITES_PAGE_COUNTER_BYTES;
	uint64_t last = (write->offset_bytes + (write->length_bytes - 1)) >> PAGES_UNIT_SHIFT;
	unsigned char *counters = page->bytes + PAGES_HEADER_BYTES + field;

	for (uint64_t unit = write->offset_bytes >> PAGES_UNIT_SHIFT; unit <= last && unit < units; unit++) {
		unsigned char *counter = counters + (size_t)unit * WRITES_PAGE_COUNTER_BYTES;

		put_le32(counter, get_le32(counter) + 1);
	}
}

static void fill_slot(struct page *page, unsigned slot, uint64_t offset_bytes, uint64_t length_bytes)
{
	unsigned char *bytes = page->bytes + WRITES_PAGE_SLOTS + (size_t)slot * WRITES_PAGE_SLOT_BYTES;

	put_le64(bytes, offset_bytes);
	put_le64(bytes + 8, length_bytes);
}

void page_begin(struct page *page, struct page_write *write, uint64_t offset_bytes, uint64_t length_bytes)
{
	*write = (struct page_write){ offset_bytes, length_bytes, NO_SLOT };
	if (length_bytes == 0)
		return;
	LOCK_SCOPE(&page->lock);
	make_room(page, write);
	add_total(page, WRITES_PAGE_BEGUN, 1);
	count_units(page, write, 0);
	if (page->free_slots == 0) {
		add_unlisted(page, 1);
		return;
	}
	write->slot = (unsigned)__builtin_ctz(page->free_slots);
	page->free_slots &= ~(1u << write->slot);
	fill_slot(page, write->slot, offset_bytes, length_bytes);
}

void page_end(struct page *page, const struct page_write *write)
{
	if (write->length_bytes == 0)
		return;
	LOCK_SCOPE(&page->lock);
	add_total(page, WRITES_PAGE_ENDED, 1);
	count_units(page, write, 4);
	if (write->slot == NO_SLOT) {
		add_unlisted(page, UINT32_MAX); /* -1 */
		return;
	}
	fill_slot(page, write->slot, 0, 0);
	page->free_slots |= 1u << write->slot;
}

void page_set_image_size(struct page *page, uint64_t size_bytes)
{
	LOCK_SCOPE(&page->lock);
	put_le64(page->bytes + WRITES_PAGE_SIZE, size_bytes);
}

static void copy_piece(struct page *page, unsigned char *buffer, size_t length_bytes, uint64_t offset_bytes)
{
	size_t there = 0;

	LOCK_SCOPE(&page->lock);
	if (offset_bytes < page->length_bytes)
		there = (size_t)min_u64(length_bytes, page->length_bytes - offset_bytes);
	memcpy(buffer, page->bytes + (there > 0 ? offset_bytes : 0), there);
	memset(buffer + there, 0, length_bytes - there);
}

void page_read(struct page *page, void *buffer, size_t length_bytes, uint64_t offset_bytes)
{
	unsigned char *to = buffer;

	while (length_bytes > 0) {
		size_t piece = (size_t)min_u64(length_bytes, WRITES_PAGE_MOMENT_BYTES);

		copy_piece(page, to, piece, offset_bytes);
		to += piece;
		length_bytes -= piece;
		offset_bytes += piece;
	}
}

/* ---- all pages; under pages_lock ---------------------------------------------------------- */

static void page_free(struct page *page)
{
	pthread_mutex_destroy(&page->lock);
	free(page->bytes);
	free(page);
}

static struct page *page_new(const char *key)
{
	struct page *page = calloc(1, sizeof(*page) + strlen(key) + 1);

	if (!page)
		return NULL;
	pthread_mutex_init(&page->lock, NULL);
	page->bytes = calloc(1, FIRST_BYTES);
	page->length_bytes = FIRST_BYTES;
	if (!page->bytes ||
	    getrandom(page->bytes + WRITES_PAGE_INSTANCE, INSTANCE_BYTES, 0) != INSTANCE_BYTES) {
		page_free(page);
		return NULL;
	}
	memcpy(page->bytes, WRITES_PAGE_MAGIC, strlen(WRITES_PAGE_MAGIC));
	put_le32(page->bytes + WRITES_PAGE_HEADER, PAGES_HEADER_BYTES);
	put_le32(page->bytes + WRITES_PAGE_SHIFT, PAGES_UNIT_SHIFT);
	put_le32(page->bytes + WRITES_PAGE_SLOT_COUNT, SLOTS);
	page->free_slots = (1u << SLOTS) - 1;
	strcpy(page->key, key);
	return page;
}

/* With many pages at rest, that which was used before all the others goes. */
static void limit_idle(void)
{
	unsigned idle = 0;

	for (struct page **link = &pages, *page; (page = *link) != NULL;) {
		if (page->users > 0 || ++idle <= PAGES_IDLE_MAX) {
			link = &page->next;
			continue;
		}
		*link = page->next;
		page_free(page);
	}
}

static struct page *take_out(const char *key)
{
	for (struct page **link = &pages; *link; link = &(*link)->next) {
		struct page *page = *link;

		if (strcmp(page->key, key) == 0) {
			*link = page->next;
			return page;
		}
	}
	return NULL;
}

struct page *pages_get(const char *key)
{
	struct page *page;

	LOCK_SCOPE(&pages_lock);
	page = take_out(key);
	if (!page)
		page = page_new(key);
	if (!page)
		return NULL;
	page->users++;
	page->next = pages;
	pages = page;
	return page;
}

void pages_put(struct page *page)
{
	if (!page)
		return;
	LOCK_SCOPE(&pages_lock);
	if (--page->users == 0)
		limit_idle();
}
