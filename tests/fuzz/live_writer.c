/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "live_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cache/changes/guard.h"
#include "cache/changes/reporter.h"
#include "cache_volume.h"

#define WRITES_MAX (STATES_MAX - 1)
#define BLOCK_BYTES CACHE_BLOCK_BYTES

/* From the first sign to the landing, and from there to the end that is told. */
#define PHASE_NS (70 * MS)

/* What is written: the record's three numbers mean what the case of `prepare` says. */
enum write_op {
	WRITE_BYTES,
	WRITE_FAT,
	WRITE_ENTRY,
	WRITE_DATA,
	WRITE_COPY,
	WRITE_REVERT,
	WRITE_SIZE,
	WRITE_OTHER, /* a fault, or another image in its place */
	WRITE_OPS,
};

enum write_phase { WAITS, SHOWS, LANDED, ENDED };

struct write {
	enum write_op op;
	unsigned after, land_after, end_after; /* turns */
	unsigned a, b, c;
	enum write_phase phase;
	unsigned turn; /* of its last step */
	int64_t shown_ns, landed_ns;
	unsigned state; /* that its landing made */
	uint64_t offset_bytes;
	size_t length_bytes;
	uint64_t new_size_bytes; /* WRITE_SIZE */
};

struct writer {
	struct memory_device *memory;
	struct live_history *history;
	const struct live_base *base;
	struct reporter *reporter; /* or NULL */
	struct memory_feed *feed;  /* or NULL */
	struct write writes[WRITES_MAX];
	unsigned count, ended; /* the first so many have ended */
	unsigned turns, last_begun; /* the turn of it */
	bool in_step;		    /* what a step itself asks of the device is no turn */
	bool beyond;
	unsigned char *scratch; /* IMAGE_BYTES_MAX */
};

struct writer *writer_new(struct memory_device *memory, struct live_history *history, const struct live_base *base)
{
	struct writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		abort();
	*writer = (struct writer){ .memory = memory, .history = history, .base = base, .scratch = malloc(IMAGE_BYTES_MAX) };
	if (!writer->scratch)
		abort();
	return writer;
}

void writer_free(struct writer *writer)
{
	free(writer->scratch);
	free(writer);
}

void writer_set_reporter(struct writer *writer, struct reporter *reporter)
{
	writer->reporter = reporter;
}

void writer_set_feed(struct writer *writer, struct memory_feed *feed)
{
	writer->feed = feed;
}

void writer_add(struct writer *writer, const unsigned char *record)
{
	if (writer->count == WRITES_MAX)
		return;
	writer->writes[writer->count++] = (struct write){
		.op = record[0] % WRITE_OPS,
		.after = record[1],
		.land_after = record[2] & 0xF,
		.end_after = record[2] >> 4,
		.a = record[3],
		.b = get_le16(record + 4),
		.c = get_le16(record + 6),
	};
}

/* ---- what is written ---------------------------------------------------------- */

/* Where the base has that cluster, or (0) its root directory. */
static uint64_t cluster_at(const struct writer *writer, unsigned volume, unsigned cluster)
{
	const struct live_base *base = writer->base;
	uint64_t start = base->volumes[volume % base->volume_count].offset_bytes;
	uint64_t size = base->volumes[volume % base->volume_count].cluster_bytes;

	cluster %= CLUSTERS_MAX + 1;
	return start + (cluster == 0 ? VOLUME_ROOT_OFFSET : VOLUME_DATA_OFFSET + (cluster - 1) * size);
}

static uint32_t cluster_bytes(const struct writer *writer, unsigned volume)
{
	return writer->base->volumes[volume % writer->base->volume_count].cluster_bytes;
}

/* Directories of the bases: root, sub, deep; or a file's first cluster. */
static unsigned directory_cluster(unsigned which)
{
	static const unsigned clusters[] = { 0, 0, 13, 14, 12, 1, 15, 17 };

	return clusters[which % 8];
}

static void fit(struct write *write, uint64_t offset_bytes, uint64_t length_bytes, uint64_t size_bytes)
{
	write->offset_bytes = min_u64(offset_bytes, size_bytes);
	write->length_bytes = (size_t)min_u64(length_bytes, size_bytes - write->offset_bytes);
}

