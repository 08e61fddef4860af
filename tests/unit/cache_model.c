/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model check: writers and readers of one image, in every order that fits.
 *
 * A writer takes the volume through states, by writing what differs block by
 * block, in any order. A reader looks a file up, opens it and reads it in
 * pieces, as the daemon does. Before each thing that the reader does to the
 * device the writer may do any number of its writes: a plan says which. All
 * plans with one burst of writes are run, and those with two and three as far
 * as the budget goes, chosen by a fixed seed. Nothing sleeps; time is counted.
 *
 * What must hold, in every run
 *   fresh     whoever opens (or looks up, or lists) after the last write of an
 *             update was replied to gets its state, or an error;
 *   whole     one open returns bytes of one state only, of the size that stat
 *             gave, also when it reads on after the writer is done;
 *   versions  one id never stands for bytes of two states, in any two opens;
 *   names     a name that is in all states is never absent;
 *   kept      where every write is reported before and after it is done, a file
 *             that is open is readable to its end, whatever is written;
 *   alive     when the writer is done every call succeeds within its patience.
 *
 * What is not promised, and not asked: the writer here never lets the flux time
 * pass between two writes of one update, and ends it before what it has written
 * is old. If it does not, a half that is sound in structure is believed: a file
 * that is half overwritten, a directory that shows both names of a rename.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cache/company.h"
#include "cache/reports.h"
#include "cache/reports_inside.h"
#include "cache_reader.h"
#include "cache_volume.h"

#define FLUX_NS (200 * MS)
#define STEPS_MAX 64
#define FRAMES_MAX 6
#define FILES_MAX 4
#define BURSTS_MAX 3
#define DOUBT_NS (40 * MS)

/* ---- writers ------------------------------------------------------------- */

/* All files of the volume; `complete` when the update (or the start) ends here. */
struct frame {
	struct file files[FILES_MAX];
	bool complete;
};

struct update {
	const char *what;
	const char *name; /* the file that is fetched */
	uint32_t cluster_bytes;
	struct frame frames[FRAMES_MAX];
};

#define F_ENTRY "FILE    BIN", "file-with-a-long-name.bin", 0
#define F_NAME "file-with-a-long-name.bin"
#define NEW_ENTRY "FILE    NEW", NULL, 4
#define BYSTANDER                                          \
	{                                                  \
		"STILL   TXT", NULL, 3, { 20 }, 700, 99, 1 \
	}

/* clang-format off */
static const struct update updates[] = {
	{ "overwrite in place", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3, 5 }, 10000, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 3, 5 }, 10000, 2, 1 }, BYSTANDER }, true } } },
	{ "overwrite in place, with a new time", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 5 }, 8192, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 5 }, 8192, 2, 2 }, BYSTANDER }, true } } },
	{ "replace by rename", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3 }, 5000, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 3 }, 5000, 1, 1 }, BYSTANDER, { NEW_ENTRY, { 6, 7 }, 6000, 2, 2 } } },
		{ { { F_ENTRY, { 6, 7 }, 6000, 2, 2 }, BYSTANDER, { NEW_ENTRY, { 6, 7 }, 6000, 2, 2 } } },
		{ { { F_ENTRY, { 6, 7 }, 6000, 2, 2 }, BYSTANDER }, true } } },
	{ "remove, then rename", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3 }, 5000, 1, 1 }, BYSTANDER, { NEW_ENTRY, { 6, 7 }, 6000, 2, 2 } }, true },
		{ { BYSTANDER, { NEW_ENTRY, { 6, 7 }, 6000, 2, 2 } } },
		{ { { F_ENTRY, { 6, 7 }, 6000, 2, 2 }, BYSTANDER }, true } } },
	{ "shrink", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3, 5 }, 10000, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2 }, 3000, 1, 2 }, BYSTANDER }, true } } },
	{ "grow", F_NAME, 4096, {
		{ { { F_ENTRY, { 2 }, 3000, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 3, 5 }, 10000, 1, 2 }, BYSTANDER }, true } } },
	{ "remove and make again of the same clusters", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3 }, 8000, 1, 1 }, BYSTANDER }, true },
		{ { BYSTANDER } },
		{ { { F_ENTRY, { 3, 2 }, 8000, 2, 1 }, BYSTANDER }, true } } },
	{ "two files trade clusters", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3 }, 6000, 1, 1 }, BYSTANDER, { NEW_ENTRY, { 6 }, 3000, 2, 1 } }, true },
		{ { { F_ENTRY, { 6, 7 }, 6000, 3, 1 }, BYSTANDER, { NEW_ENTRY, { 2 }, 3000, 4, 1 } }, true } } },
	{ "truncated to nothing, then written", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3 }, 5000, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 0 }, 0, 0, 2 }, BYSTANDER } },
		{ { { F_ENTRY, { 2, 3 }, 6000, 2, 3 }, BYSTANDER }, true } } },
	{ "two updates in a row", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 5 }, 8000, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 5 }, 8000, 2, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 5 }, 8000, 3, 1 }, BYSTANDER }, true } } },
	{ "a new file", F_NAME, 4096, {
		{ { BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 5 }, 8000, 2, 1 }, BYSTANDER }, true } } },
	{ "a file removed, its clusters reused", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 5 }, 8000, 1, 1 }, BYSTANDER }, true },
		{ { BYSTANDER, { NEW_ENTRY, { 2, 5 }, 8000, 2, 1 } }, true } } },
	{ "overwrite in place, of several chunks", F_NAME, 32768, {
		{ { { F_ENTRY, { 2, 4, 6, 8 }, 131072, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 4, 6, 8 }, 131072, 2, 1 }, BYSTANDER }, true } } },
};
/* clang-format on */

