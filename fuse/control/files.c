/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/waits.h"
#include "fuse/control/node.h"
#include "fuse/control/report.h"
#include "fuse/control/text.h"
#include "fuse/process/daemon.h"
#include "fuse/process/parallel.h"

/* ---- lookup --------------------------------------------------------------- */

struct lookup {
	struct job job; /* first */
	struct control_base *control;
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
	control_node_attributes(id, &entry.attr);
	/* The caller was interrupted: the kernel never hears of the node. */
	if (fuse_reply_entry(fuse, &entry) != 0)
		control_node_forget(id, 1);
}

static void answer_node(struct lookup *lookup, struct view_image *image, const struct stat *st)
{
	if (!atomic_exchange(&lookup->answered, true))
		answer_entry(lookup->fuse, (uintptr_t)control_node_new(lookup->control, lookup->name, image, st));
	view_image_put(image);
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
static void look_up_image(struct control_base *control, fuse_req_t fuse, const char *name)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));

	if (!lookup || !(lookup->name = strdup(name))) {
		free(lookup);
		fuse_reply_err(fuse, EIO);
		return;
	}
	lookup->control = control;
	lookup->fuse = fuse;
	lookup->until_ns = queue_now_ns() + WAIT_CONTROL_LOOKUP_NS;
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
	struct control_base *control = fuse_req_userdata(fuse);
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
	control_node_forget(id, count);
	fuse_reply_none(fuse);
}

/* ---- attributes ----------------------------------------------------------- */

static void op_getattr(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct stat st;

	(void)file;
	control_node_attributes(id, &st);
	fuse_reply_attr(fuse, &st, 0);
}

/* Who truncates or touches a log gets his way, and nothing happens. */
static void op_setattr(fuse_req_t fuse, fuse_ino_t id, struct stat *st, int to_set, struct fuse_file_info *file)
{
	(void)st;
	if (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		fuse_reply_err(fuse, EPERM);
	else if (!control_node_of(id))
		fuse_reply_err(fuse, EACCES);
	else
		op_getattr(fuse, id, file);
}

/* ---- open files ----------------------------------------------------------- */

/* An open file: for writing, for reading, or both. */
struct opened {
	struct report *report;
	struct snapshot *snapshot;
};

static void opened_free(struct opened *opened)
{
	if (opened->report)
		report_close(opened->report);
	snapshot_close(opened->snapshot);
	free(opened);
}

static void answer_open(fuse_req_t fuse, const struct fuse_file_info *file)
{
	/* Interrupted: there will be no release. */
	if (fuse_reply_open(fuse, file) != 0)
		opened_free((struct opened *)(uintptr_t)file->fh);
}

static struct opened *opened_for(struct control_base *control, fuse_ino_t id, uid_t user, int access)
{
	struct opened *opened = calloc(1, sizeof(*opened));
	bool failed = !opened;

	if (opened && access != O_RDONLY)
		failed = !(opened->report = report_new(control, control_node_of(id)));
	if (opened && access != O_WRONLY && !failed)
		failed = snapshot_new(control, id, user, &opened->snapshot) != 0;
	if (!failed)
		return opened;
	if (opened)
		opened_free(opened);
	return NULL;
}

static void op_open(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct control_base *control = fuse_req_userdata(fuse);
	int access = file->flags & O_ACCMODE;
	struct opened *opened;

	if (access != O_RDONLY && !control_node_of(id)) {
		fuse_reply_err(fuse, EACCES);
		return;
	}
	opened = opened_for(control, id, fuse_req_ctx(fuse)->uid, access);
	if (!opened) {
		fuse_reply_err(fuse, EIO);
		return;
	}
	file->fh = (uintptr_t)opened;
	file->direct_io = 1;
	if (opened->report)
		report_open(opened->report, fuse, file, answer_open);
	else
		answer_open(fuse, file);
}

static void op_read(fuse_req_t fuse, fuse_ino_t id, size_t size_bytes, off_t offset, struct fuse_file_info *file)
{
	struct opened *opened = (struct opened *)(uintptr_t)file->fh;

	(void)id;
	snapshot_read(opened->snapshot, fuse, size_bytes, offset);
}

static void op_write(fuse_req_t fuse, fuse_ino_t id, const char *bytes, size_t length_bytes, off_t offset,
		     struct fuse_file_info *file)
{
	struct opened *opened = (struct opened *)(uintptr_t)file->fh;

	(void)id;
	(void)offset; /* a log is appended to, whatever its writer thinks its length is */
	report_write(opened->report, fuse, bytes, length_bytes);
}

static void op_release(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	(void)id;
	opened_free((struct opened *)(uintptr_t)file->fh);
	fuse_reply_err(fuse, 0);
}

/* ---- the directory ---------------------------------------------------------- */

static void op_opendir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct snapshot *names;

	if (snapshot_new(fuse_req_userdata(fuse), id, fuse_req_ctx(fuse)->uid, &names) != 0) {
		fuse_reply_err(fuse, EIO);
		return;
	}
	file->fh = (uintptr_t)names;
	if (fuse_reply_open(fuse, file) != 0)
		snapshot_close(names);
}

static void op_readdir(fuse_req_t fuse, fuse_ino_t id, size_t size_bytes, off_t offset, struct fuse_file_info *file)
{
	(void)id;
	snapshot_read((struct snapshot *)(uintptr_t)file->fh, fuse, size_bytes, offset);
}

static void op_releasedir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	(void)id;
	snapshot_close((struct snapshot *)(uintptr_t)file->fh);
	fuse_reply_err(fuse, 0);
}

/* ---- what there is not: nothing can be added, and nothing taken away ------- */

/* There are control files for images, and for nothing else. */
static void op_create(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *file)
{
	(void)parent, (void)name, (void)mode, (void)file;
	fuse_reply_err(fuse, ENOENT);
}

static void op_mknod(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	(void)device;
	op_create(fuse, parent, name, mode, NULL);
}

static void op_unlink(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	(void)parent, (void)name;
	fuse_reply_err(fuse, EPERM);
}

static void op_mkdir(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)mode;
	op_unlink(fuse, parent, name);
}

static void op_symlink(fuse_req_t fuse, const char *text, fuse_ino_t parent, const char *name)
{
	(void)text;
	op_unlink(fuse, parent, name);
}

static void op_link(fuse_req_t fuse, fuse_ino_t id, fuse_ino_t parent, const char *name)
{
	(void)id;
	op_unlink(fuse, parent, name);
}

static void op_rename(fuse_req_t fuse, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
		      unsigned flags)
{
	(void)new_parent, (void)new_name, (void)flags;
	op_unlink(fuse, parent, name);
}

/* ---- the table ------------------------------------------------------------ */

/*
 * What one write may cost its neighbours, who wait while it is taken apart: writes of all reporters
 * are taken in the order in which they come, and who floods may have many under way.
 */
#define WRITE_BYTES_MAX 16384

static void op_init(void *userdata, struct fuse_conn_info *connection)
{
	(void)userdata;
	/* The lookup of a name that hangs must not hold up all others. */
	parallel_want(connection);
	connection->max_write = WRITE_BYTES_MAX;
}

const struct fuse_lowlevel_ops control_operations = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.release = op_release,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.releasedir = op_releasedir,
	.create = op_create,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_unlink,
	.symlink = op_symlink,
	.link = op_link,
	.rename = op_rename,
};
