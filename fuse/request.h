/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request: one FUSE request on its way to an answer.
 *
 * Each kind of request has one function that tries it. It is called at once on
 * libfuse's thread, where it must not wait; if it has to, the request becomes a
 * job (queue.h) and the same function is called again where it may. Whoever
 * claims a request first answers it: its function, or the clock (C6).
 */
#pragma once

#include "fuse/process/api.h"
#include "fuse/names/asked.h"
#include "fuse/inode.h"
#include "fuse/process/options.h"
#include "fuse/process/patience.h"
#include "fuse/process/queue.h"
#include "fuse/names/view.h"

/* The mounted filesystem; constant after start. */
struct imagefs {
	const struct options *options;
	struct view *view;
	struct inodes *inodes;
	struct queue *queue;
	struct patience patience;
	struct asked asked;
	struct lane root_lane; /* jobs about SOURCE itself */
	void (*answering)(struct imagefs *fs); /* called once, when the kernel is being answered */
	struct stat source_stat;
};

struct request;

/*
 * Try it. 0: it was answered. -EAGAIN, -EINPROGRESS: as in cache.h. Any other
 * negative value: an error for the caller of the system call.
 */
typedef int (*request_try)(struct request *request, struct cache_op *op);

struct request {
	struct job job; /* first */
	fuse_req_t fuse;
	pid_t caller; /* the thread, or 0 */
	request_try attempt;
	struct imagefs *fs;
	struct inode *inode; /* referenced for the request */
	char *name;	     /* lookup */
	uint64_t offset_bytes;
	size_t length_bytes;
	struct fuse_file_info file;
	bool large; /* may have to read the whole file: given time by its size */
	int64_t patience_ns; /* CLOCK_MONOTONIC: until then flux is waited for; 0: it did not have to wait */
	atomic_bool answered;
};

/* Begin the request on inode `id` and see it through. The rest of `request` is set by the caller. */
void request_start(struct request *request, fuse_req_t fuse, uint64_t id, request_try attempt);

/* Do something for the inode of `request` that nobody waits for. */
void request_in_background(const struct request *request, request_try attempt);

/* May this thread answer? At most once true. Whoever gets false undoes what it did. */
bool request_claim(struct request *request);

/* ops_dir.c, ops_file.c */
int try_lookup(struct request *request, struct cache_op *op);
int try_getattr(struct request *request, struct cache_op *op);
int try_readlink(struct request *request, struct cache_op *op);
int try_opendir(struct request *request, struct cache_op *op);
int try_open(struct request *request, struct cache_op *op);
int try_read(struct request *request, struct cache_op *op);
int try_statfs(struct request *request, struct cache_op *op);
void op_readdir(fuse_req_t fuse, fuse_ino_t id, size_t size_bytes, off_t offset, struct fuse_file_info *file);
void op_releasedir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file);

/* request_asked.c: what status tells of requests. After request_claim. */
void request_opened(const struct request *request);
void request_absent(const struct request *request);
void request_failed(const struct request *request);

/* attributes.c */
void stat_of_attributes(const struct imagefs *fs, const struct cache_attributes *attributes, struct stat *st);
void stat_of_directory(const struct imagefs *fs, uint64_t id, int64_t modified_seconds, struct stat *st);
void stat_of_link(const struct imagefs *fs, uint64_t id, const struct view_target *target, struct stat *st);

/* The root directory of an image inode, or of the root when SOURCE is one image. A user of it. */
int image_root_of(struct request *request, struct cache_op *op, struct cache_dir **dir, struct view_image **image);

/* Files never change under their number: their attributes are good for ever. */
#define ATTRIBUTES_FOR_EVER 86400.0

/*
 * Those of directories come fresh with every lookup, and need to last just long
 * enough for the permission check that follows it (which would otherwise ask
 * again, and double the price of a path). Only the time stamp of a directory
 * that is held open can be seen to be this old.
 */
#define ATTRIBUTES_FOR_A_WALK 0.01

/* The table of operations, for fuse_session_new. */
extern const struct fuse_lowlevel_ops imagefs_operations;
