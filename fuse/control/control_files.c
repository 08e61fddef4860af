/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_files: names and attributes of the control mount; the table of its
 * operations.
 *
 * Not implemented on purpose: flush and fsync (the kernel then lets them
 * succeed), extended attributes (which the kernel would ask for with every
 * write), access, locks.
 */
#include "fuse/control/control_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuse/process/daemon.h"
#include "fuse/process/parallel.h"

/*
 * A name that cannot be looked up within this time is taken for a control file:
 * a server's log must be there to be opened, whatever is the matter with the
 * image. The open that follows has as much again, so that both end in 500 ms.
 */
#define LOOKUP_NS (200 * INT64_C(1000000))

struct lane *control_lane_of_name(struct control *control, const char *name)
{
	size_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return &control->name_lanes[hash % CONTROL_NAME_LANES];
}

/* ---- nodes ---------------------------------------------------------------- */

static struct control_node *node_of(uint64_t id)
{
	return id >= CONTROL_IMAGES ? (struct control_node *)(uintptr_t)id : NULL;
}

/* Takes over `image` (or NULL), also when it returns NULL for want of memory. */
static struct control_node *node_new(const struct control *control, const char *name, struct view_image *image,
				     const struct stat *st)
{
	struct control_node *node = malloc(sizeof(*node));
	char *copy = strdup(name);

	if (!node || !copy) {
		free(node);
		free(copy);
		view_image_put(image);
		return NULL;
	}
	*node = (struct control_node){ .name = copy, .image = image, .lookups = 1 };
	/* Who may write to the image may report of it. */
	node->uid = st ? st->st_uid : getuid();
	node->gid = st ? st->st_gid : getgid();
	if (control->options->control_group_given)
		node->gid = control->options->control_group;
	return node;
}

static void node_forget(uint64_t id, uint64_t count)
{
	struct control_node *node = node_of(id);

	if (!node || atomic_fetch_sub(&node->lookups, count) != count)
		return;
	view_image_put(node->image);
	free(node->name);
	free(node);
}

static void attributes_of(uint64_t id, struct stat *st)
{
	const struct control_node *node = node_of(id);

	*st = (struct stat){ .st_mode = S_IFREG | 0444, .st_nlink = 1, .st_uid = getuid(), .st_gid = getgid() };
	if (node) {
		st->st_mode = S_IFREG | 0660;
		st->st_uid = node->uid;
		st->st_gid = node->gid;
	} else if (id == CONTROL_ROOT) {
		st->st_mode = S_IFDIR | 0755;
	}
	/* See control_files.h. */
	st->st_ino = id == CONTROL_ROOT ? id : cache_next_id();
	clock_gettime(CLOCK_REALTIME, &st->st_mtim);
	st->st_atim = st->st_ctim = st->st_mtim;
	st->st_blksize = 4096;
}

/* ---- lookup --------------------------------------------------------------- */

struct lookup {
	struct job job; /* first */
	struct control *control;
	fuse_req_t fuse;
	char *name;
	int64_t until_ns;
	atomic_bool answered;
};

static void answer_entry(fuse_req_t fuse, uint64_t id)
{
	struct fuse_entry_param entry = { .ino = id };

	if (id == 0) {
		fuse_reply_err(fuse, EIO);
		return;
	}
	attributes_of(id, &entry.attr);
	/* The caller was interrupted: the kernel never hears of the node. */
	if (fuse_reply_entry(fuse, &entry) != 0)
		node_forget(id, 1);
}

static void answer_node(struct lookup *lookup, struct view_image *image, const struct stat *st)
{
	if (atomic_exchange(&lookup->answered, true))
		view_image_put(image);
	else
		answer_entry(lookup->fuse, (uintptr_t)node_new(lookup->control, lookup->name, image, st));
}

static int64_t lookup_run(struct job *job)
{
	struct lookup *lookup = (struct lookup *)job;
	struct cache_op op = { .may_block = true };
	struct view_target target;
	int error = view_find_image(lookup->control->view, &op, lookup->name, &target);

	if (error == 0) {
		answer_node(lookup, target.image, &target.st);
	} else if (error == -ENOENT || error == -EIO || error == -ENAMETOOLONG) {
		if (!atomic_exchange(&lookup->answered, true))
			fuse_reply_err(lookup->fuse, -error);
	} else if (queue_now_ns() + op.retry_ns < lookup->until_ns) {
		return op.retry_ns > 0 ? op.retry_ns : 1; /* in flux: is it an image? */
	} else {
		answer_node(lookup, NULL, NULL);
	}
	return 0;
}

static void lookup_expire(struct job *job)
{
	answer_node((struct lookup *)job, NULL, NULL);
}

static void lookup_done(struct job *job)
{
	struct lookup *lookup = (struct lookup *)job;

	free(lookup->name);
	free(lookup);
}

