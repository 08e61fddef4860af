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
#include "base/waits.h"
#include "cache/changes/reporter.h"
#include "cache/changes/trust.h"
#include "cache/tree/dir.h"
#include "cache/tree/image.h"
#include "cache/tree/volume.h"
#include "cache_reader.h"
#include "live_writer.h"

#define HEAD_BYTES 3
#define RECORDS_MAX 160
#define HANDLES 4
#define DIRS 2
#define IDS_MAX 128
#define TURNS_MAX 60000 /* of one call; a few hundred waits, with all that is known read for each */

enum flag {
	FLAG_LARGE = 1,	      /* no file is copied */
	FLAG_LATER = 2,	      /* nobody makes copies in the background */
	FLAG_UNHEARD = 4,     /* nobody looked before the writer came */
	FLAG_GRAIN = 8,	      /* the writer comes every 512 bytes */
	FLAG_NOT_AT_HAND = 16, /* what may not block has to */
	FLAG_NO_MEMORY = 32,  /* kept bytes go to a file */
};

/* What any open ever returned of one inode number. */
struct known {
	uint64_t id;
	unsigned number;
	enum path path;
	uint64_t size_bytes;
	unsigned char *bytes, *have;
	unsigned state; /* that was last seen to have it all */
};

struct handle {
	struct cache_version *version; /* NULL: not open */
	struct known *known;
	unsigned since; /* the first state that it may be of */
	bool exact;	/* all writes were told when it was opened, and had been for a while */
};

struct held_dir {
	struct cache_dir *dir; /* or NULL */
	unsigned number;
	enum path path;
};

struct run {
	struct memory_device memory;
	struct reader reader;
	struct history *history;
	struct writer *writer;
	struct reporter *reporter;
	unsigned char *bytes;
	struct known ids[IDS_MAX];
	unsigned id_count;
	struct handle handles[HANDLES];
	struct held_dir dirs[DIRS];
	const unsigned char *put_off; /* a record for the midst of the next read of data, or NULL */
	bool in_midst;
	const struct handle *busy; /* the call outside uses it */
	struct memory_feed *feed; /* or NULL; the log's */
	bool keeps; /* all writes are told before they are done, to who has looked before, and believes them */
	bool trace;
	unsigned turns; /* of this call */
};

static struct run *the_run; /* whose clock it is */

#define TRACE(run, ...)                                       \
	do {                                                  \
		if ((run)->trace)                             \
			(void)fprintf(stderr, __VA_ARGS__);   \
	} while (0)

