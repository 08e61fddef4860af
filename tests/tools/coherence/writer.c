/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <libnbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef HAVE_LIBISCSI
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#endif

#include "states.h"

enum kind_of_writer {
	NBD,
	ISCSI,
	FILE_,
	DIRECT,
	DD,
};

#define ALIGNED_BYTES ((size_t)1 << 20)

struct writer {
	enum kind_of_writer kind;
	bool fua, flush, notrim;
	char *path;
	int fd;
	void *aligned; /* DIRECT */
	struct nbd_handle *nbd;
#ifdef HAVE_LIBISCSI
	struct iscsi_context *iscsi;
	int lun;
#endif
};

/* ---- iSCSI --------------------------------------------------------------- */

#ifdef HAVE_LIBISCSI
#define SECTOR 512U

static void iscsi_connect_to(struct writer *writer, const char *text)
{
	struct iscsi_url *url;

	writer->iscsi = iscsi_create_context("iqn.2024-01.test:writer");
	if (!writer->iscsi)
		die("no iSCSI context");
	url = iscsi_parse_full_url(writer->iscsi, text);
	if (!url)
		die("%s: %s", text, iscsi_get_error(writer->iscsi));
	iscsi_set_targetname(writer->iscsi, url->target);
	iscsi_set_session_type(writer->iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_header_digest(writer->iscsi, ISCSI_HEADER_DIGEST_NONE);
	if (iscsi_full_connect_sync(writer->iscsi, url->portal, url->lun) != 0)
		die("%s: %s", text, iscsi_get_error(writer->iscsi));
	writer->lun = url->lun;
	iscsi_destroy_url(url);
}

static bool iscsi_done(struct writer *writer, struct scsi_task *task, bool may_fail)
{
	bool good = task && task->status == SCSI_STATUS_GOOD;

	if (!good && !may_fail)
		die("%s: %s", writer->path, iscsi_get_error(writer->iscsi));
	if (task)
		scsi_free_scsi_task(task);
	return good;
}

static void iscsi_write(struct writer *writer, uint64_t offset, const unsigned char *bytes, size_t length)
{
	iscsi_done(writer,
		   iscsi_write10_sync(writer->iscsi, writer->lun, (uint32_t)(offset / SECTOR), (unsigned char *)bytes,
				      (uint32_t)length, SECTOR, 0, 0, writer->fua, 0, 0),
		   false);
}

static void iscsi_read(struct writer *writer, uint64_t offset, unsigned char *bytes, size_t length)
{
	struct scsi_task *task = iscsi_read10_sync(writer->iscsi, writer->lun, (uint32_t)(offset / SECTOR),
						   (uint32_t)length, SECTOR, 0, 0, 0, 0, 0);

	if (task && task->status == SCSI_STATUS_GOOD && task->datain.size == (int)length)
		memcpy(bytes, task->datain.data, length);
	else
		die("%s: read: %s", writer->path, iscsi_get_error(writer->iscsi));
	scsi_free_scsi_task(task);
}

static bool iscsi_trim(struct writer *writer, uint64_t offset, size_t length)
{
	struct unmap_list list = { .lba = offset / SECTOR, .num = (uint32_t)(length / SECTOR) };

	return iscsi_done(writer, iscsi_unmap_sync(writer->iscsi, writer->lun, 0, 0, &list, 1), true);
}

static bool iscsi_zero(struct writer *writer, uint64_t offset, size_t length)
{
	unsigned char zeros[SECTOR] = { 0 };

	return iscsi_done(writer,
			  iscsi_writesame10_sync(writer->iscsi, writer->lun, (uint32_t)(offset / SECTOR), zeros,
						 sizeof(zeros), (uint16_t)(length / SECTOR), 0, 0, 0, 0),
			  true);
}
#endif

/* ---- files --------------------------------------------------------------- */

static void file_write(struct writer *writer, uint64_t offset, const unsigned char *bytes, size_t length)
{
	if (writer->kind == DIRECT) {
		if (length > ALIGNED_BYTES)
			die("too long a part");
		memcpy(writer->aligned, bytes, length);
		bytes = writer->aligned;
	}
	if (pwrite(writer->fd, bytes, length, (off_t)offset) != (ssize_t)length)
		die("%s: pwrite: %s", writer->path, strerror(errno));
}

static void file_read(struct writer *writer, uint64_t offset, unsigned char *bytes, size_t length)
{
	void *into = writer->kind == DIRECT ? writer->aligned : bytes;

	if (length > ALIGNED_BYTES && into != bytes)
		die("too long a part");
	if (pread(writer->fd, into, length, (off_t)offset) != (ssize_t)length)
		die("%s: pread: %s", writer->path, strerror(errno));
	if (into != bytes)
		memcpy(bytes, into, length);
}

static void dd_write(struct writer *writer, uint64_t offset, const unsigned char *bytes, size_t length)
{
	char of[4200], seek[64], bs[64];
	int ends[2], status;
	pid_t child;

	snprintf(of, sizeof(of), "of=%s", writer->path);
	snprintf(seek, sizeof(seek), "seek=%lu", offset);
	snprintf(bs, sizeof(bs), "bs=%zu", length);
	if (pipe2(ends, O_CLOEXEC) != 0)
		die("pipe: %s", strerror(errno));
	fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
	child = vfork();
	if (child == 0) {
		dup2(ends[0], 0);
		execlp("dd", "dd", of, seek, bs, "oflag=seek_bytes", "iflag=fullblock", "count=1", "conv=notrunc",
		       "status=none", (char *)NULL);
		_exit(127);
	}
	close(ends[0]);
	if (child < 0 || write(ends[1], bytes, length) != (ssize_t)length)
		die("dd: %s", strerror(errno));
	close(ends[1]);
	if (waitpid(child, &status, 0) != child || status != 0)
		die("dd: status %d", status);
}

/* ---- any ----------------------------------------------------------------- */

static bool nbd_ok(int result, bool may_fail)
{
	if (result != 0 && !may_fail)
		die("%s", nbd_get_error());
	return result == 0;
}

size_t writer_block_bytes(const struct writer *writer)
{
	return writer->kind == DIRECT ? 4096 : 512;
}

void writer_write(struct writer *writer, uint64_t offset, const unsigned char *bytes, size_t length)
{
	switch (writer->kind) {
	case NBD:
		nbd_ok(nbd_pwrite(writer->nbd, bytes, length, offset, writer->fua ? LIBNBD_CMD_FLAG_FUA : 0), false);
		break;
#ifdef HAVE_LIBISCSI
	case ISCSI:
		iscsi_write(writer, offset, bytes, length);
		break;
#endif
	case DD:
		dd_write(writer, offset, bytes, length);
		break;
	default:
		file_write(writer, offset, bytes, length);
	}
}

void writer_end(struct writer *writer)
{
	if (!writer->flush)
		return;
	switch (writer->kind) {
	case NBD:
		nbd_ok(nbd_flush(writer->nbd, 0), false);
		break;
#ifdef HAVE_LIBISCSI
	case ISCSI:
		iscsi_done(writer, iscsi_synchronizecache10_sync(writer->iscsi, writer->lun, 0, 0, 0, 0), false);
		break;
#endif
	default:
		if (fsync(writer->fd) != 0)
			die("%s: fsync: %s", writer->path, strerror(errno));
	}
}

void writer_read(struct writer *writer, uint64_t offset, unsigned char *bytes, size_t length)
{
	switch (writer->kind) {
	case NBD:
		nbd_ok(nbd_pread(writer->nbd, bytes, length, offset, 0), false);
		break;
#ifdef HAVE_LIBISCSI
	case ISCSI:
		iscsi_read(writer, offset, bytes, length);
		break;
#endif
	default:
		file_read(writer, offset, bytes, length);
	}
}

bool writer_trim(struct writer *writer, uint64_t offset, size_t length)
{
	if (writer->notrim)
		return false;
	switch (writer->kind) {
	case NBD:
		return nbd_can_trim(writer->nbd) > 0 &&
		       nbd_ok(nbd_trim(writer->nbd, length, offset, writer->fua ? LIBNBD_CMD_FLAG_FUA : 0), true);
#ifdef HAVE_LIBISCSI
	case ISCSI:
		return iscsi_trim(writer, offset, length);
#endif
	case DD:
		return false;
	default:
		return fallocate(writer->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				 (off_t)length) == 0;
	}
}

bool writer_zero(struct writer *writer, uint64_t offset, size_t length)
{
	switch (writer->kind) {
	case NBD:
		return nbd_can_zero(writer->nbd) > 0 &&
		       nbd_ok(nbd_zero(writer->nbd, length, offset, writer->fua ? LIBNBD_CMD_FLAG_FUA : 0), true);
#ifdef HAVE_LIBISCSI
	case ISCSI:
		return iscsi_zero(writer, offset, length);
#endif
	case DD:
		return false;
	default:
		return fallocate(writer->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
				 (off_t)length) == 0;
	}
}

static void open_file(struct writer *writer)
{
	writer->fd = open(writer->path, O_RDWR | O_CLOEXEC | (writer->kind == DIRECT ? O_DIRECT : 0));
	if (writer->fd < 0)
		die("%s: %s", writer->path, strerror(errno));
	if (writer->kind == DIRECT && !(writer->aligned = aligned_alloc(4096, ALIGNED_BYTES)))
		die("no memory");
}

static void open_nbd(struct writer *writer)
{
	writer->nbd = nbd_create();
	if (!writer->nbd || nbd_connect_uri(writer->nbd, writer->path) != 0)
		die("%s", nbd_get_error());
}

struct writer *writer_open(const char *what)
{
	static const char *const kinds[] = { [NBD] = "nbd", [ISCSI] = "iscsi", [FILE_] = "file", [DIRECT] = "direct",
					     [DD] = "dd" };
	struct writer *writer = allocate(sizeof(*writer));
	size_t words = strcspn(what, ":"), length = strcspn(what, ",:"), kind = 0;

	while (kind < 5 && (strlen(kinds[kind]) != length || strncmp(what, kinds[kind], length) != 0))
		kind++;
	if (kind == 5 || what[words] != ':')
		die("%s: what writer is that?", what);
	*writer = (struct writer){
		.kind = (enum kind_of_writer)kind,
		.fua = memmem(what, words, ",fua", 4) != NULL,
		.flush = memmem(what, words, ",flush", 6) != NULL,
		.notrim = memmem(what, words, ",notrim", 7) != NULL,
		.path = strdup(what + words + 1),
		.fd = -1,
	};
	if (!writer->path)
		die("no memory");
	switch (writer->kind) {
	case NBD:
		open_nbd(writer);
		break;
	case ISCSI:
#ifdef HAVE_LIBISCSI
		iscsi_connect_to(writer, writer->path);
#else
		die("built without libiscsi");
#endif
		break;
	default:
		open_file(writer);
	}
	return writer;
}

void writer_close(struct writer *writer)
{
	if (writer->nbd) {
		nbd_shutdown(writer->nbd, 0);
		nbd_close(writer->nbd);
	}
#ifdef HAVE_LIBISCSI
	if (writer->iscsi) {
		iscsi_logout_sync(writer->iscsi);
		iscsi_destroy_context(writer->iscsi);
	}
#endif
	if (writer->fd >= 0)
		close(writer->fd);
	free(writer->aligned);
	free(writer->path);
	free(writer);
}
