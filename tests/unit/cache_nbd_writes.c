/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose page it is (cache/changes/nbd_writes.h): the address leads from one server to another at any connect,
 * and who is connected stays so, or is cut off. What is told is never another server's than that which is
 * read from. The connections are this test's own; the pages are read, and told to a log, as they are.
 */
#include "cache/changes/nbd_writes.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "cache/changes/formats/writes_page.h"
#include "cache/changes/trust.h"
#include "cache/changes/write_log.h"
#include "cache/device/nbd.h"
#include "cache/device/nbd_export.h"
#include "cache/device/nbd_target.h"
#include "cache/device/ring.h"

#define SIZE ((uint64_t)100 << 20)

struct nbd_target_fake {
	char unused;
};

static struct {
	int address; /* the server that it leads to */
	bool renames; /* it is one server, of two images, and this is what the name means */
	unsigned connects, leads_at,
		back_at;   /* before the how-manieth connect it leads to the other one, and back */
	bool there[2];	   /* has it a page? */
	uint64_t begun[2]; /* of its page: writes */
	bool uncounted;	   /* each page is of an image that nobody can write to */
	bool fails;	   /* to read a page does, and its connection goes on; or there comes none in time */
	bool late;
	int told;	   /* whose page was read last */
	bool reads_ahead;
} world;

/* An export's one connection. */
struct connection {
	bool open;
	int server;
	struct nbd_look look;
};

static struct connection name_connection, page_connection;
static struct cache_device device;
static struct write_log *writes_log;
static uint64_t generation;

static void connect_to(struct connection *connection)
{
	world.connects++;
	if (world.connects == world.leads_at || world.connects == world.back_at)
		world.address = !world.address;
	connection->open = true;
	connection->server = world.address;
	connection->look.size_bytes = SIZE;
	connection->look.connection++;
	connection->look.begun_ns = clock_now_ns(CLOCK_MONOTONIC);
	connection->look.talks_ns = clock_now_ns(CLOCK_MONOTONIC);
}

static int look_over(struct connection *connection, int64_t since_ns, struct nbd_look *look)
{
	if (!connection->open || connection->look.begun_ns < since_ns)
		connect_to(connection);
	*look = connection->look;
	return 0;
}

/* ---- in the place of cache/device/nbd*.c ----------------------------------------------- */

int nbd_export_new(struct nbd_target *target, struct nbd_export **out)
{
	(void)target;
	*out = (struct nbd_export *)&page_connection;
	return 0;
}

void nbd_export_free(struct nbd_export *nbd_export)
{
	(void)nbd_export;
}

int nbd_export_look(struct nbd_export *nbd_export, int64_t since_ns, int64_t within_ns, struct nbd_look *look)
{
	(void)nbd_export;
	(void)within_ns;
	if (world.late && !page_connection.open) {
		look_over(&page_connection, since_ns, look);
		return -EIO;
	}
	look_over(&page_connection, since_ns, look);
	look->size_bytes = 8 << 20;
	page_connection.open = world.there[page_connection.server];
	return page_connection.open ? 0 : -EIO;
}

void nbd_export_read(struct nbd_export *nbd_export, struct ring_piece *pieces, size_t count)
{
	unsigned char *page = pieces->buffer;
	/* What the name means now, whatever it was when it was connected to. */
	int server = world.renames ? world.address : page_connection.server;

	(void)nbd_export;
	cr_assert(count == 1 && pieces->offset_bytes == 0);
	pieces->result = -EIO;
	if (world.fails)
		return;
	memset(page, 0, pieces->length_bytes);
	memcpy(page, WRITES_PAGE_MAGIC, strlen(WRITES_PAGE_MAGIC));
	put_le32(page + WRITES_PAGE_HEADER, 512);
	put_le32(page + WRITES_PAGE_SHIFT, 20);
	put_le64(page + WRITES_PAGE_SIZE, world.uncounted ? 0 : SIZE);
	put_le64(page + WRITES_PAGE_BEGUN, world.begun[server]);
	put_le64(page + WRITES_PAGE_ENDED, world.begun[server]);
	put_le32(page + 512, (uint32_t)world.begun[server]);
	put_le32(page + 512 + 4, (uint32_t)world.begun[server]);
	page[WRITES_PAGE_INSTANCE] = (unsigned char)(1 + server);
	pieces->result = (ssize_t)pieces->length_bytes;
	world.told = server;
}