#define PROMISE(condition, rule)                                                                    \
	do {                                                                                        \
		if (!(condition)) {                                                                 \
			fprintf(stderr, "%s:%d: broken: %s: %s\n", __FILE__, __LINE__, rule, #condition); \
			abort();                                                                    \
		}                                                                                   \
	} while (0)

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

static unsigned now(const struct run *run)
{
	return history_count(run->history) - 1;
}

/* A call begins: the first state that its answer may be of. */
static unsigned begin(struct run *run)
{
	run->turns = 0;
	return writer_fresh(run->writer);
}

/* ---- what an answer may be ----------------------------------------------------------- */

static void check_error(const struct run *run, int error, const char *call, int allowed)
{
	TRACE(run, "  %s: %d\n", call, error);
	PROMISE(error == 0 || error == -EIO || error == allowed || (allowed == -ENOENT && error == -ESTALE), "errors");
}

static bool was(struct run *run, unsigned since, unsigned number, enum path path, enum truth_kind kind, uint64_t size_bytes)
{
	for (unsigned state = now(run) + 1; state-- > since;) {
		const struct truth *truth = history_truth(run->history, state, number, path);

		if (truth->kind == kind && (kind != TRUTH_FILE || truth->size_bytes == size_bytes))
			return true;
	}
	return false;
}

static void check_lookup(struct run *run, unsigned since, unsigned number, enum path path, int error,
			 const struct cache_node *node)
{
	check_error(run, error, path_words[path].name, -ENOENT);
	if (error == -ENOENT)
		PROMISE(was(run, since, number, path, TRUTH_ABSENT, 0), "names");
	else if (error == 0 && node->kind == CACHE_NODE_DIR)
		PROMISE(was(run, since, number, path, TRUTH_DIR, 0), "fresh");
	else if (error == 0)
		PROMISE(was(run, since, number, path, TRUTH_FILE, node->attributes.size_bytes), "fresh");
}

static struct known *known_of(struct run *run, uint64_t id, unsigned number, enum path path, uint64_t size_bytes)
{
	struct known *known = run->ids;

	while (known < run->ids + run->id_count && known->id != id)
		known++;
	if (known == run->ids + run->id_count) {
		PROMISE(run->id_count < IDS_MAX, "bounded");
		run->id_count++;
		*known = (struct known){ id, number, path, size_bytes, NULL, NULL, 0 };
	}
	PROMISE(known->number == number && known->path == path && known->size_bytes == size_bytes, "versions");
	return known;
}

/* The next piece of it that is known, from *at on and before `end`: its length, or 0. */
static size_t next_piece(const struct known *known, uint64_t *at, uint64_t end)
{
	const unsigned char *next = memchr(known->have + *at, 1, end - *at), *last;

	if (!next)
		return 0;
	*at = (uint64_t)(next - known->have);
	last = memchr(next, 0, end - *at);
	return last ? (size_t)(last - next) : end - *at;
}

static bool has_all(struct run *run, unsigned state, const struct known *known)
{
	const struct truth *truth = history_truth(run->history, state, known->number, known->path);

	if (truth->kind != TRUTH_FILE || truth->size_bytes != known->size_bytes)
		return false;
	for (uint64_t at = 0, length; (length = next_piece(known, &at, known->size_bytes)) > 0; at += length)
		if (!history_has(run->history, state, truth, at, known->bytes + at, length))
			return false;
	return true;
}

/* Is all that is known of it the file of one state, not before `since`? */
static bool is_whole(struct run *run, unsigned since, struct known *known)
{
	for (unsigned state = now(run) + 1; state-- > since;) {
		if (has_all(run, state, known)) {
			known->state = state;
			return true;
		}
	}
	return false;
}

/* ---- calls ----------------------------------------------------------------------------- */

/* The root of a partition (CACHE_PARTITION_BOOT: of the boot partition), and its number. */
static int get_root(struct run *run, unsigned *number, struct cache_dir **root)
{
	unsigned since = begin(run), asked = *number;
	int error = reader_root(&run->reader, asked, root);

	check_error(run, error, "root", asked == CACHE_PARTITION_BOOT ? 0 : -ENOENT);
	if (error == 0)
		*number = (*root)->volume->number;
	else if (error != -ENOENT)
		return error;
	for (unsigned state = now(run) + 1; state-- > since;) {
		unsigned numbers[8];
		bool there = false;
		size_t count;

		if (asked == CACHE_PARTITION_BOOT && history_boot(run->history, state) == (int)*number)
			return error;
		if (history_partitions(run->history, state, numbers, 8, &count) == 0)
			for (size_t i = 0; i < count && i < 8; i++)
				there = there || numbers[i] == *number;
		if (asked != CACHE_PARTITION_BOOT && there == (error == 0))
			return error;
	}
	PROMISE(false, "fresh: a partition that is not, or is");
	return error;
}

static int lookup(struct run *run, struct cache_dir *dir, unsigned number, enum path path, struct cache_node *node)
{
	unsigned since = begin(run);
	int error = reader_lookup(&run->reader, dir, path_words[path].name, node);

	check_lookup(run, since, number, path, error, node);
	return error;
}

/* From a directory down to the path below it. The node is the caller's to put. */
static int walk_from(struct run *run, struct cache_dir *dir, unsigned number, enum path above, enum path path,
		     struct cache_node *node)
{
	enum path way[PATHS];
	unsigned depth = 0;
	int error = 0;

	for (enum path at = path; at != above; at = path_words[at].parent)
		way[depth++] = at;
	*node = (struct cache_node){ .kind = CACHE_NODE_DIR, .dir = dir };
	while (error == 0 && depth-- > 0) {
		struct cache_node next = { 0 };

		error = node->kind == CACHE_NODE_DIR ? lookup(run, node->dir, number, way[depth], &next) : -ENOTDIR;
		node_put_any(node);
		*node = next;
	}
	return error;
}

static int walk(struct run *run, unsigned *number, enum path path, struct cache_node *node)
{
	struct cache_dir *root;
	int error = get_root(run, number, &root);

	return error == 0 ? walk_from(run, root, *number, PATH_ROOT, path, node) : error;
}

/*
 * Are all writes told? What is written just after listening began is not taken for all: others may have been at it
 * (trust.c), and who opened it in between has what C1 to C3 promise.
 */
static bool is_exact(const struct run *run)
{
	return run->reader.image->seen.exact &&
	       (!run->feed || run->memory.now_ns - memory_feed_since_ns(run->feed) > WAIT_SETTLE_NS);
}

/* Takes over the node. */
static int open_node(struct run *run, struct handle *handle, unsigned number, enum path path, struct cache_node *node)
{
	unsigned since = begin(run);
	struct known *known;
	int error;

	if (node->kind == CACHE_NODE_DIR) {
		cache_dir_put(node->dir);
		return -EISDIR;
	}
	known = known_of(run, node->attributes.id, number, path, node->attributes.size_bytes);
	error = reader_open(&run->reader, node->version);
	check_error(run, error, "open", -ESTALE);
	if (error != 0) {
		cache_version_put(node->version);
		return error;
	}
	/* Only now: an entry may name any size, but no chain has more clusters than there are. */
	PROMISE(known->size_bytes <= IMAGE_BYTES_MAX, "bounded");
	if (!known->bytes) {
		known->bytes = calloc(1, known->size_bytes + 1);
		known->have = calloc(1, known->size_bytes + 1);
		PROMISE(known->bytes && known->have, "memory of the test");
	}
	PROMISE(is_whole(run, since, known), "fresh");
	*handle = (struct handle){ node->version, known, since, is_exact(run) };
	return 0;
}

static void close_handle(struct handle *handle)
{
	if (!handle->version)
		return;
	cache_version_close(handle->version);
	cache_version_put(handle->version);
	handle->version = NULL;
}

static void learn(struct run *run, const struct handle *handle, uint64_t offset_bytes, const unsigned char *bytes,
		  size_t length_bytes)
{
	struct known *known = handle->known;

	for (uint64_t at = offset_bytes, end = at + length_bytes, length; (length = next_piece(known, &at, end)) > 0; at += length)
		PROMISE(memcmp(known->bytes + at, bytes + (at - offset_bytes), length) == 0, "versions");
	memcpy(known->bytes + offset_bytes, bytes, length_bytes);
	memset(known->have + offset_bytes, 1, length_bytes);
	if (known->state >= handle->since &&
	    history_has(run->history, known->state,
			history_truth(run->history, known->state, known->number, known->path), offset_bytes, bytes, length_bytes))
		return;
	PROMISE(is_whole(run, handle->since, known), "whole");
}

static long read_handle(struct run *run, const struct handle *handle, uint64_t offset_bytes, size_t length_bytes)
{
	size_t left_bytes = (size_t)min_u64(length_bytes, handle->known->size_bytes - offset_bytes);
	unsigned char *piece = malloc(left_bytes + 1);
	long got;

	PROMISE(piece, "memory of the test");
	begin(run);
	got = reader_read(&run->reader, handle->version, offset_bytes, length_bytes, piece);
	TRACE(run, "  read %zu at %llu: %ld\n", length_bytes, (unsigned long long)offset_bytes, got);
	if (got < 0) {
		check_error(run, (int)got, "read", -ESTALE);
		PROMISE(!run->keeps || !handle->exact || writer_is_beyond(run->writer) || !history_same_table(run->history, handle->since), "kept");
	} else {
		PROMISE((size_t)got == left_bytes, "whole");
		learn(run, handle, offset_bytes, piece, (size_t)got);
	}
	free(piece);
	return got;
}

static int read_to_end(struct run *run, const struct handle *handle, size_t piece_bytes)
{
	uint64_t at = 0;

	while (at < handle->known->size_bytes) {
		long got = read_handle(run, handle, at, piece_bytes);

		if (got < 0)
			return (int)got;
		at += (uint64_t)got;
	}
	return 0;
}

static int fetch_once(struct run *run, unsigned number, enum path path, size_t piece_bytes)
{
	struct handle handle = { 0 };
	struct cache_node node;
	int error = walk(run, &number, path, &node);

	if (error == 0)
		error = open_node(run, &handle, number, path, &node);
	if (error != 0)
		return error;
	error = read_to_end(run, &handle, piece_bytes);
	close_handle(&handle);
	return error;
}

/* As the kernel and any client: an open that finds its version gone looks the name up again, once. */
static int fetch(struct run *run, unsigned number, enum path path, size_t piece_bytes)
{
	int error = fetch_once(run, number, path, piece_bytes);

	return error == -ESTALE ? fetch_once(run, number, path, piece_bytes) : error;
}

static bool listing_is(const struct cache_listing *listing, const struct fat_dir *dir)
{
	if (fat_dir_count(dir) != listing->count)
		return false;
	for (size_t i = 0; i < listing->count; i++)
		if (strcmp(fat_dir_entry(dir, i)->name, listing->entries[i].name) != 0)
			return false;
	return true;
}

static void list(struct run *run, struct cache_dir *dir, unsigned number, enum path path)
{
	unsigned since = begin(run);
	struct cache_listing listing;
	int error = reader_list(&run->reader, dir, &listing);
	bool found = false;

	check_error(run, error, "list", -ESTALE);
	for (unsigned state = now(run) + 1; error == 0 && !found && state-- > since;) {
		struct fat_dir *truth = history_dir(run->history, state, number, path);

		found = truth && listing_is(&listing, truth);
		fat_dir_free(truth);
	}
	PROMISE(error != 0 || found, "fresh");
	if (error == 0)
		cache_listing_free(&listing);
}

static void partitions(struct run *run)
{
	unsigned since = begin(run), numbers[8], wanted[8];
	size_t count = 0, wanted_count = 0;
	int error = reader_partitions(&run->reader, numbers, 8, &count);

	check_error(run, error, "partitions", -ENODATA);
	if (error == -EIO)
		return;
	for (unsigned state = now(run) + 1; state-- > since;)
		if (history_partitions(run->history, state, wanted, 8, &wanted_count) == error && wanted_count == count &&
		    memcmp(wanted, numbers, min_u64(count, 8) * sizeof(*numbers)) == 0)
			return;
	PROMISE(false, "fresh");
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

	close_handle(handle);
	if (walk(run, &number, path, &node) == 0)
		open_node(run, handle, number, path, &node);
}

static void hold_dir(struct run *run, struct held_dir *held, unsigned number, enum path path)
{
	struct cache_node node;

	if (held->dir)
		cache_dir_put(held->dir);
	held->dir = NULL;
	if (walk(run, &number, path, &node) != 0)
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

		begin(run);
		check_error(run, reader_stat(&run->reader, held->dir, &attributes), "stat", -ESTALE);
		list(run, held->dir, held->number, held->path);
		return;
	}
	close_handle(handle);
	if (lookup(run, held->dir, held->number, path, &node) == 0)
		open_node(run, handle, held->number, path, &node);
}

