/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz cache/tree and what it stands on with an image that changes between any two
 * reads: what parsers' fuzzers, whose input stands still, cannot see.
 *
 *   u8   the kind of device: what it tells of changes (tests/unit/cache_device.h)
 *   u8   the image (live_writer.h)
 *   u8   FLAG_...
 *   then records of 8 bytes: of the writer (0x80 in the first: live_writer.c), or one
 *   call, or a few, of the reader; with 0x40, in the midst of the next read of data.
 *
 * Nothing sleeps, and nothing depends on anything but the input. IMAGEFS_FUZZ_TRACE=1
 * says what is done.
 *
 * What must hold of any input, whatever was written (live_history.h knows the states)
 *   fresh     an answer is of one state that there was since its call began;
 *   whole     all that one open returned is the file of one state since it was opened, of
 *             the size that stat gave, and no read is short;
 *   versions  an inode number never has other bytes than it had, for anybody, ever;
 *   names     ENOENT only of what is not there, in a state that can be read;
 *   errors    no others than CONTRACT E has; no call runs on, whatever it meets;
 *   alive     when the writer rests and the storage works, all is as fat/ reads it;
 *   kept      where all writes are told before they are done, an open file stays readable.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cache/changes/reporter.h"
#include "cache/changes/trust.h"
#include "live_answer.h"
#include "live_calls.h"

#define HEAD_BYTES 3
#define RECORDS_MAX 160
#define TURNS_MAX 60000 /* of one call; a few hundred waits, with all that is known read for each */

enum flag {
	FLAG_LARGE = 1,	      /* no file is copied */
	FLAG_LATER = 2,	      /* nobody makes copies in the background */
	FLAG_UNHEARD = 4,     /* nobody looked before the writer came */
	FLAG_GRAIN = 8,	      /* the writer comes every 512 bytes */
	FLAG_NOT_AT_HAND = 16, /* what may not block has to */
	FLAG_NO_MEMORY = 32,  /* kept bytes go to a file */
};

static struct run *the_run; /* whose clock it is */

static void do_record(struct run *run, const unsigned char *record);

/* ---- time and turns ---------------------------------------------------------------- */

static void on_turn(struct memory_device *memory)
{
	struct run *run = memory->owner;
	const unsigned char *record = run->put_off;
	int64_t waited_ns = run->reader.waited_ns;

	if (!writer_turn(run->writer))
		return;
	PROMISE(++run->turns < TURNS_MAX, "bounded");
	if (!record || run->in_midst || !memory->in_data)
		return;
	run->put_off = NULL;
	run->in_midst = true;
	memory->in_data = false;
	TRACE(run, "  in its midst:\n");
	do_record(run, record);
	TRACE(run, "  goes on\n");
	memory->in_data = true;
	run->in_midst = false;
	run->reader.waited_ns = waited_ns;
}

static void on_tick(struct memory_device *memory)
{
	struct run *run = memory->owner;

	writer_turn(run->writer);
}

static int64_t clock_ns(void)
{
	return the_run->memory.now_ns;
}

/* ---- records ----------------------------------------------------------------------------- */

enum call { FETCH, OPEN, READ, CLOSE, LIST, PASS, PARTITIONS, KEEP, HOLD_DIR, LOOK_IN_DIR, LOOK_AGAIN, CALLS };

static unsigned number_of(unsigned choice)
{
	return choice % 4 == 3 ? CACHE_PARTITION_BOOT : choice % 4;
}

static size_t piece_of(unsigned choice)
{
	static const size_t pieces[] = { IMAGE_BYTES_MAX, 65536, 4096, 1468, 512, 65537, 131072, 30000 };

	return pieces[choice % 8];
}

static void open_path(struct run *run, struct handle *handle, unsigned number, enum path path)
{
	struct cache_node node;

	call_close(handle);
	if (call_walk(run, &number, path, &node) == 0)
		call_open(run, handle, number, path, &node);
}

static void hold_dir(struct run *run, struct held_dir *held, unsigned number, enum path path)
{
	struct cache_node node;

	if (held->dir)
		cache_dir_put(held->dir);
	held->dir = NULL;
	if (call_walk(run, &number, path, &node) != 0)
		return;
	if (node.kind == CACHE_NODE_DIR)
		*held = (struct held_dir){ node.dir, number, path };
	else
		cache_version_put(node.version);
}