/* Where it goes, when it shows. */
static void prepare(struct writer *writer, struct write *write)
{
	uint64_t size_bytes = writer->memory->size_bytes;
	unsigned volume = write->a >> 7;

	switch (write->op) {
	case WRITE_BYTES: /* at b and a little, so many */
		fit(write, ((uint64_t)write->b << 2) % IMAGE_BYTES_MAX, 1 + write->a % 64, size_bytes);
		break;
	case WRITE_FAT: /* the entry of cluster a */
		fit(write, cluster_at(writer, volume, 0) - VOLUME_ROOT_OFFSET + VOLUME_FAT_OFFSET + (write->a & 31) * 3 / 2, 2,
		    size_bytes);
		break;
	case WRITE_ENTRY: /* slot b of directory a */
		fit(write, cluster_at(writer, volume, directory_cluster(write->a)) + (uint64_t)(write->b & 15) * 32, 32,
		    size_bytes);
		break;
	case WRITE_DATA:
		fit(write, cluster_at(writer, volume, 1 + (write->a & 31)), cluster_bytes(writer, volume), size_bytes);
		break;
	case WRITE_COPY:
	case WRITE_REVERT:
		fit(write, (uint64_t)(write->a & 63) * BLOCK_BYTES, BLOCK_BYTES, size_bytes);
		break;
	case WRITE_SIZE:
		write->new_size_bytes = 1 + ((uint64_t)write->b << 2) % (IMAGE_BYTES_MAX - 1);
		if (write->a % 2)
			write->new_size_bytes = (write->new_size_bytes + 511) & ~UINT64_C(511);
		fit(write, write->new_size_bytes, IMAGE_BYTES_MAX, size_bytes);
		break;
	default:
		fit(write, 0, write->a % 4 < 3 ? 0 : IMAGE_BYTES_MAX, size_bytes);
	}
}

static void make_fat_entry(const struct write *write, unsigned char *entry)
{
	static const unsigned words[] = { 0xFFF, 0xFFF, 0, 1, 0xFF7, 0xFF8 };
	unsigned value = write->b % 32 < 26 ? write->b % 32 : words[write->b % 32 - 26];

	if (write->a & 1) {
		entry[0] = (unsigned char)((entry[0] & 0x0F) | (value & 0x0F) << 4);
		entry[1] = (unsigned char)(value >> 4);
	} else {
		entry[0] = (unsigned char)value;
		entry[1] = (unsigned char)((entry[1] & 0xF0) | value >> 8);
	}
}

static void make_entry(struct writer *writer, const struct write *write, unsigned char *entry)
{
	static const char *const names[] = { "FILE    BIN", "FILE    NEW", "STILL   TXT", "SUB        ",
					     "INNER   BIN", "DEEP       ", "LEAF    TXT", "CONFIG  TXT" };

	switch (write->b >> 4 & 7) {
	case 0:
		entry[0] = 0xE5;
		break;
	case 1:
		entry[0] = 0;
		break;
	case 2:
		put_le16(entry + 26, (uint16_t)(write->c % 32));
		break;
	case 3:
		put_le32(entry + 28, write->c * (write->b & 0x8000 ? 16U : 1U));
		break;
	case 4:
		put_le16(entry + 22, (uint16_t)write->c);
		break;
	case 5:
		entry[11] ^= 0x10;
		break;
	case 6:
		memcpy(entry, names[write->c % 8], 11);
		break;
	default: /* a file anew: name, first cluster and size in one */
		fat_image_entry(entry, names[write->c % 8], write->c & 8 ? 0x10 : 0x20, write->c >> 4 & 31,
				write->c & 8 ? 0 : (write->c >> 9) * cluster_bytes(writer, write->a >> 7) / 8);
	}
}