static void list_path(struct run *run, unsigned number, enum path path)
{
	struct cache_node node;

	if (walk(run, &number, path, &node) != 0)
		return;
	if (node.kind == CACHE_NODE_DIR)
		list(run, node.dir, number, path);
	node_put_any(&node);
}

static void read_piece(struct run *run, const struct handle *handle, unsigned at, size_t length_bytes)
{
	if (handle->version && handle->known->size_bytes > 0)
		read_handle(run, handle, ((uint64_t)at << 3) % handle->known->size_bytes, length_bytes);
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
		fetch(run, number, path, piece_of(record[4]));
		break;
	case OPEN:
		TRACE(run, "open %u:%s\n", number, path_words[path].name);
		open_path(run, handle, number, path);
		break;
	case READ:
		read_piece(run, handle, get_le16(record + 2), piece_of(record[4]));
		break;
	case CLOSE:
		close_handle(handle);
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
		partitions(run);
		break;
	case KEEP:
		begin(run);
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
	int error = fetch(run, number, path, IMAGE_BYTES_MAX), boot = history_boot(run->history, now(run));
	const struct truth *truth;

	TRACE(run, "at the end, %u:%s: %d\n", number, path_words[path].name, error);
	if (number == CACHE_PARTITION_BOOT && boot < 0) {
		PROMISE(error == -EIO, "alive");
		return;
	}
	truth = history_truth(run->history, now(run), number == CACHE_PARTITION_BOOT ? (unsigned)boot : number, path);
	if (truth->kind == TRUTH_ABSENT)
		PROMISE(error == -ENOENT, "alive");
	else if (truth->kind == TRUTH_DIR)
		PROMISE(error == -EISDIR, "alive");
	else if (truth->kind == TRUTH_FILE && history_whole(run->history, now(run), truth))
		PROMISE(error == 0, "alive");
	else
		PROMISE(error != 0 && (error != -ENOENT || number != CACHE_PARTITION_BOOT), "alive");
}

static void expect_the_end(struct run *run)
{
	writer_finish(run->writer);
	for (unsigned i = 0; i < HANDLES; i++)
		if (run->handles[i].version)
			read_to_end(run, &run->handles[i], 65536);
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
	run->history = history_new(run->bytes, base->size_bytes);
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
		close_handle(&run->handles[i]);
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
	history_free(run->history);
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