#define UPDATES (sizeof(updates) / sizeof(updates[0]))

enum phase {
	SIGN, /* only the sign of the write to come */
	BEGIN, /* it is reported before it is done, */
	LAND,
	END, /* and when it was done */
};

struct step {
	unsigned frame; /* whose bytes are written */
	enum phase phase;
	uint64_t offset_bytes;
	size_t length_bytes;
};

/* An update as the bytes of its frames, and the writes between them in one order. */
struct script {
	const struct update *update;
	struct small_volume frames[FRAMES_MAX];
	unsigned frame_count;
	struct step steps[STEPS_MAX];
	unsigned step_count;
};

static unsigned frames_of(const struct update *update)
{
	unsigned count = 0;

	while (count < FRAMES_MAX && update->frames[count].files[0].short_name)
		count++;
	return count;
}

/* The same volume with other files; what clusters held stays in them. */
static struct small_volume paint(const struct small_volume *from, const struct frame *old,
				 const struct frame *new, uint32_t cluster_bytes)
{
	struct small_volume volume = from ? small_volume_copy(from) : small_volume_new(cluster_bytes);

	for (size_t i = 0; old && i < FILES_MAX && old->files[i].short_name; i++)
		small_volume_remove(&volume, &old->files[i]);
	/* An entry that never was still must not end the directory. */
	for (size_t i = 0; !from && i < 5; i++)
		fat_image_root(volume.fat)[i * 32] = 0xE5;
	for (size_t i = 0; i < FILES_MAX && new->files[i].short_name; i++)
		small_volume_put(&volume, &new->files[i]);
	return volume;
}

static size_t unit_at(const struct script *script, uint64_t offset_bytes)
{
	return offset_bytes < VOLUME_DATA_OFFSET ? 4096 : script->update->cluster_bytes;
}

/* What differs between two frames, in the order of the disk. */
static unsigned diff(const struct script *script, unsigned frame, struct step *steps)
{
	const struct small_volume *a = &script->frames[frame - 1], *b = &script->frames[frame];
	unsigned count = 0;

	for (uint64_t at = 0, unit; at < b->size_bytes; at += unit) {
		unit = min_u64(unit_at(script, at), b->size_bytes - at);
		if (memcmp(a->bytes + at, b->bytes + at, unit) != 0)
			steps[count++] = (struct step){ frame, LAND, at, unit };
	}
	return count;
}

/* The `order`th permutation of a part of the steps; returns what is left of the number. */
static unsigned permute(struct step *steps, unsigned count, unsigned order)
{
	for (unsigned left = count; left > 1; left--) {
		struct step chosen = steps[order % left];

		memmove(&steps[order % left], &steps[order % left + 1],
			(left - 1 - order % left) * sizeof(*steps));
		steps[left - 1] = chosen;
		order /= left;
	}
	return order;
}

static void script_make(struct script *script, const struct update *update)
{
	*script = (struct script){ .update = update, .frame_count = frames_of(update) };
	for (unsigned i = 0; i < script->frame_count; i++)
		script->frames[i] =
			paint(i ? &script->frames[i - 1] : NULL, i ? &update->frames[i - 1] : NULL,
			      &update->frames[i], update->cluster_bytes);
}

static void script_free(struct script *script)
{
	for (unsigned i = 0; i < script->frame_count; i++)
		small_volume_free(&script->frames[i]);
}

/* How many orders there are: within each frame any. */
static unsigned script_orders(const struct script *script)
{
	unsigned orders = 1;

	for (unsigned frame = 1; frame < script->frame_count; frame++) {
		struct step changes[STEPS_MAX];

		for (unsigned count = diff(script, frame, changes); count > 1; count--)
			orders *= count;
	}
	return orders;
}