bool nbd_export_is_connected(struct nbd_export *nbd_export)
{
	(void)nbd_export;
	return page_connection.open;
}

struct nbd_target *nbd_device_target(struct cache_device *self)
{
	(void)self;
	return NULL;
}

struct nbd_target *nbd_target_beside(struct nbd_target *target, const char *suffix)
{
	static struct nbd_target_fake beside;

	(void)target;
	cr_assert_str_eq(suffix, "@writes");
	return (struct nbd_target *)(void *)&beside;
}

void nbd_target_unref(struct nbd_target *target)
{
	(void)target;
}

void nbd_device_looked(struct cache_device *self, struct nbd_look *look)
{
	(void)self;
	*look = name_connection.look;
}

int nbd_device_look_again(struct cache_device *self, int64_t since_ns, struct nbd_look *look)
{
	(void)self;
	return look_over(&name_connection, since_ns, look);
}

bool nbd_device_is_connected(struct cache_device *self)
{
	(void)self;
	return name_connection.open;
}

void nbd_device_set_told(struct cache_device *self, bool told)
{
	(void)self;
	world.reads_ahead = !told;
}

/* ---- looks ----------------------------------------------------------------------------- */

static struct cache_observation look_at_image(void)
{
	struct cache_observation seen = { .size_bytes = SIZE, .blind = true, .signless = true };
	struct nbd_look ignored;

	cr_assert_eq(write_log_listen(writes_log, true), 0);
	look_over(&name_connection, 0, &ignored);
	seen.generation = ++generation;
	write_log_observe(writes_log, &seen);
	cr_assert_eq(world.reads_ahead, !seen.exact, "what was read ahead may be older than what was told");
	if (seen.exact)
		cr_assert_eq(world.told, name_connection.server,
			     "what is told is of another server than what is read");
	return seen;
}

static void start(void)
{
	memset(&world, 0, sizeof(world));
	name_connection = page_connection = (struct connection){ 0 };
	world.there[0] = world.there[1] = true;
	world.reads_ahead = true;
	cr_assert_eq(write_log_new(&writes_log), 0);
	cr_assert_eq(nbd_writes_new(&device, writes_log), 0);
}

static void end(void)
{
	write_log_close_feed(writes_log);
	write_log_unref(writes_log);
}

TestSuite(cache_nbd_writes, .init = start, .fini = end);

/* At each look one of both connections, both or none is too old, in each order of four looks. */
Test(cache_nbd_writes, r_what_is_told_is_of_the_server_that_is_read)
{
	unsigned exact = 0, runs = 0;

	for (unsigned leads_at = 1; leads_at < 12; leads_at++)
		for (unsigned back = 0; back < 3; back++)
			for (unsigned cut = 0; cut < 256; cut++) {
				end();
				start();
				world.leads_at = leads_at;
				world.back_at = back ? leads_at + 1 + 2 * back : 0;
				for (unsigned i = 0; i < 5; i++) {
					exact += look_at_image().exact;
					name_connection.open = name_connection.open && !(cut >> 2 * i & 1);
					page_connection.open = page_connection.open && !(cut >> 2 * i & 2);
					runs++;
				}
			}
	cr_assert_gt(exact, runs / 10 * 9);
}

Test(cache_nbd_writes, r_the_same_server_again_goes_on)
{
	struct cache_observation first = look_at_image();

	cr_assert(first.exact && !first.blind);
	cr_assert_eq(world.connects, 3, "page, image, page");
	cr_assert_eq(look_at_image().generation, first.generation);
	cr_assert_eq(world.connects, 3);
	name_connection.open = page_connection.open = false;
	cr_assert_eq(look_at_image().generation, first.generation, "nothing was written");
	cr_assert_eq(world.connects, 5);
	world.begun[0]++;
	cr_assert_neq(look_at_image().generation, first.generation);
}

