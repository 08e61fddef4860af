/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool: the connection to a Ceph cluster, and the pool whose images are served. Every operation
 * on it ends in time, with -ETIMEDOUT when the cluster does not answer: librados would wait for ever.
 * librados itself finds the cluster again.
 */
#pragma once

#include <stdbool.h>

#include <rados/librados.h>

struct pool {
	/* Set by the caller; borrowed. NULL: the default. */
	const char *name, *name_space;
	const char *configuration; /* a file: ceph.conf */
	const char *user;	   /* X of client.X */
	unsigned timeout_seconds;  /* for one operation */
	bool allow_writeback;	   /* policy.h only warns */

	/* By pool_connect. */
	rados_t cluster;
	rados_ioctx_t io;	/* name and name_space */
	rados_ioctx_t settings; /* name without a name space, where the pool's settings are */
};

/* 0 or -errno, and then *failed names what failed. It makes threads, which a fork leaves behind. */
int pool_connect(struct pool *pool, const char **failed);
void pool_disconnect(struct pool *pool); /* what is not connected is fine */