static void add_step(struct script *script, const struct step *step, enum phase phase)
{
	cr_assert_lt(script->step_count, STEPS_MAX);
	script->steps[script->step_count] = *step;
	script->steps[script->step_count++].phase = phase;
}

/* One write after the other, or (in every second order) all of them in flight at once. */
static void add_reported(struct script *script, const struct step *changes, unsigned count, bool at_once)
{
	for (unsigned i = 0; i < count; i += at_once ? count : 1) {
		unsigned last = at_once ? count : i + 1;

		for (unsigned j = i; j < last; j++)
			add_step(script, &changes[j], BEGIN);
		for (unsigned j = i; j < last; j++)
			add_step(script, &changes[j], LAND);
		for (unsigned j = i; j < last; j++)
			add_step(script, &changes[j], END);
	}
}

/* Make the steps in one of them, with what the kind of device tells of each write. */
static void script_order(struct script *script, unsigned order, enum device_kind kind)
{
	bool at_once = order % 2;

	script->step_count = 0;
	for (unsigned frame = 1; frame < script->frame_count; frame++) {
		struct step changes[STEPS_MAX];
		unsigned count = diff(script, frame, changes);

		order = permute(changes, count, order);
		cr_assert(count > 0);
		if (kind == DEVICE_REPORTED)
			add_reported(script, changes, count, at_once);
		for (unsigned i = 0; kind != DEVICE_REPORTED && i < count; i++) {
			if (kind != DEVICE_EVENTS)
				add_step(script, &changes[i], SIGN);
			add_step(script, &changes[i], LAND);
		}
	}
}

/* ---- one run ------------------------------------------------------------- */

enum warmth {
	COLD,	     /* nothing was looked at before */
	WARM,	     /* all was read before, and closed */
	HELD,	     /* opened, and the first piece read; it reads on at the end */
	HELD_UNREAD, /* opened, and nothing read */
	WARMTHS,
};

enum task {
	FETCH,
	FETCH_PIECES,
	LIST,
	BYSTAND, /* fetch a file that never changes */
	TASKS,
};

struct plan {
	enum device_kind kind;
	enum warmth warmth;
	enum task task;
	bool large;	 /* files are above the keep limit */
	bool slow;	 /* the writer takes its time, but never the flux time */
	bool posted;	 /* the writer reports in a ledger where it may */
	bool rude;	 /* and waits for nothing: open files are lost then, but not mixed */
	bool later;	 /* files are kept after their first read was answered */
	unsigned second; /* 0, or at which turn a second reader fetches the file, if the first reads data then
			  */
	unsigned doubt; /* 0, or from which turn on it is in doubt for a while who writes */
	unsigned bursts;
	unsigned at[BURSTS_MAX];    /* at which turn */
	unsigned until[BURSTS_MAX]; /* how many steps are done then */
};

#define IDS_MAX 16

struct run {
	const struct script *script;
	const struct plan *plan;
	struct memory_device memory;
	struct reader reader;
	unsigned char *bytes;
	unsigned turns, burst, done;
	struct reporter *reporter; /* or NULL */
	struct ledger *ledger;	   /* of it, or NULL */
	bool in_step;		   /* what the writer's own step asks of the device is no turn */
	bool open_for_writing;
	bool second_done;
	int64_t last_step_ns, pace_ns, doubt_ns;
	bool trace;
	const char *wrong; /* the rule that was broken */
	struct {
		uint64_t id;
		unsigned states; /* which frames it may stand for, by what was read of it */
	} ids[IDS_MAX];
	unsigned id_count;
};

#define TRACE(run, ...)                               \
	do {                                          \
		if ((run)->trace)                     \
			fprintf(stderr, __VA_ARGS__); \
	} while (0)

static void broken(struct run *run, const char *rule)
{
	TRACE(run, "  broken: %s\n", rule);
	if (!run->wrong)
		run->wrong = rule;
}

/* As a server does: what it reports is taken in before it goes on. */
static void report(struct run *run, const char *line)
{
	struct saving *saving = reporter_take(run->reporter, getpid(), line, strlen(line));

	if (saving)
		saving_run(saving);
	saving_free(saving);
}

/* A write that is watched waits; its end does not. */
static void post_step(struct run *run, const struct step *step)
{
	size_t length_bytes = step->phase == BEGIN ? step->length_bytes : 0;

	ledger_post(run->ledger, step->offset_bytes, step->offset_bytes, length_bytes, run->memory.now_ns);
	if (length_bytes > 0 && !run->plan->rude && ledger_is_watched(run->ledger, step->offset_bytes, length_bytes))
		report(run, "\n");
}

static void report_step(struct run *run, const struct step *step)
{
	char line[96];

	if (run->ledger) {
		post_step(run, step);
		return;
	}

	if (step->phase == BEGIN)
		snprintf(line, sizeof(line), "write %llu %zu %llu\n", (unsigned long long)step->offset_bytes,
			 step->length_bytes, (unsigned long long)step->offset_bytes);
	else
		snprintf(line, sizeof(line), "done %llu\n", (unsigned long long)step->offset_bytes);
	report(run, line);
}

