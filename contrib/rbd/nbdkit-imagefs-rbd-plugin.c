/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbdkit-imagefs-rbd-plugin: the images of a Ceph RBD pool, read-only, each by its name, and beside
 * each NAME its NAME@writes (page.h), whoever writes to it.
 *
 * It is a process of its own, so that no Ceph code is in imagefs. Other readers of NBD may
 * use it as well.
 *
 * A connection has one request at a time (nbdkit 1.32 with more threads ends when a
 * client goes with replies under way); what a request needs it asks for at once.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>
#include <rbd/librbd.h>

#include "base/cleanup.h"
#include "cache/changes/formats/writes_page.h"
#include "image.h"
#include "page.h"
#include "parents.h"
#include "policy.h"
#include "pool.h"
#include "reading.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS

#define SUFFIX_LENGTH (sizeof(WRITES_PAGE_SUFFIX) - 1)
#define NAME_BYTES_MAX 96 /* of an image; librbd's own limit */
#define EXPORTS_MAX 10000 /* in a list; nbdkit refuses one that is longer */

struct connection {
	char *name;  /* of the image */
	bool a_page; /* NAME@writes */
	struct image *image;
};

static struct pool pool = { .timeout_seconds = 5 };

/* ---- start ------------------------------------------------------------------------------ */

static int rbd_config(const char *key, const char *value)
{
	int64_t bytes;
	int r;

	if (strcmp(key, "pool") == 0)
		pool.name = nbdkit_strdup_intern(value);
	else if (strcmp(key, "namespace") == 0)
		pool.name_space = nbdkit_strdup_intern(value);
	else if (strcmp(key, "user") == 0)
		pool.user = nbdkit_strdup_intern(value);
	else if (strcmp(key, "config") == 0)
		pool.configuration = nbdkit_absolute_path(value); /* kept until the end */
	else if (strcmp(key, "timeout") == 0) {
		if (nbdkit_parse_unsigned("timeout", value, &pool.timeout_seconds) == -1)
			return -1;
		if (pool.timeout_seconds < 1 || pool.timeout_seconds > 300) {
			nbdkit_error("timeout=%s: not from 1 to 300 seconds", value);
			return -1;
		}
	} else if (strcmp(key, "cache-size") == 0) {
		bytes = nbdkit_parse_size(value);
		if (bytes < 0)
			return -1;
		parents_set_limit((uint64_t)bytes);
	} else if (strcmp(key, "allow-writeback") == 0) {
		r = nbdkit_parse_bool(value);
		if (r == -1)
			return -1;
		pool.allow_writeback = r != 0;
	} else {
		nbdkit_error("unknown parameter '%s'", key);
		return -1;
	}
	return 0;
}

static int rbd_config_complete(void)
{
	if (!pool.name || *pool.name == '\0') {
		nbdkit_error("pool=NAME is missing: the pool whose images are served");
		return -1;
	}
	return 0;
}

static int connect_pool(void)
{
	const char *failed;
	int r = pool_connect(&pool, &failed);

	if (r < 0)
		nbdkit_error("imagefs-rbd: pool %s: %s: %s", pool.name, failed, strerror(-r));
	return r;
}

/* One clear line, or none. */
static int try_pool(void)
{
	const char *objection;
	int r = connect_pool();

	if (r < 0)
		return r;
	objection = policy_of_pool(pool.io, &r);
	if (!objection || r < 0) {
		if (r < 0)
			nbdkit_error("imagefs-rbd: pool %s: %s: %s", pool.name, objection, strerror(-r));
		return r;
	}
	nbdkit_error("imagefs-rbd: %spool %s: %s: writers may keep to themselves what they have acknowledged "
		     "(rbd config pool set %s rbd_cache_policy writethrough, or allow-writeback=true)",
		     pool.allow_writeback ? "warning: " : "", pool.name, objection, pool.name);
	return pool.allow_writeback ? 0 : -EPERM;
}

/*
 * Who starts nbdkit is told what is wrong, before it goes to the background. In a process of its own:
 * librados has threads, which do not live on in the child that will serve.
 */