/* A name in a directory that was reached earlier; opened if it is a file. */
static void look_in_dir(struct run *run, const struct held_dir *held, enum path path, struct handle *handle)
{
	struct cache_node node;

	if (!held->dir)
		return;
	if (path == PATH_ROOT || path_words[path].parent != held->path) {
		struct cache_attributes attributes;

		call_begin(run);
		answer_error(run, reader_stat(&run->reader, held->dir, &attributes), "stat", -ESTALE);
		call_list(run, held->dir, held->number, held->path);
		return;
	}
	call_close(handle);
	if (call_lookup(run, held->dir, held->number, path, &node) == 0)
		call_open(run, handle, held->number, path, &node);
}

static void list_path(struct run *run, unsigned number, enum path path)
{
	struct cache_node node;

	if (call_walk(run, &number, path, &node) != 0)
		return;
	if (node.kind == CACHE_NODE_DIR)
		call_list(run, node.dir, number, path);
	node_put_any(&node);
}

static void read_piece(struct run *run, const struct handle *handle, unsigned at, size_t length_bytes)
{
	if (handle->version && handle->known->size_bytes > 0)
		call_read(run, handle, ((uint64_t)at << 3) % handle->known->size_bytes, length_bytes);
}

static void do_record(struct run *run, const unsigned char *record)
{
	struct handle *handle = &run->handles[record[1] % HANDLES];
	enum path path = record[2] % PATHS;
	unsigned number = number_of(record[3]);
	enum call call = record[0] % 64 % CALLS;
	struct cache_op op = { .may_block = true };

	if (!run->in_midst)
		run->busy = handle;
	else if (handle == run->busy && (call == OPEN || call == CLOSE || call == LOOK_IN_DIR))
		return;
	switch (call) {
	case FETCH:
		TRACE(run, "fetch %u:%s\n", number, path_words[path].name);
		call_fetch(run, number, path, piece_of(record[4]));
		break;
	case OPEN:
		TRACE(run, "open %u:%s\n", number, path_words[path].name);
		open_path(run, handle, number, path);
		break;
	case READ:
		read_piece(run, handle, get_le16(record + 2), piece_of(record[4]));
		break;
	case CLOSE:
		call_close(handle);
		break;
	case LIST:
		TRACE(run, "list %u:%s\n", number, path_words[path].name);
		list_path(run, number, path);
		break;
	case PASS:
		TRACE(run, "pass %u ms\n", get_le16(record + 1) % 4096);
		memory_device_pass(&run->memory, (get_le16(record + 1) % 4096) * MS);
		break;
	case PARTITIONS:
		call_partitions(run);
		break;
	case KEEP:
		call_begin(run);
		if (handle->version)
			cache_version_keep(handle->version, &op);
		break;
	case HOLD_DIR:
		hold_dir(run, &run->dirs[record[1] % DIRS], number, path);
		break;
	case LOOK_IN_DIR:
		look_in_dir(run, &run->dirs[record[1] % DIRS], path, handle);
		break;
	default:
		run->keeps = false;
		if (cache_image_log(run->reader.image))
			write_log_start_over(cache_image_log(run->reader.image));
	}
}

/* ---- at the end, the writer rests ------------------------------------------------------------ */

static void expect(struct run *run, unsigned number, enum path path)
{
	int error = call_fetch(run, number, path, IMAGE_BYTES_MAX), boot = live_history_boot(run->history, run_now(run));
	const struct truth *truth;

	TRACE(run, "at the end, %u:%s: %d\n", number, path_words[path].name, error);
	if (number == CACHE_PARTITION_BOOT && boot < 0) {
		PROMISE(error == -EIO, "alive");
		return;
	}
	truth = live_history_truth(run->history, run_now(run), number == CACHE_PARTITION_BOOT ? (unsigned)boot : number, path);
	if (truth->kind == TRUTH_ABSENT)
		PROMISE(error == -ENOENT, "alive");
	else if (truth->kind == TRUTH_DIR)
		PROMISE(error == -EISDIR, "alive");
	else if (truth->kind == TRUTH_FILE && live_history_whole(run->history, run_now(run), truth))
		PROMISE(error == 0, "alive");
	else
		PROMISE(error != 0 && (error != -ENOENT || number != CACHE_PARTITION_BOOT), "alive");
}

static void expect_the_end(struct run *run)
{
	writer_finish(run->writer);
	for (unsigned i = 0; i < HANDLES; i++)
		if (run->handles[i].version)
			call_read_to_end(run, &run->handles[i], 65536);
	run->memory.now_ns += 10 * SECOND;
	for (enum path path = PATH_ROOT; path < PATHS; path++) {
		expect(run, CACHE_PARTITION_BOOT, path);
		expect(run, 2, path);
	}
}