static void do_step(struct run *run)
{
	static const char *const words[] = { "sign", "begin", "write", "end" };
	const struct step *step = &run->script->steps[run->done++];

	TRACE(run, "  turn %u, %lld us: %s frame %u at %llu\n", run->turns,
	      (long long)(run->memory.now_ns / 1000 % 1000000000), words[step->phase], step->frame,
	      (unsigned long long)step->offset_bytes);
	run->last_step_ns = run->memory.now_ns;
	run->in_step = true;
	if (step->phase == SIGN || (step->phase == LAND && run->plan->kind == DEVICE_EVENTS))
		memory_device_sign(&run->memory);
	if (step->phase == LAND)
		memory_device_land(&run->memory, step->offset_bytes,
				   run->script->frames[step->frame].bytes + step->offset_bytes, step->length_bytes);
	else if (step->phase != SIGN)
		report_step(run, step);
	run->in_step = false;
}

/*
 * The last frame whose writes are all done. The client may know it before the
 * server reports it.
 */
static unsigned frames_done(const struct run *run)
{
	unsigned next = run->done;

	while (next < run->script->step_count && run->script->steps[next].phase == END)
		next++;
	return next == run->script->step_count ? run->script->frame_count - 1
					       : run->script->steps[next].frame - 1;
}

/* The frame that was begun, or the last one done. */
static unsigned frames_begun(const struct run *run)
{
	return run->done == 0 ? 0 : run->script->steps[run->done - 1].frame;
}

/* Is a write reported, and its end not? A writer does not rest there. */
static bool in_flight(const struct run *run)
{
	enum phase phase = run->done > 0 ? run->script->steps[run->done - 1].phase : SIGN;

	return phase == BEGIN || (run->reporter && phase == LAND) ||
	       (run->reporter && run->done < run->script->step_count && run->script->steps[run->done].phase == END);
}

/* Is the writer between two updates? Then it may rest as long as it likes. */
static bool at_rest(const struct run *run)
{
	return !in_flight(run) && frames_done(run) == frames_begun(run) &&
	       run->script->update->frames[frames_done(run)].complete;
}

static void go_on(struct run *run)
{
	while (!at_rest(run) && run->memory.now_ns - run->last_step_ns >= run->pace_ns) {
		do_step(run);
	}
}

static void second_reader(struct run *run);

static void on_turn(struct memory_device *memory)
{
	struct run *run = memory->owner;

	if (!run->open_for_writing || run->in_step)
		return;
	for (; run->burst < run->plan->bursts && run->plan->at[run->burst] <= run->turns; run->burst++)
		while (run->done < run->plan->until[run->burst])
			do_step(run);
	run->turns++;
	go_on(run);
	if (!run->second_done && run->plan->second && run->turns >= run->plan->second && memory->in_data)
		second_reader(run);
}

static void on_tick(struct memory_device *memory)
{
	go_on(memory->owner);
}

/* ---- what may be seen ---------------------------------------------------- */

static const struct file *file_of(const struct run *run, unsigned frame, const char *name)
{
	const struct file *files = run->script->update->frames[frame].files;

	for (size_t i = 0; i < FILES_MAX && files[i].short_name; i++)
		if (strcmp(name, "still.txt") == 0 ? files[i].slot == 3 : files[i].slot == 0)
			return &files[i];
	return NULL;
}

/* The complete frames that somebody may see who began when `since` was the last frame done. */
static unsigned states_since(const struct run *run, unsigned since)
{
	const struct frame *frames = run->script->update->frames;
	unsigned states = 0, last = frames_begun(run);

	while (!frames[since].complete)
		since--;
	while (!frames[last].complete)
		last++;
	for (unsigned i = since; i <= last; i++)
		if (frames[i].complete)
			states |= 1U << i;
	return states;
}

static unsigned all_states(const struct run *run)
{
	return (1U << run->script->frame_count) - 1;
}

/* Those of them that hold the file with this size. */
static unsigned states_of_size(const struct run *run, unsigned states, const char *name, uint64_t size_bytes)
{
	for (unsigned i = 0; i < run->script->frame_count; i++) {
		const struct file *file = file_of(run, i, name);

		if (!file || file->size_bytes != size_bytes)
			states &= ~(1U << i);
	}
	return states;
}

static unsigned states_of_bytes(const struct run *run, unsigned states, const char *name, uint64_t at,
				const unsigned char *bytes, size_t length_bytes)
{
	for (unsigned i = 0; i < run->script->frame_count; i++)
		if (states & (1U << i) && !content_is(bytes, file_of(run, i, name)->seed, at, length_bytes))
			states &= ~(1U << i);
	return states;
}

