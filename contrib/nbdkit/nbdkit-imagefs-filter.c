/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbdkit-imagefs-filter: tells imagefs, on any machine, what is written.
 *
 * Beside each export NAME it serves NAME@writes, a page that counts the writes to NAME
 * (pages.h; the format is imagefs-writes(7)). Whoever reads NAME through NBD sees by it what
 * was written since he last looked, and what is being written. No writer waits for that.
 *
 * Where imagefs= or imagefs-dir= is given, it reports each write to control files of an
 * imagefs on this machine as well, and waits for its answer (reports.h).
 *
 * An export of the plugin whose name ends in @writes cannot be reached: a client that could
 * make such an image would else say what a page says.
 *
 * Of images that nobody can write to by this server there is nothing to count, and whoever else
 * writes to them is not seen. So a server with -r has no pages; and one of an image that the plugin
 * only reads has no size, by which its readers know that it says nothing.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nbdkit-filter.h>

#include "base/cleanup.h"
#include "cache/changes/formats/writes_page.h"
#include "identity.h"
#include "pages.h"
#include "reports.h"

#define SUFFIX_LENGTH (sizeof(WRITES_PAGE_SUFFIX) - 1)
#define EXPORTS_MAX 10000   /* in a list; nbdkit refuses one that is longer */
#define NAME_BYTES_MAX 4096 /* of the protocol */

struct connection {
	struct page *page;	/* NULL: of one that cannot write */
	struct export *reports; /* NULL: none */
	char *page_of;		/* of a connection to a page: NAME; else NULL */
	char *key;		/* of a connection to a page: that of `page` */
};

/* ---- names ------------------------------------------------------------------------------- */

static bool is_page_name(const char *exportname)
{
	size_t length = strlen(exportname);

	return length >= SUFFIX_LENGTH &&
	       strcmp(exportname + length - SUFFIX_LENGTH, WRITES_PAGE_SUFFIX) == 0;
}

static int list_page(struct nbdkit_exports *exports, const struct nbdkit_export *of)
{
	CLEANUP_FREE char *name = NULL;

	if (strlen(of->name) + SUFFIX_LENGTH > NAME_BYTES_MAX || nbdkit_exports_count(exports) >= EXPORTS_MAX)
		return 0;
	if (asprintf(&name, "%s" WRITES_PAGE_SUFFIX, of->name) == -1) {
		name = NULL;
		return -1;
	}
	return nbdkit_add_export(exports, name, "what is written to it, for imagefs");
}

/* First all that the plugin has: a list that is full lacks pages only. Read-only there are none. */
static int imagefs_list_exports(nbdkit_next_list_exports *next, nbdkit_backend *nxdata, int readonly,
				int is_tls, struct nbdkit_exports *exports)
{
	struct nbdkit_exports *own = nbdkit_exports_new();
	struct nbdkit_export export;
	int r;

	(void)is_tls;
	if (!own)
		return -1;
	r = next(nxdata, readonly, own);
	for (size_t i = 0; r == 0 && i < nbdkit_exports_count(own); i++) {
		export = nbdkit_get_export(own, i);
		if (!is_page_name(export.name))
			r = nbdkit_add_export(exports, export.name, export.description);
	}
	for (size_t i = 0; r == 0 && !readonly && i < nbdkit_exports_count(own); i++) {
		export = nbdkit_get_export(own, i);
		if (!is_page_name(export.name))
			r = list_page(exports, &export);
	}
	nbdkit_exports_free(own);
	return r;
}

/* ---- connections --------------------------------------------------------------------- */

static void imagefs_close(void *handle)
{
	struct connection *connection = handle;

	pages_put(connection->page);
	reports_close(connection->reports);
	free(connection->page_of);
	free(connection->key);
	free(connection);
}

/* The plugin is not opened. */
static int open_page(struct connection *connection, int readonly, const char *exportname)
{
	connection->page_of = strndup(exportname, strlen(exportname) - SUFFIX_LENGTH);
	if (!connection->page_of)
		return -1;
	if (readonly || is_page_name(connection->page_of)) {
		errno = ENOENT;
		return -1;
	}
	connection->key = identity_of(connection->page_of);
	if (!connection->key)
		return -1;
	connection->page = pages_get(connection->key);
	return connection->page ? 0 : -1;
}

/*
 * The image that the plugin opened is the one that the name meant before and after. When
 * these are two, it is not known which writes are counted where.
 */