/* Always a job: even SOURCE may be slow, and reports must not wait for it. */
static void look_up_image(struct control *control, fuse_req_t fuse, const char *name)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));

	if (!lookup || !(lookup->name = strdup(name))) {
		free(lookup);
		fuse_reply_err(fuse, EIO);
		return;
	}
	lookup->control = control;
	lookup->fuse = fuse;
	lookup->until_ns = queue_now_ns() + LOOKUP_NS;
	lookup->job = (struct job){
		.run = lookup_run,
		.done = lookup_done,
		.expire = lookup_expire,
		.lane = control_lane_of_name(control, name),
		.deadline_ns = lookup->until_ns,
	};
	if (queue_lane_stuck(lookup->job.lane)) {
		lookup_expire(&lookup->job);
		lookup_done(&lookup->job);
		return;
	}
	queue_submit(control->queue, &lookup->job);
}

static void op_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	struct control *control = fuse_req_userdata(fuse);
	uint64_t id = control_reserved_id(name);

	if (parent != CONTROL_ROOT)
		fuse_reply_err(fuse, ENOTDIR);
	else if (daemon_is_own_thread(fuse_req_ctx(fuse)->pid))
		fuse_reply_err(fuse, EIO);
	else if (id != 0)
		answer_entry(fuse, id);
	else
		look_up_image(control, fuse, name);
}

static void op_forget(fuse_req_t fuse, fuse_ino_t id, uint64_t count)
{
	node_forget(id, count);
	fuse_reply_none(fuse);
}

static void op_forget_multi(fuse_req_t fuse, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		node_forget(forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(fuse);
}

/* ---- attributes ----------------------------------------------------------- */

static void op_getattr(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct stat st;

	(void)file;
	attributes_of(id, &st);
	fuse_reply_attr(fuse, &st, 0);
}

/* Who truncates or touches a log gets his way, and nothing happens. */
static void op_setattr(fuse_req_t fuse, fuse_ino_t id, struct stat *st, int to_set, struct fuse_file_info *file)
{
	(void)st;
	if (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		fuse_reply_err(fuse, EPERM);
	else if (!node_of(id))
		fuse_reply_err(fuse, EACCES);
	else
		op_getattr(fuse, id, file);
}

/* ---- open files ----------------------------------------------------------- */

/* An open file: for writing, for reading, or both. */
struct handle {
	struct report *report;
	struct snapshot *snapshot;
};

static void handle_free(struct handle *handle)
{
	if (handle->report)
		report_close(handle->report);
	snapshot_close(handle->snapshot);
	free(handle);
}

void control_answer_open(fuse_req_t fuse, const struct fuse_file_info *file)
{
	/* Interrupted: there will be no release. */
	if (fuse_reply_open(fuse, file) != 0)
		handle_free((struct handle *)(uintptr_t)file->fh);
}

static void op_open(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct control *control = fuse_req_userdata(fuse);
	int access = file->flags & O_ACCMODE;
	struct handle *handle;

	if (access != O_RDONLY && !node_of(id)) {
		fuse_reply_err(fuse, EACCES);
		return;
	}
	handle = calloc(1, sizeof(*handle));
	if (handle && access != O_RDONLY)
		handle->report = report_new(control, node_of(id));
	if (handle && access != O_WRONLY)
		handle->snapshot = snapshot_new(control, id);
	if (!handle || (access != O_RDONLY && !handle->report) || (access != O_WRONLY && !handle->snapshot)) {
		if (handle)
			handle_free(handle);
		fuse_reply_err(fuse, EIO);
		return;
	}
	file->fh = (uintptr_t)handle;
	file->direct_io = 1;
	if (handle->report)
		report_open(handle->report, fuse, file);
	else
		control_answer_open(fuse, file);
}

static void op_read(fuse_req_t fuse, fuse_ino_t id, size_t size_bytes, off_t offset, struct fuse_file_info *file)
{
	struct handle *handle = (struct handle *)(uintptr_t)file->fh;

	(void)id;
	snapshot_read(handle->snapshot, fuse, size_bytes, offset);
}

static void op_write(fuse_req_t fuse, fuse_ino_t id, const char *bytes, size_t length_bytes, off_t offset,
		     struct fuse_file_info *file)
{
	struct handle *handle = (struct handle *)(uintptr_t)file->fh;

	(void)id;
	(void)offset; /* a log is appended to, whatever its writer thinks its length is */
	report_write(handle->report, fuse, bytes, length_bytes);
}

static void op_release(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	(void)id;
	handle_free((struct handle *)(uintptr_t)file->fh);
	fuse_reply_err(fuse, 0);
}

/* ---- the table ------------------------------------------------------------ */

static void op_init(void *userdata, struct fuse_conn_info *connection)
{
	(void)userdata;
	/* The lookup of a name that hangs must not hold up all others. */
	parallel_want(connection);
}

const struct fuse_lowlevel_ops control_operations = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.release = op_release,
	.opendir = control_opendir,
	.readdir = control_readdir,
	.releasedir = control_releasedir,
	.create = control_create,
	.mknod = control_mknod,
	.mkdir = control_mkdir,
	.unlink = control_unlink,
	.rmdir = control_unlink,
	.symlink = control_symlink,
	.link = control_link,
	.rename = control_rename,
};
