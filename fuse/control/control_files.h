/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_files: the inside of control: its names, and what is behind them.
 *
 * Unlike in the main mount every lookup makes a node, and stat(2) shows another
 * inode number at every time: nbd-server guards its log by a semaphore named
 * after the file's number, and a child that is killed inside of a log write
 * would hang every later client of the same number. That each open file has an
 * inode to itself also means that the kernel, which lets one write at a time
 * into an inode, never has one server wait for another.
 */
#pragma once

#include <stdatomic.h>

#include "fuse/process/api.h"
#include "fuse/control/control.h"
#include "fuse/names/view_survey.h"

#define CONTROL_NAME_LANES 64

struct control {
	const struct options *options;
	struct view *view;
	struct cache *cache;
	struct queue *queue;
	struct asked *asked; /* what status tells of requests; borrowed, thread-safe */
	char *directory;
	bool remove_directory; /* at the end: it is ours */
	struct fuse_session *session;
	atomic_bool ending;
	int64_t started_ns;

	struct lane name_lanes[CONTROL_NAME_LANES]; /* names that are being looked for */
	struct lane status_lane;
	struct view_survey_lanes survey_lanes;
	_Atomic unsigned unattached; /* open control files that nothing is taken from (yet) */
};

/* Numbers of nodes; those of images are their addresses. */
enum control_id {
	CONTROL_ROOT = FUSE_ROOT_ID,
	CONTROL_STATUS,
	CONTROL_STATUS_JSON,
	CONTROL_METRICS,
	CONTROL_IMAGES,
};

/* A control file, as it was found by one lookup. Constant. */
struct control_node {
	_Atomic uint64_t lookups;
	char *name;
	struct view_image *image; /* a user; NULL: what the name leads to did not answer in time */
	uid_t uid;
	gid_t gid;
};

extern const struct fuse_lowlevel_ops control_operations;

/* Answer an open with `file`, or undo it when the caller is not there any more. */
void control_answer_open(fuse_req_t fuse, const struct fuse_file_info *file);

struct lane *control_lane_of_name(struct control *control, const char *name);

/* ---- control_dir.c -------------------------------------------------------- */

/* The id of a status file, 0 if the name is none's. */
uint64_t control_reserved_id(const char *name);

void control_opendir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file);
void control_readdir(fuse_req_t fuse, fuse_ino_t id, size_t size_bytes, off_t offset, struct fuse_file_info *file);
void control_releasedir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file);
void control_create(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *file);
void control_mknod(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, dev_t device);
void control_mkdir(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode);
void control_unlink(fuse_req_t fuse, fuse_ino_t parent, const char *name);
void control_symlink(fuse_req_t fuse, const char *text, fuse_ino_t parent, const char *name);
void control_link(fuse_req_t fuse, fuse_ino_t id, fuse_ino_t parent, const char *name);
void control_rename(fuse_req_t fuse, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
		    unsigned flags);

/* ---- control_report.c: files open for writing ----------------------------- */

struct report;

/* NULL: no memory. */
struct report *report_new(struct control *control, const struct control_node *node);

/* Find somebody who listens. Answers `fuse` (the open, with `file`) when it did, or when it takes too long. */
void report_open(struct report *report, fuse_req_t fuse, const struct fuse_file_info *file);

/* Take in what is written, and answer: always, in time, with all of it. */
void report_write(struct report *report, fuse_req_t fuse, const char *bytes, size_t length_bytes);

void report_close(struct report *report);

/* ---- control_text.c: files open for reading -------------------------------- */

struct snapshot;

/* Of the node with that number. NULL: no memory. */
struct snapshot *snapshot_new(struct control *control, uint64_t id);
void snapshot_close(struct snapshot *snapshot); /* NULL is fine */

/* Answer `fuse` with a piece of it. It is made anew for each read from its beginning. */
void snapshot_read(struct snapshot *snapshot, fuse_req_t fuse, size_t size_bytes, off_t offset);