static int open_image(struct connection *connection, nbdkit_next_open *next, nbdkit_context *context,
		      int readonly, const char *exportname)
{
	CLEANUP_FREE char *before = NULL;
	CLEANUP_FREE char *after = NULL;

	if (readonly)
		return next(context, readonly, exportname);
	connection->reports = reports_open(exportname);
	before = identity_of(exportname);
	if (next(context, readonly, exportname) == -1)
		return -1;
	after = identity_of(exportname);
	if (!before || !after || strcmp(before, after) != 0) {
		nbdkit_error("imagefs: %s: was replaced while it was opened", exportname);
		return -1;
	}
	connection->page = pages_get(after);
	return connection->page ? 0 : -1;
}

static void *imagefs_open(nbdkit_next_open *next, nbdkit_context *context, int readonly,
			  const char *exportname, int is_tls)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int r;

	(void)is_tls;
	if (!connection)
		return NULL;
	if (is_page_name(exportname)) {
		r = open_page(connection, readonly, exportname);
		if (r == -1)
			nbdkit_debug("imagefs: %s: %m", exportname); /* clients may ask for any name, often */
	} else {
		r = open_image(connection, next, context, readonly, exportname);
	}
	if (r == -1) {
		imagefs_close(connection);
		return NULL;
	}
	return connection;
}

static int imagefs_prepare(nbdkit_next *next, void *handle, int readonly)
{
	struct connection *connection = handle;
	int64_t size_bytes;
	int writable;

	(void)readonly;
	if (!connection->page || connection->page_of)
		return 0;
	writable = next->can_write(next);
	size_bytes = writable == 1 ? next->get_size(next) : 0;
	if (writable < 0 || size_bytes < 0)
		return -1;
	if (writable == 0)
		return 0;
	page_set_image_size(connection->page, (uint64_t)size_bytes);
	return 0;
}

/* ---- writes ------------------------------------------------------------------------------ */

struct write {
	struct page_write counted;
	struct change reported;
};

static void begin(struct connection *connection, struct write *write, uint64_t offset_bytes,
		  uint32_t length_bytes)
{
	reports_begin(connection->reports, &write->reported, offset_bytes, length_bytes);
	if (connection->page)
		page_begin(connection->page, &write->counted, offset_bytes, length_bytes);
}

static void end(struct connection *connection, struct write *write)
{
	if (connection->page)
		page_end(connection->page, &write->counted);
	reports_end(connection->reports, &write->reported);
}

static int imagefs_pwrite(nbdkit_next *next, void *handle, const void *buf, uint32_t count, uint64_t offset,
			  uint32_t flags, int *err)
{
	struct write write;
	int r;

	begin(handle, &write, offset, count);
	r = next->pwrite(next, buf, count, offset, flags, err);
	end(handle, &write);
	return r;
}

static int imagefs_trim(nbdkit_next *next, void *handle, uint32_t count, uint64_t offset, uint32_t flags,
			int *err)
{
	struct write write;
	int r;

	begin(handle, &write, offset, count);
	r = next->trim(next, count, offset, flags, err);
	end(handle, &write);
	return r;
}

static int imagefs_zero(nbdkit_next *next, void *handle, uint32_t count, uint64_t offset, uint32_t flags,
			int *err)
{
	struct write write;
	int r;

	begin(handle, &write, offset, count);
	r = next->zero(next, count, offset, flags, err);
	end(handle, &write);
	return r;
}

/* ---- pages ------------------------------------------------------------------------------- */

/* The page of what NAME means now. Where that is another image than when it was opened, another instance says
 * so. */
static int read_page(const struct connection *connection, void *buf, uint32_t count, uint64_t offset,
		     int *err)
{
	CLEANUP_FREE char *key = identity_of(connection->page_of);
	struct page *page;

	if (!key) {
		*err = EIO;
		return -1;
	}
	if (strcmp(key, connection->key) == 0) {
		page_read(connection->page, buf, count, offset);
		return 0;
	}
	page = pages_get(key);
	if (!page) {
		*err = EIO;
		return -1;
	}
	page_read(page, buf, count, offset);
	pages_put(page);
	return 0;
}

static int imagefs_pread(nbdkit_next *next, void *handle, void *buf, uint32_t count, uint64_t offset,
			 uint32_t flags, int *err)
{
	const struct connection *connection = handle;

	return connection->page_of ? read_page(connection, buf, count, offset, err)
				   : next->pread(next, buf, count, offset, flags, err);
}