static unsigned states_without(const struct run *run, unsigned states, const char *name)
{
	for (unsigned i = 0; i < run->script->frame_count; i++)
		if (file_of(run, i, name))
			states &= ~(1U << i);
	return states;
}

/* The states that an id may stand for by all that was ever read of it. */
static unsigned *states_of_id(struct run *run, uint64_t id)
{
	for (unsigned i = 0; i < run->id_count; i++)
		if (run->ids[i].id == id)
			return &run->ids[i].states;
	cr_assert_lt(run->id_count, IDS_MAX);
	run->ids[run->id_count].id = id;
	run->ids[run->id_count].states = all_states(run);
	return &run->ids[run->id_count++].states;
}

/* ---- readers ------------------------------------------------------------- */

/* One open file. */
struct handle {
	const char *name;
	struct cache_node node;
	unsigned since;	 /* the last frame done when it was opened */
	unsigned states; /* that it may be, by its size and by what was read */
	uint64_t at;
	bool opened;
};

/* 0, or the error; a rule broken is noted. */
static int begin(struct run *run, struct handle *handle, const char *name)
{
	unsigned since = frames_done(run);
	int error = reader_walk(&run->reader, name, &handle->node);

	TRACE(run, "  lookup: %d, id %llu\n", error,
	      (unsigned long long)(error ? 0 : handle->node.attributes.id));
	handle->name = name;
	handle->opened = false;
	handle->at = 0;
	if (error == -ENOENT && states_without(run, states_since(run, since), name) == 0)
		broken(run, "names: a name was absent that is in all states");
	if (error != 0)
		return error;
	handle->since = frames_done(run);
	handle->states = states_of_size(run, all_states(run), name, handle->node.attributes.size_bytes);
	if ((handle->states & states_since(run, since)) == 0)
		broken(run, "fresh: stat shows a size of no state that may be seen");
	error = reader_open(&run->reader, handle->node.version);
	TRACE(run, "  open: %d\n", error);
	handle->opened = error == 0;
	if (handle->opened && (handle->states & states_since(run, handle->since)) == 0)
		broken(run, "fresh: open of a state that is gone");
	if (error != 0)
		cache_version_put(handle->node.version);
	return error;
}

static int read_on(struct run *run, struct handle *handle, size_t piece_bytes)
{
	unsigned char piece[1 << 18];
	unsigned *id_states = states_of_id(run, handle->node.attributes.id);
	uint64_t size_bytes = handle->node.attributes.size_bytes;
	long got = reader_read(&run->reader, handle->node.version, handle->at, piece_bytes, piece);

	TRACE(run, "  read at %llu: %ld\n", (unsigned long long)handle->at, got);
	if (got < 0)
		return (int)got;
	if ((uint64_t)got != min_u64(piece_bytes, size_bytes - handle->at))
		broken(run, "whole: a short read");
	handle->states = states_of_bytes(run, handle->states, handle->name, handle->at, piece, (size_t)got);
	if (handle->states == 0)
		broken(run, "whole: bytes of no state, or of two");
	/* What nobody had read yet may have become a later state's. */
	else if ((handle->states & states_since(run, handle->since)) == 0)
		broken(run, "fresh: bytes of a state that was gone at the open");
	*id_states &= states_of_bytes(run, states_of_size(run, *id_states, handle->name, size_bytes),
				      handle->name, handle->at, piece, (size_t)got);
	if (*id_states == 0)
		broken(run, "versions: one id stands for two states");
	handle->at += (uint64_t)got;
	return 0;
}

static int read_to_end(struct run *run, struct handle *handle, size_t piece_bytes)
{
	int error = 0;

	while (error == 0 && handle->at < handle->node.attributes.size_bytes)
		error = read_on(run, handle, piece_bytes);
	return error;
}

static void finish(struct handle *handle)
{
	if (!handle->opened)
		return;
	cache_version_close(handle->node.version);
	cache_version_put(handle->node.version);
	handle->opened = false;
}

static int fetch(struct run *run, const char *name, size_t piece_bytes)
{
	struct handle handle;
	int error = begin(run, &handle, name);

	if (error != 0)
		return error;
	error = read_to_end(run, &handle, piece_bytes);
	if (error != 0 && run->reporter && !run->plan->rude)
		broken(run, "kept: an open file was refused");
	finish(&handle);
	return error;
}

/* As the kernel and any client: an open that finds its version gone looks the name up again. */
static int fetch_again(struct run *run, const char *name, size_t piece_bytes)
{
	int error = fetch(run, name, piece_bytes);

	return error == -ESTALE ? fetch(run, name, piece_bytes) : error;
}