static int rbd_get_ready(void)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(try_pool() < 0);
	if (child == -1 || waitpid(child, &status, 0) == -1) {
		nbdkit_error("imagefs-rbd: fork: %m");
		return -1;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int rbd_after_fork(void)
{
	return connect_pool() < 0 ? -1 : 0;
}

/* librados has threads, whose code nbdkit takes away after this. */
static void rbd_unload(void)
{
	images_free();
	parents_free();
	pool_disconnect(&pool);
}

/* ---- exports --------------------------------------------------------------------------- */

static bool has_suffix(const char *name)
{
	size_t length = strlen(name);

	return length >= SUFFIX_LENGTH && strcmp(name + length - SUFFIX_LENGTH, WRITES_PAGE_SUFFIX) == 0;
}

/* As RBD has them; and printable, for our log. */
static bool is_image_name(const char *name)
{
	if (*name == '\0' || strlen(name) > NAME_BYTES_MAX)
		return false;
	for (const char *c = name; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f || *c == '/' || *c == '@')
			return false;
	return true;
}

static int list_image(struct nbdkit_exports *exports, const char *name, bool page)
{
	char page_name[NAME_BYTES_MAX + SUFFIX_LENGTH + 1];

	if (!is_image_name(name))
		return 0;
	snprintf(page_name, sizeof(page_name), "%s" WRITES_PAGE_SUFFIX, name);
	return nbdkit_add_export(exports, page ? page_name : name,
				 page ? "what is written to it, for imagefs" : NULL);
}

/* First all images: a list that is full lacks pages only. */
static int list_names(const rbd_image_spec_t *names, size_t count, struct nbdkit_exports *exports)
{
	int r = 0;

	for (size_t i = 0; i < 2 * count && i < EXPORTS_MAX && r == 0; i++)
		r = list_image(exports, names[i % count].name, i >= count);
	return r;
}

/* librbd says by -ERANGE how many there are; meanwhile there may be more. */
static int rbd_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
	rbd_image_spec_t *names = NULL;
	size_t count = 256;
	int r = -ERANGE;

	(void)readonly;
	(void)is_tls;
	for (int i = 0; i < 5 && r == -ERANGE; i++) {
		free(names);
		count += 64;
		names = calloc(count, sizeof(*names));
		r = names ? rbd_list2(pool.io, names, &count) : -ENOMEM;
	}
	if (r < 0) {
		nbdkit_error("imagefs-rbd: pool %s: cannot be listed: %s", pool.name, strerror(-r));
		free(names);
		return -1;
	}
	r = list_names(names, count, exports);
	rbd_image_spec_list_cleanup(names, count);
	free(names);
	return r;
}

/* ---- connections ----------------------------------------------------------------------- */

static void rbd_close_connection(void *handle)
{
	struct connection *connection = handle;

	image_put(connection->image);
	free(connection->name);
	free(connection);
}

/* Clients may ask for any name, often: what is not there is not worth a line. */
static int open_image(struct connection *connection, const char *exportname)
{
	int r = -ENOENT;

	connection->name = strdup(exportname);
	if (!connection->name)
		return -ENOMEM;
	connection->a_page = has_suffix(exportname);
	if (connection->a_page)
		connection->name[strlen(exportname) - SUFFIX_LENGTH] = '\0';
	if (is_image_name(connection->name))
		r = image_follow(&pool, connection->name, &connection->image);
	if (r == -ENOENT)
		nbdkit_debug("imagefs-rbd: no such image");
	else if (r < 0)
		nbdkit_error("imagefs-rbd: %s: cannot be opened: %s", connection->name, strerror(-r));
	return r;
}

static void *rbd_open_connection(int readonly)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int r;

	(void)readonly;
	if (!connection)
		return NULL;
	r = open_image(connection, nbdkit_export_name());
	if (r == 0)
		return connection;
	rbd_close_connection(connection);
	nbdkit_set_error(-r);
	return NULL;
}

static int64_t rbd_get_export_size(void *handle)
{
	const struct connection *connection = handle;

	return connection->a_page ? (int64_t)PAGE_BYTES : (int64_t)connection->image->layout.size_bytes;
}

static int rbd_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct connection *connection = handle;
	int r;

	(void)flags;
	r = connection->a_page ? page_read(&pool, connection->name, &connection->image, buffer, count, offset)
			       : image_read(&pool, &connection->image, buffer, count, offset);
	if (r == 0)
		return 0;
	nbdkit_error("imagefs-rbd: %s%s: %s", connection->name, connection->a_page ? WRITES_PAGE_SUFFIX : "",
		     r == -ENOENT ? "it was removed" : strerror(-r));
	nbdkit_set_error(EIO);
	return -1;
}

/* What was written before is seen by each of them. */
static int rbd_can_multi_conn(void *handle)
{
	(void)handle;
	return 1;
}

static const char config_help[] =
	"pool=NAME              (required) The pool whose images are served.\n"
	"namespace=NAME         Its name space.\n"
	"config=FILE            ceph.conf.\n"
	"user=ID                client.ID (client.admin).\n"
	"timeout=SECONDS        When the cluster does not answer: an error (5).\n"
	"cache-size=SIZE        Memory for what clones have in common (256M).\n"
	"allow-writeback=true   Only warn of writers that may keep writes to themselves.";

static struct nbdkit_plugin plugin = {
	.name = "imagefs-rbd",
	.longname = "nbdkit imagefs-rbd plugin",
	.description = "Ceph RBD images, read-only, each with NAME@writes for imagefs(8).",
	.unload = rbd_unload,
	.config = rbd_config,
	.config_complete = rbd_config_complete,
	.config_help = config_help,
	.magic_config_key = "pool",
	.get_ready = rbd_get_ready,
	.after_fork = rbd_after_fork,
	.list_exports = rbd_list_exports,
	.open = rbd_open_connection,
	.close = rbd_close_connection,
	.get_size = rbd_get_export_size,
	.can_multi_conn = rbd_can_multi_conn,
	.pread = rbd_pread,
};

/* What nbdkit looks for; its header defines it only. */
NBDKIT_DLL_PUBLIC struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