/* ---- a run ------------------------------------------------------------------------------- */

/* Servers tell, or the kernel; and somebody has looked before. */
static void begin_to_tell(struct run *run, bool unheard)
{
	struct cache_device *device = &run->memory.device;
	struct cache_observation seen;
	struct write_log *log;

	PROMISE(write_log_new(&log) == 0, "memory of the test");
	write_log_set_clock(log, clock_ns);
	cache_image_set_log(run->reader.image, log);
	if (kernel_tells(run->memory.kind)) {
		run->feed = memory_feed_new(&run->memory, log);
		writer_set_feed(run->writer, run->feed);
	} else {
		PROMISE(reporter_new(log, &run->reporter) == 0, "memory of the test");
		writer_set_reporter(run->writer, run->reporter);
		reporter_take(run->reporter, getpid(), "done\n", 5); /* it introduces itself */
	}
	for (unsigned look = 0; look < 2 && !unheard; look++) {
		write_log_listen(log, true);
		device->ops->observe(device, true, CACHE_LOOK_ANEW, &seen);
		write_log_observe(log, &seen);
		run->memory.now_ns += 3 * SECOND;
	}
}

static void start(struct run *run, const unsigned char *head)
{
	enum device_kind kind = head[0] % (DEVICE_KERNEL_SILENT + 1);
	const struct live_base *base = live_base(head[1]);
	struct cache_settings settings = cache_settings_default;
	unsigned flags = head[2];

	*run = (struct run){ .trace = getenv("IMAGEFS_FUZZ_TRACE"), .bytes = calloc(1, IMAGE_BYTES_MAX) };
	PROMISE(run->bytes, "memory of the test");
	the_run = run;
	memcpy(run->bytes, base->bytes, base->size_bytes);
	/* Who reports does so of a block device: its counters show a write, and it has no time stamp. */
	memory_device_init(&run->memory, kind == DEVICE_REPORTED ? DEVICE_EVENTS : kind, run->bytes, base->size_bytes);
	run->memory.grain_bytes = flags & FLAG_GRAIN ? 512 : CACHE_BLOCK_BYTES;
	run->memory.not_at_hand = flags & FLAG_NOT_AT_HAND;
	run->memory.owner = run;
	settings.temporary_directory = "/tmp";
	if (flags & FLAG_LARGE)
		settings.keep_limit_bytes = 0;
	if (flags & FLAG_NO_MEMORY)
		settings.keep_bytes = 100 << 10;
	reader_init_device(&run->reader, &settings, &run->memory.device);
	run->reader.memory = &run->memory;
	run->reader.never_keeps = flags & FLAG_LATER;
	run->history = live_history_new(run->bytes, base->size_bytes);
	run->writer = writer_new(&run->memory, run->history, base);
	if (kind == DEVICE_REPORTED || kernel_tells(kind))
		begin_to_tell(run, flags & FLAG_UNHEARD);
	run->keeps = (kind == DEVICE_REPORTED || kind == DEVICE_KERNEL_SYNC) && !(flags & FLAG_UNHEARD);
	run->memory.turn = on_turn;
	run->memory.tick = on_tick;
}

static void stop(struct run *run)
{
	for (unsigned i = 0; i < HANDLES; i++)
		call_close(&run->handles[i]);
	for (unsigned i = 0; i < DIRS; i++)
		if (run->dirs[i].dir)
			cache_dir_put(run->dirs[i].dir);
	run->memory.turn = NULL;
	reporter_free(run->reporter);
	reader_end(&run->reader);
	PROMISE(run->memory.closes == 1, "let go");
	for (unsigned i = 0; i < run->id_count; i++) {
		free(run->ids[i].bytes);
		free(run->ids[i].have);
	}
	writer_free(run->writer);
	live_history_free(run->history);
	free(run->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run run;

	if (size < HEAD_BYTES)
		return 0;
	start(&run, data);
	for (size_t at = HEAD_BYTES, count = 0; at + RECORD_BYTES <= size && count < RECORDS_MAX; at += RECORD_BYTES, count++) {
		const unsigned char *record = data + at;

		if (record[0] & 0x80)
			writer_add(run.writer, record);
		else if (record[0] & 0x40)
			run.put_off = record;
		else
			do_record(&run, record);
	}
	run.put_off = NULL;
	expect_the_end(&run);
	stop(&run);
	return 0;
}