/* The bytes of its range as they are to be, from what is there. */
static void make_bytes(struct writer *writer, const struct write *write, unsigned char *bytes)
{
	const unsigned char *all = writer->memory->bytes;
	unsigned char block[BLOCK_BYTES];

	memcpy(bytes, all + write->offset_bytes, write->length_bytes);
	switch (write->op) {
	case WRITE_BYTES:
		for (size_t i = 0; i < write->length_bytes; i++)
			bytes[i] = (unsigned char)(write->c & 0x100 ? bytes[i] ^ write->c : write->c + i * (write->c >> 9));
		break;
	case WRITE_FAT:
		if (write->length_bytes == 2)
			make_fat_entry(write, bytes);
		break;
	case WRITE_ENTRY:
		if (write->length_bytes == 32)
			make_entry(writer, write, bytes);
		break;
	case WRITE_DATA:
		memset(bytes, (int)write->b, write->length_bytes);
		for (size_t i = 0; i + 512 <= write->length_bytes; i += 512)
			put_le32(bytes + i, write->c + (uint32_t)i);
		break;
	case WRITE_COPY:
		memcpy(bytes, all + (size_t)(write->b % 64) * BLOCK_BYTES, write->length_bytes);
		break;
	case WRITE_REVERT:
		live_history_block(writer->history, write->b % live_history_count(writer->history), write->a & 63, block);
		memcpy(bytes, block, write->length_bytes);
		break;
	default:
		memcpy(bytes, live_base(write->b)->bytes, write->length_bytes);
	}
}

/* ---- how it is told ------------------------------------------------------------- */

/* As a server does: what it reports is taken in before it goes on. */
static void report(struct writer *writer, const char *line)
{
	struct saving *saving = reporter_take(writer->reporter, getpid(), line, strlen(line));

	if (saving)
		saving_run(saving);
	saving_free(saving);
}

/* Who uses libaio is one thread for all that it has in flight. */
static pid_t thread_of(const struct writer *writer, const struct write *write)
{
	return writer->memory->kind == DEVICE_KERNEL_ASYNC ? 1 : 1 + (pid_t)(write - writer->writes);
}

/* The kernel tells of whole pages. */
static void announce(struct writer *writer, const struct write *write)
{
	uint64_t start = write->offset_bytes & ~(uint64_t)(BLOCK_BYTES - 1);
	uint64_t end = (write->offset_bytes + write->length_bytes + BLOCK_BYTES - 1) & ~(uint64_t)(BLOCK_BYTES - 1);
	struct cache_range range = { start, end - start };
	char line[96];

	if (write->op == WRITE_SIZE)
		range = (struct cache_range){ write->new_size_bytes, 0 };
	if (writer->feed) {
		memory_feed_announce(writer->feed, thread_of(writer, write), &range);
	} else {
		snprintf(line, sizeof(line), "write %llu %zu %u\n", (unsigned long long)write->offset_bytes,
			 write->length_bytes, (unsigned)(write - writer->writes));
		report(writer, line);
	}
}

/* A fault is nobody's write, and what lies behind the end is none. */
static bool is_write(const struct writer *writer, const struct write *write)
{
	return write->length_bytes > 0 || (write->op == WRITE_SIZE && writer->feed);
}

static bool is_announced(const struct writer *writer)
{
	enum device_kind kind = writer->memory->kind;

	return writer->reporter || kind == DEVICE_KERNEL_SYNC || kind == DEVICE_KERNEL_ASYNC;
}

/* When its change time moves: cache_model.c has the same. */
static void show(struct writer *writer, struct write *write)
{
	enum device_kind kind = writer->memory->kind;

	if (!is_write(writer, write))
		return;
	if (is_announced(writer))
		announce(writer, write);
	if (kind != DEVICE_EVENTS && kind != DEVICE_KERNEL_SYNC)
		memory_device_sign(writer->memory);
}

static void resize(struct writer *writer, const struct write *write)
{
	struct memory_device *memory = writer->memory;

	if (write->new_size_bytes > memory->size_bytes)
		memset(memory->bytes + memory->size_bytes, 0, write->new_size_bytes - memory->size_bytes);
	memory_device_resize(memory, memory->bytes, write->new_size_bytes);
	writer->beyond = true;
}

static void fault(struct writer *writer, const struct write *write)
{
	struct memory_device *memory = writer->memory;
	int error = write->b & 8 ? -EIO : 0;

	memory->fail_observe = write->b & 1 ? error : 0;
	memory->fail_blocks = write->b & 2 ? error : 0;
	memory->fail_data = write->b & 4 ? error : 0;
	memory->fail_from_bytes = (uint64_t)write->c << 2;
	writer->beyond = writer->beyond || error;
}