/* While the first one waits for the device. What is read alone by one at a time is waited for in vain. */
static void second_reader(struct run *run)
{
	int64_t waited_ns = run->reader.waited_ns; /* by the first */

	run->second_done = true;
	run->memory.in_data = false;
	TRACE(run, "  second reader\n");
	fetch_again(run, run->script->update->name, run->script->update->cluster_bytes);
	TRACE(run, "  second reader ends\n");
	run->reader.waited_ns = waited_ns;
	run->memory.in_data = true;
}

static bool listing_has(const struct cache_listing *listing, const char *name)
{
	for (size_t i = 0; i < listing->count; i++)
		if (strcasecmp(listing->entries[i].name, name) == 0)
			return true;
	return false;
}

static bool listing_is(const struct run *run, const struct cache_listing *listing, unsigned frame)
{
	const struct file *files = run->script->update->frames[frame].files;
	size_t count = 0;

	for (; count < FILES_MAX && files[count].short_name; count++) {
		const char *name = files[count].slot == 3   ? "still.txt"
				   : files[count].slot == 4 ? "file.new"
							    : F_NAME;

		if (!listing_has(listing, name))
			return false;
	}
	return listing->count == count;
}

static int list(struct run *run)
{
	unsigned since = frames_done(run), states;
	struct cache_listing listing;
	struct cache_dir *root;
	int error = reader_root(&run->reader, CACHE_PARTITION_BOOT, &root);

	if (error != 0)
		return error;
	error = reader_list(&run->reader, root, &listing);
	cache_dir_put(root);
	TRACE(run, "  list: %d\n", error);
	if (error != 0)
		return error;
	states = states_since(run, since);
	for (unsigned i = 0; i < run->script->frame_count; i++)
		if (states & (1U << i) && !listing_is(run, &listing, i))
			states &= ~(1U << i);
	if (states == 0)
		broken(run, "fresh: a listing of no state, or of an old one");
	cache_listing_free(&listing);
	return 0;
}

static void do_task(struct run *run)
{
	const struct update *update = run->script->update;

	switch (run->plan->task) {
	case FETCH:
		fetch_again(run, update->name, 1 << 18);
		break;
	case FETCH_PIECES:
		fetch_again(run, update->name, update->cluster_bytes);
		break;
	case LIST:
		list(run);
		break;
	default:
		fetch_again(run, "still.txt", 4096);
	}
}

static bool exists_at_the_end(const struct run *run)
{
	return file_of(run, run->script->frame_count - 1, run->script->update->name);
}

/* The writer is done: no excuse for anything. */
static void expect_the_end(struct run *run)
{
	int error = fetch_again(run, run->script->update->name, 1 << 18);

	if (error != (exists_at_the_end(run) ? 0 : -ENOENT))
		broken(run, "alive: the last state cannot be read");
	if (fetch_again(run, "still.txt", 4096) != 0)
		broken(run, "alive: a file that never changed cannot be read");
	if (list(run) != 0)
		broken(run, "alive: the last state cannot be listed");
}

static void warm_up(struct run *run, struct handle *held)
{
	const char *name = run->script->update->name;

	if (run->plan->warmth == COLD)
		return;
	list(run);
	fetch(run, "still.txt", 4096);
	if (!file_of(run, 0, name))
		return;
	if (run->plan->warmth == WARM) {
		fetch(run, name, 1 << 18);
		return;
	}
	if (begin(run, held, name) != 0)
		broken(run, "alive: cannot open at rest");
	else if (run->plan->warmth == HELD)
		read_on(run, held, run->script->update->cluster_bytes);
}

/* ---- reports ------------------------------------------------------------- */

static struct run *the_run; /* whose clock it is */

static int64_t model_clock(void)
{
	return the_run->memory.now_ns;
}

/* Nobody else writes; but from a turn on, for a while, that has to be found out again. */
static void look(struct company *company, struct company_state *state)
{
	struct run *run = the_run;

	(void)company;
	if (run->plan->doubt && !run->doubt_ns && run->turns >= run->plan->doubt)
		run->doubt_ns = run->memory.now_ns;
	state->in_doubt = run->doubt_ns && run->memory.now_ns - run->doubt_ns < DOUBT_NS;
	state->alone = !state->in_doubt;
	state->doubt_ns = run->doubt_ns;
}

static void nobody(struct company *company, pid_t process)
{
	(void)company;
	(void)process;
}

static void forgotten(struct company *company, pid_t process, bool in_flight)
{
	(void)company;
	(void)process;
	(void)in_flight;
}

static void nothing(struct company *company)
{
	(void)company;
}