Test(cache_nbd_writes, r_another_server_is_all_anew)
{
	struct cache_observation first = look_at_image(), second;

	world.address = 1;
	cr_assert_eq(look_at_image().generation, first.generation, "it is connected to the one before");
	page_connection.open = false;
	second = look_at_image();
	cr_assert(second.exact && second.generation != first.generation);
	cr_assert(!write_log_told_since(writes_log, first.generation));
	cr_assert_eq(name_connection.server, 1, "connected to anew");
}

/* Read from in between, over a connection that nobody looked at. */
Test(cache_nbd_writes, r_a_connection_that_was_not_looked_at_is_not_believed)
{
	struct cache_observation first = look_at_image();

	connect_to(&name_connection);
	connect_to(&name_connection);
	cr_assert(look_at_image().exact);
	cr_assert(!write_log_told_since(writes_log, first.generation));
}

Test(cache_nbd_writes, c7_without_a_page_it_is_asked_for_when_the_image_is_connected_to)
{
	struct cache_observation seen;

	world.there[0] = false;
	seen = look_at_image();
	cr_assert(!seen.exact && seen.blind && seen.signless);
	world.there[0] = true;
	cr_assert(!look_at_image().exact, "some servers have room for one client");
	name_connection.open = false;
	cr_assert(look_at_image().exact);
	world.there[0] = false;
	page_connection.open = false;
	cr_assert(!look_at_image().exact);
	world.there[0] = true;
	cr_assert(look_at_image().exact, "it was there before");
}

/* While the page was not to be had the address came to lead elsewhere: the image is still read from the one
 * before. */
Test(cache_nbd_writes, r_a_page_that_comes_back_is_of_who_is_there_now)
{
	cr_assert(look_at_image().exact);
	world.there[0] = false;
	cr_assert(!look_at_image().exact);
	page_connection.open = false;
	world.address = 1;
	cr_assert(look_at_image().exact);
	cr_assert_eq(name_connection.server, 1);
}

/* The page cannot be read for a while, over a connection that is older than that to the image; by then the
 * name means another one. */
Test(cache_nbd_writes, r_what_was_connected_to_before_another_instance_was_seen_is_not_of_it)
{
	world.renames = true;
	cr_assert(look_at_image().exact);
	world.fails = true;
	cr_assert(!look_at_image().exact);
	name_connection.open = false;
	cr_assert(!look_at_image().exact);
	world.fails = false;
	world.address = 1;
	cr_assert(look_at_image().exact);
	cr_assert_eq(name_connection.server, 1);
}

/* As before; and when the page is back the name means what it meant. */
Test(cache_nbd_writes, r_what_was_connected_to_while_no_page_was_read_is_not_believed)
{
	unsigned connects;

	world.renames = true;
	cr_assert(look_at_image().exact);
	world.fails = true;
	cr_assert(!look_at_image().exact);
	name_connection.open = false;
	world.address = 1;
	cr_assert(!look_at_image().exact);
	cr_assert_eq(name_connection.server, 1);
	world.fails = false;
	world.address = 0;
	connects = world.connects;
	cr_assert(look_at_image().exact);
	cr_assert_eq(name_connection.server, 0);
	cr_assert_gt(world.connects, connects);
}

Test(cache_nbd_writes, c5_a_page_that_is_connected_to_late_is_read_when_it_is)
{
	world.late = true;
	cr_assert(!look_at_image().exact);
	cr_assert(look_at_image().exact, "it is there by now");
}

Test(cache_nbd_writes, c7_a_page_of_what_nobody_can_write_to_says_nothing)
{
	world.uncounted = true;
	for (int i = 0; i < 3; i++)
		cr_assert(!look_at_image().exact);
	world.begun[0] = 1;
	cr_assert(look_at_image().exact, "there was a writer");
}