static void land(struct writer *writer, struct write *write)
{
	struct memory_device *memory = writer->memory;

	if (memory->kind == DEVICE_KERNEL_SYNC && is_write(writer, write))
		memory_device_sign(memory);
	if (write->op == WRITE_SIZE) {
		resize(writer, write);
	} else if (write->op == WRITE_OTHER && write->a % 4 < 3) {
		fault(writer, write);
	} else if (write->length_bytes > 0) {
		/* The image may have been cut since. */
		struct write cut = *write;

		fit(&cut, write->offset_bytes, write->length_bytes, memory->size_bytes);
		make_bytes(writer, &cut, writer->scratch);
		memory_device_land(memory, cut.offset_bytes, writer->scratch, cut.length_bytes);
	}
	live_history_add(writer->history, memory->bytes, memory->size_bytes);
	write->state = live_history_count(writer->history) - 1;
}

static void end(struct writer *writer, struct write *write)
{
	enum device_kind kind = writer->memory->kind;
	char line[32];

	if (!is_write(writer, write))
		return;
	if (writer->reporter) {
		snprintf(line, sizeof(line), "done %u\n", (unsigned)(write - writer->writes));
		report(writer, line);
	} else if (kind == DEVICE_KERNEL_SYNC || kind == DEVICE_KERNEL_BEFORE) {
		memory_feed_modified(writer->feed, thread_of(writer, write));
	}
}

/* ---- when ------------------------------------------------------------------------ */

static bool has_end(const struct writer *writer)
{
	enum device_kind kind = writer->memory->kind;

	return writer->reporter || kind == DEVICE_KERNEL_SYNC || kind == DEVICE_KERNEL_BEFORE;
}

static bool is_due(const struct writer *writer, const struct write *write, unsigned turns, int64_t since_ns)
{
	return writer->turns - write->turn >= turns || writer->memory->now_ns - since_ns >= PHASE_NS;
}

/* Its next step, if it is time for it. */
static bool step(struct writer *writer, struct write *write, bool at_once)
{
	switch (write->phase) {
	case WAITS:
		if (!at_once && writer->turns - writer->last_begun < write->after)
			return false;
		prepare(writer, write);
		write->shown_ns = writer->memory->now_ns;
		writer->last_begun = writer->turns;
		show(writer, write);
		break;
	case SHOWS:
		if (!at_once && !is_due(writer, write, write->land_after, write->shown_ns))
			return false;
		write->landed_ns = writer->memory->now_ns;
		land(writer, write);
		break;
	case LANDED:
		if (!at_once && has_end(writer) && !is_due(writer, write, write->end_after, write->landed_ns))
			return false;
		end(writer, write);
		break;
	default:
		return false;
	}
	write->turn = writer->turns;
	write->phase++;
	return true;
}

/* Each takes all steps that are due; the next one begins only after those before it have. */
static void step_all(struct writer *writer, bool at_once)
{
	writer->in_step = true;
	while (writer->ended < writer->count && writer->writes[writer->ended].phase == ENDED)
		writer->ended++;
	for (unsigned i = writer->ended; i < writer->count; i++) {
		while (step(writer, &writer->writes[i], at_once))
			;
		if (writer->writes[i].phase == WAITS)
			break;
	}
	writer->in_step = false;
}

bool writer_turn(struct writer *writer)
{
	if (writer->in_step)
		return false;
	writer->turns++;
	step_all(writer, false);
	return true;
}

void writer_finish(struct writer *writer)
{
	step_all(writer, true);
	writer->memory->fail_observe = writer->memory->fail_blocks = writer->memory->fail_data = 0;
}

unsigned writer_fresh(const struct writer *writer)
{
	unsigned fresh = live_history_count(writer->history) - 1;

	for (unsigned i = writer->ended; i < writer->count; i++)
		if (writer->writes[i].phase == LANDED && has_end(writer) && writer->writes[i].state - 1 < fresh)
			fresh = writer->writes[i].state - 1;
	return fresh;
}

bool writer_is_beyond(const struct writer *writer)
{
	return writer->beyond;
}
