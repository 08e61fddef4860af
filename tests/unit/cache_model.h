/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache_model: what the parts of the model check share. cache_model_script.c is what the
 * writer writes, cache_model_reader.c what a reader does and may see, cache_model.c puts
 * both in every order.
 */
#pragma once

#include <criterion/criterion.h>
#include <stdio.h>

#include "cache_feed.h"
#include "cache_page_feed.h"
#include "cache_reader.h"
#include "cache_volume.h"

#define FLUX_NS (200 * MS)
#define STEPS_MAX 64
#define FRAMES_MAX 6
#define FILES_MAX 4
#define BURSTS_MAX 3

/* The file that most updates are about. */
#define F_NAME "file-with-a-long-name.bin"

/* ---- cache_model_script.c -------------------------------------------------- */

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

enum phase {
	SIGN, /* only the sign of the write to come */
	BEGIN, /* it is told before it is done, */
	LAND,
	END, /* and when it was done */
};

struct step {
	unsigned frame; /* whose bytes are written */
	enum phase phase;
	uint64_t offset_bytes;
	size_t length_bytes;
	unsigned thread; /* that makes it; the kernel's number */
};

/* An update as the bytes of its frames, and the writes between them in one order. */
struct script {
	const struct update *update;
	struct small_volume frames[FRAMES_MAX];
	unsigned frame_count;
	struct step steps[STEPS_MAX];
	unsigned step_count;
};

extern const struct update updates[];
extern const size_t update_count;

/* The frames of an update; to be freed. */
void script_make(struct script *script, const struct update *update);
void script_free(struct script *script);

/* In how many orders its writes may be done; and put them into one of these. */
unsigned script_orders(const struct script *script);
void script_order(struct script *script, unsigned order, enum device_kind kind);

/* ---- one run: cache_model_run.c -------------------------------------------- */

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
	bool later;	 /* no copies are made in the background */
	bool unheard;	 /* the kernel is listened to from the first look on, and the writer may be there before */
	unsigned unit_shift; /* of the page that tells */
	bool restarts;	 /* the server of the page does, half way through */
	unsigned second; /* 0, or at which turn a second reader fetches the file, if the first reads data then
			  */
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
	struct memory_feed *feed;  /* or NULL */
	struct memory_page *page;  /* or NULL */
	bool restarted;		   /* its server */
	bool keeps;		   /* every write is told before and after it is done */
	bool in_step;		   /* what the writer's own step asks of the device is no turn */
	bool open_for_writing;
	bool second_done;
	int64_t last_step_ns, pace_ns;
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

void broken(struct run *run, const char *rule);

/*
 * The last frame whose writes are all done. The client may know it before the
 * server reports it.
 */
unsigned frames_done(const struct run *run);

/* The frame that was begun, or the last one done. */
unsigned frames_begun(const struct run *run);

/* Returns what is wrong, or NULL. *turns: how many there were to choose from. */
const char *run_plan(const struct script *script, const struct plan *plan, bool trace, unsigned *turns);

/* ---- cache_model_reader.c -------------------------------------------------- */

/* One open file. */
struct handle {
	const char *name;
	struct cache_node node;
	unsigned since;	 /* the last frame done when it was opened */
	unsigned states; /* that it may be, by its size and by what was read */
	uint64_t at;
	bool opened;
};

int read_to_end(struct run *run, struct handle *handle, size_t piece_bytes);
void finish(struct handle *handle);
void second_reader(struct run *run);
void do_task(struct run *run);
void expect_the_end(struct run *run);
void warm_up(struct run *run, struct handle *held);
