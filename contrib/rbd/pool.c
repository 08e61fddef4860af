/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

#include <stdio.h>

/* No cache of our own: librbd reads only snapshots here, which parents.h keeps. */
static int configure(struct pool *pool)
{
	static const char *const limited[] = { "rados_osd_op_timeout", "rados_mon_op_timeout",
					       "client_mount_timeout" };
	static const char *const restless[] = { "objecter_timeout", "objecter_tick_interval" };
	char seconds[16];
	int r = rados_conf_read_file(pool->cluster, pool->configuration);

	if (r == 0)
		r = rados_conf_parse_env(pool->cluster, NULL);
	if (r == 0)
		r = rados_conf_set(pool->cluster, "rbd_cache", "false");
	snprintf(seconds, sizeof(seconds), "%u", pool->timeout_seconds);
	for (size_t i = 0; i < sizeof(limited) / sizeof(limited[0]) && r == 0; i++)
		r = rados_conf_set(pool->cluster, limited[i], seconds);
	/*
	 * librados asks the monitors where an OSD is now only for an operation that has waited for objecter_timeout (10 s),
	 * which none does when it ends before: an OSD that was restarted would be looked for where it was, for ever.
	 */
	for (size_t i = 0; i < 2 && r == 0; i++)
		r = rados_conf_set(pool->cluster, restless[i], "0.5");
	return r;
}

static int open_pool(struct pool *pool, rados_ioctx_t *io, const char *name_space)
{
	int r = rados_ioctx_create(pool->cluster, pool->name, io);

	if (r == 0)
		rados_ioctx_set_namespace(*io, name_space ? name_space : "");
	return r;
}

static int connect_steps(struct pool *pool, const char **failed)
{
	int r;

	*failed = "rados_create";
	r = rados_create(&pool->cluster, pool->user);
	if (r < 0)
		return r;
	*failed = "its configuration cannot be read";
	r = configure(pool);
	if (r < 0)
		return r;
	*failed = "the cluster cannot be reached";
	r = rados_connect(pool->cluster);
	if (r < 0)
		return r;
	*failed = "the pool cannot be opened";
	r = open_pool(pool, &pool->io, pool->name_space);
	return r < 0 ? r : open_pool(pool, &pool->settings, NULL);
}

int pool_connect(struct pool *pool, const char **failed)
{
	int r = connect_steps(pool, failed);

	if (r < 0)
		pool_disconnect(pool);
	return r;
}

void pool_disconnect(struct pool *pool)
{
	if (pool->settings)
		rados_ioctx_destroy(pool->settings);
	if (pool->io)
		rados_ioctx_destroy(pool->io);
	if (pool->cluster)
		rados_shutdown(pool->cluster);
	pool->settings = pool->io = pool->cluster = NULL;
}