static int64_t imagefs_get_size(nbdkit_next *next, void *handle)
{
	const struct connection *connection = handle;

	return connection->page_of ? (int64_t)PAGES_EXPORT_BYTES : next->get_size(next);
}

static const char *imagefs_export_description(nbdkit_next *next, void *handle)
{
	const struct connection *connection = handle;

	return connection->page_of ? NULL : next->export_description(next);
}

#if NBDKIT_VERSION_MINOR >= 30
static int imagefs_block_size(nbdkit_next *next, void *handle, uint32_t *minimum, uint32_t *preferred,
			      uint32_t *maximum)
{
	const struct connection *connection = handle;

	if (!connection->page_of)
		return next->block_size(next, minimum, preferred, maximum);
	*minimum = *preferred = *maximum = 0; /* any */
	return 0;
}
#endif

/* What a page can; anything else can what is behind. */
#define CAN(what, of_a_page)                                                 \
	static int imagefs_##what(nbdkit_next *next, void *handle)           \
	{                                                                    \
		const struct connection *connection = handle;                \
                                                                             \
		return connection->page_of ? (of_a_page) : next->what(next); \
	}

CAN(can_write, 0)
CAN(can_flush, 0)
CAN(is_rotational, 0)
CAN(can_trim, 0)
CAN(can_zero, NBDKIT_ZERO_NONE)
CAN(can_fast_zero, 0)
CAN(can_extents, 0)
CAN(can_fua, NBDKIT_FUA_NONE)
CAN(can_multi_conn, 1)
CAN(can_cache, NBDKIT_CACHE_NONE)

/* ---- parameters --------------------------------------------------------------------- */

static int imagefs_config(nbdkit_next_config *next, nbdkit_backend *nxdata, const char *key,
			  const char *value)
{
	int r;

	if (strcmp(key, "imagefs-by-name") == 0) {
		r = nbdkit_parse_bool(value);
		if (r != -1)
			identity_set_by_name(r != 0);
		return r == -1 ? -1 : 0;
	}
	r = reports_config(key, value);
	if (r != 0)
		return r == 1 ? 0 : -1;
	if (identity_note_parameter(key, value) == -1)
		return -1;
	return next(nxdata, key, value);
}

static int imagefs_config_complete(nbdkit_next_config_complete *next, nbdkit_backend *nxdata)
{
	if (reports_config_complete() == -1)
		return -1;
	identity_settle();
	return next(nxdata);
}

static const char config_help[] =
	"imagefs=FILE           Report to the control file of the one image that is exported.\n"
	"imagefs-dir=DIR        Report to the control files there, named as the exports.\n"
	"imagefs-by-name=true   Each export of the plugin is an image of its own.";

static void imagefs_unload(void)
{
	reports_unload();
	identity_free();
}

/* What is not here passes through; nbdkit asks a page for none of it. */
static struct nbdkit_filter filter = {
	.name = "imagefs",
	.longname = "nbdkit imagefs filter",
	.description = "Tells imagefs(8) of writes: by NAME@writes, or before they are executed.",
	.unload = imagefs_unload,
	.config = imagefs_config,
	.config_complete = imagefs_config_complete,
	.config_help = config_help,
	.list_exports = imagefs_list_exports,
	.open = imagefs_open,
	.close = imagefs_close,
	.prepare = imagefs_prepare,
	.get_size = imagefs_get_size,
	.export_description = imagefs_export_description,
#if NBDKIT_VERSION_MINOR >= 30
	.block_size = imagefs_block_size,
#endif
	.can_write = imagefs_can_write,
	.can_flush = imagefs_can_flush,
	.is_rotational = imagefs_is_rotational,
	.can_trim = imagefs_can_trim,
	.can_zero = imagefs_can_zero,
	.can_fast_zero = imagefs_can_fast_zero,
	.can_extents = imagefs_can_extents,
	.can_fua = imagefs_can_fua,
	.can_multi_conn = imagefs_can_multi_conn,
	.can_cache = imagefs_can_cache,
	.pread = imagefs_pread,
	.pwrite = imagefs_pwrite,
	.trim = imagefs_trim,
	.zero = imagefs_zero,
};

/* What nbdkit looks for; its header defines it only. */
NBDKIT_DLL_PUBLIC struct nbdkit_filter *filter_init(void);
NBDKIT_REGISTER_FILTER(filter)