static void begin_reports(struct run *run)
{
	static const struct company_ops ops = { look, nobody, forgotten, nothing };
	static struct company company = { &ops };
	struct reports *reports;

	the_run = run;
	cr_assert_eq(reports_new(&company, &reports), 0);
	reports_set_clock(reports, model_clock);
	cache_image_report_to(run->reader.image, reports);
	cr_assert_eq(reporter_new(reports, &run->reporter), 0);
	report(run, "done\n"); /* it introduces itself */
	if (run->plan->posted) {
		run->ledger = mmap(NULL, sizeof(*run->ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		cr_assert_neq(run->ledger, MAP_FAILED);
		reporter_use_ledger(run->reporter, run->ledger);
	}
	run->memory.now_ns += SECOND;
}

/* ---- one plan ------------------------------------------------------------ */

static void run_init(struct run *run, const struct script *script, const struct plan *plan, bool trace)
{
	struct cache_settings settings = cache_settings_default;

	*run = (struct run){ .script = script, .plan = plan, .trace = trace };
	run->bytes = malloc(script->frames[0].size_bytes);
	memcpy(run->bytes, script->frames[0].bytes, script->frames[0].size_bytes);
	memory_device_init(&run->memory, plan->kind, run->bytes, script->frames[0].size_bytes);
	run->memory.grain_bytes = script->update->cluster_bytes;
	run->memory.turn = on_turn;
	run->memory.tick = on_tick;
	run->memory.owner = run;
	if (!plan->slow)
		run->pace_ns = FLUX_NS / 2 / (script->step_count + 1);
	else /* a sign and its bytes are two steps */
		run->pace_ns = plan->kind == DEVICE_EVENTS   ? FLUX_NS - 40 * MS :
			       plan->kind == DEVICE_REPORTED ? FLUX_NS / 3 - 15 * MS :
							       FLUX_NS / 2 - 20 * MS;
	settings.flux_ns = FLUX_NS;
	settings.temporary_directory = "/tmp";
	if (plan->large)
		settings.keep_limit_bytes = 0;
	reader_init_device(&run->reader, &settings, &run->memory.device);
	run->reader.memory = &run->memory;
	run->reader.keep_later = plan->later;
	if (plan->kind == DEVICE_REPORTED)
		begin_reports(run);
}

/* Returns what is wrong, or NULL. *turns: how many there were to choose from. */
static const char *run_plan(const struct script *script, const struct plan *plan, bool trace, unsigned *turns)
{
	struct handle held = { 0 };
	struct run run;

	run_init(&run, script, plan, trace);
	warm_up(&run, &held);
	run.open_for_writing = true;
	do_task(&run);
	if (held.opened && read_to_end(&run, &held, script->update->cluster_bytes) != 0 && run.reporter && !plan->rude)
		broken(&run, "kept: an open file was refused");
	*turns = run.turns;
	run.open_for_writing = false;
	while (run.done < script->step_count)
		do_step(&run);
	TRACE(&run, "  the writer is done\n");
	expect_the_end(&run);
	if (held.opened) {
		held.at = 0;
		if (read_to_end(&run, &held, script->update->cluster_bytes) != 0 && run.reporter && !plan->rude)
			broken(&run, "kept: an open file was refused");
	}
	run.memory.now_ns += 10 * SECOND;
	expect_the_end(&run);
	finish(&held);
	reporter_free(run.reporter);
	reader_end(&run.reader);
	free(run.bytes);
	return run.wrong;
}

/* ---- all runs ------------------------------------------------------------ */

static unsigned long runs;

static void check(const struct script *script, unsigned order, const struct plan *plan, unsigned *turns)
{
	const char *wrong = run_plan(script, plan, false, turns);

	runs++;
	if (!wrong)
		return;
	fprintf(stderr, "%s, order %u, device %d, warmth %d, task %d, second %u, doubt %u%s%s%s%s:\n",
		script->update->what, order, plan->kind, plan->warmth, plan->task, plan->second, plan->doubt,
		plan->rude ? ", rude" : plan->posted ? ", posted" : "", plan->large ? ", large" : "", plan->slow ? ", slow" : "",
		plan->later ? ", later" : "");
	run_plan(script, plan, true, turns);
	cr_assert_fail("%s: %s", script->update->what, wrong);
}

/* Every place for all writes at once; returns how many places there are. */
static unsigned check_one_burst(const struct script *script, unsigned order, struct plan *plan)
{
	unsigned turns = 0, most = 0;

	plan->bursts = 1;
	plan->second = plan->doubt = 0;
	plan->later = !plan->later;
	plan->until[0] = script->step_count;
	for (plan->at[0] = 0; plan->at[0] <= turns; plan->at[0]++) {
		check(script, order, plan, &turns);
		most = turns > most ? turns : most;
	}
	return most;
}

static unsigned random_below(uint64_t *state, unsigned limit)
{
	*state = *state * 6364136223846793005U + 1442695040888963407U;
	return (unsigned)((*state >> 33) % limit);
}

static int compare_unsigned(const void *a, const void *b)
{
	const unsigned *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static void check_random(const struct script *script, unsigned order, struct plan *plan, unsigned turns,
			 unsigned bursts, uint64_t *seed)
{
	unsigned ignored;

	plan->bursts = bursts;
	plan->later = random_below(seed, 2);
	plan->doubt = random_below(seed, 2) ? 1 + random_below(seed, turns + 1) : 0;
	plan->second = random_below(seed, 2) ? 1 + random_below(seed, turns + 1) : 0;
	for (unsigned i = 0; i < bursts; i++) {
		plan->at[i] = random_below(seed, turns + 1);
		plan->until[i] = 1 + random_below(seed, script->step_count);
	}
	qsort(plan->at, bursts, sizeof(unsigned), compare_unsigned);
	qsort(plan->until, bursts, sizeof(unsigned), compare_unsigned);
	check(script, order, plan, &ignored);
}

/* Every two places and every division of the writes between them and the end. */
static void check_two_bursts(const struct script *script, unsigned order, struct plan *plan)
{
	plan->bursts = 2;
	for (plan->until[0] = 1; plan->until[0] < script->step_count; plan->until[0]++) {
		unsigned turns = 1;

		plan->until[1] = script->step_count;
		for (plan->at[0] = 0; plan->at[0] <= turns; plan->at[0]++)
			for (plan->at[1] = plan->at[0] + 1, turns = plan->at[1]; plan->at[1] <= turns;
			     plan->at[1]++)
				check(script, order, plan, &turns);
	}
}

/*
 * How much of it is run: 1 is what a test run has time for, 0 what it has under
 * sanitizers; with 5 and more every two bursts are tried, which takes hours.
 */
static unsigned depth(void)
{
	const char *text = getenv("IMAGEFS_MODEL_DEPTH");

	return text ? (unsigned)atoi(text) : MODEL_DEPTH;
}

static unsigned orders_max(void)
{
	return depth() ? 12 * depth() : 3;
}

static unsigned random_plans(void)
{
	return depth() ? 20 * depth() : 5;
}

static void check_update(const struct update *update, struct plan *plan, uint64_t *seed)
{
	struct script script;
	unsigned all, some;

	script_make(&script, update);
	all = script_orders(&script);
	some = all < orders_max() ? all : orders_max();
	for (unsigned i = 0; i < some; i++) {
		unsigned order = i * all / some, turns;

		script_order(&script, order, plan->kind);
		turns = check_one_burst(&script, order, plan);
		for (unsigned j = 0; j < random_plans(); j++)
			check_random(&script, order, plan, turns, 2 + j % 2, seed);
		if (depth() > 4)
			check_two_bursts(&script, order, plan);
	}
	script_free(&script);
}

static void check_plan(struct plan plan)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < UPDATES; i++)
		for (plan.task = 0; plan.task < TASKS; plan.task++)
			for (plan.warmth = 0; plan.warmth < WARMTHS; plan.warmth++)
				check_update(&updates[i], &plan, &seed);
	fprintf(stderr, "%lu interleavings\n", runs);
}

static void check_all(enum device_kind kind, bool slow, bool large)
{
	check_plan((struct plan){ .kind = kind, .slow = slow, .large = large });
}

Test(cache_model, events)
{
	check_all(DEVICE_EVENTS, false, false);
}

Test(cache_model, events_slowly)
{
	check_all(DEVICE_EVENTS, true, false);
}

Test(cache_model, events_and_files_above_the_keep_limit)
{
	check_all(DEVICE_EVENTS, false, true);
}

Test(cache_model, times)
{
	check_all(DEVICE_TIMES, false, false);
}

Test(cache_model, times_and_files_above_the_keep_limit)
{
	check_all(DEVICE_TIMES, false, true);
}

Test(cache_model, nothing)
{
	check_all(DEVICE_NOTHING, false, false);
}

Test(cache_model, nothing_slowly_and_files_above_the_keep_limit)
{
	check_all(DEVICE_NOTHING, true, true);
}

Test(cache_model, reported)
{
	check_all(DEVICE_REPORTED, false, false);
}

Test(cache_model, reported_slowly_and_files_above_the_keep_limit)
{
	check_all(DEVICE_REPORTED, true, true);
}

Test(cache_model, posted)
{
	check_plan((struct plan){ .kind = DEVICE_REPORTED, .posted = true });
}

Test(cache_model, posted_slowly_and_files_above_the_keep_limit)
{
	check_plan((struct plan){ .kind = DEVICE_REPORTED, .posted = true, .slow = true, .large = true });
}

Test(cache_model, posted_and_not_waited_for)
{
	check_plan((struct plan){ .kind = DEVICE_REPORTED, .posted = true, .rude = true });
}
