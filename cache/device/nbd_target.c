/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/device/nbd_connect.h"
#include "cache/device/nbd_relay.h"
#include "cache/device/opener.h"

struct nbd_target *nbd_target_new(const char *text, const char *link)
{
	struct nbd_target *target = calloc(1, sizeof(*target));

	if (!target)
		return NULL;
	target->text = strdup(text);
	if (!target->text) {
		free(target);
		return NULL;
	}
	atomic_store(&target->references, 1);
	pthread_mutex_init(&target->lock, NULL);
	target->malformed = nbd_uri_parse(text, &target->uri);
	if (!target->malformed && target->uri.tls && !nbd_relay_available())
		target->malformed = "its URI wants TLS, and imagefs was built without GnuTLS";
	target->direct = link == NULL;
	snprintf(target->link, sizeof(target->link), "%s", link ? link : "");
	nbd_target_set_state(target, target->malformed ? NBD_FAILED : NBD_IDLE, target->malformed, "");
	return target;
}

struct nbd_target *nbd_target_beside(struct nbd_target *of, const char *suffix)
{
	struct nbd_target *target = nbd_target_new(of->text, of->direct ? NULL : "");

	if (!target || target->malformed)
		return target;
	if (asprintf(&target->export, "%s%s", target->uri.export, suffix) < 0) {
		target->export = NULL;
		nbd_target_unref(target);
		return NULL;
	}
	target->uri.export = target->export;
	target->of = nbd_target_ref(of);
	return target;
}

struct nbd_target *nbd_target_ref(struct nbd_target *target)
{
	atomic_fetch_add(&target->references, 1);
	return target;
}

void nbd_target_unref(struct nbd_target *target)
{
	if (!target || atomic_fetch_sub(&target->references, 1) != 1)
		return;
	nbd_uri_free(&target->uri);
	nbd_target_unref(target->of);
	free(target->export);
	pthread_mutex_destroy(&target->lock);
	free(target->text);
	free(target);
}

void nbd_target_found_at(struct nbd_target *target, const char *link)
{
	LOCK_SCOPE(&target->lock);
	if (strcmp(target->link, link) != 0)
		snprintf(target->link, sizeof(target->link), "%s", link);
}

static int connect_directly(struct nbd_target *target)
{
	int fd = nbd_connect(&target->uri, WAIT_NBD_CONNECT_NS);

	return fd >= 0 && target->uri.tls ? nbd_relay_start(fd, target->text) : fd;
}

int nbd_target_connect(struct nbd_target *target)
{
	char link[NAME_MAX + 1];

	if (target->of)
		return nbd_target_connect(target->of);
	if (target->malformed)
		return -EINVAL;
	if (target->direct)
		return connect_directly(target);
	pthread_mutex_lock(&target->lock);
	memcpy(link, target->link, sizeof(link));
	pthread_mutex_unlock(&target->lock);
	return opener_connect(link, target->text);
}

void nbd_target_set_state(struct nbd_target *target, enum nbd_state state, const char *problem, const char *details)
{
	LOCK_SCOPE(&target->lock);
	if (target->state != state || target->since_ns == 0)
		target->since_ns = clock_now_ns(CLOCK_MONOTONIC);
	target->state = state;
	/* While it is tried again what was wrong the last time is what there is to say. */
	if (state == NBD_CONNECTING)
		return;
	target->problem = problem;
	snprintf(target->details, sizeof(target->details), "%s", details ? details : "");
}

bool nbd_target_is_connecting(struct nbd_target *target)
{
	LOCK_SCOPE(&target->lock);
	return target->state == NBD_CONNECTING && !target->problem;
}

const char *nbd_target_problem(struct nbd_target *target)
{
	LOCK_SCOPE(&target->lock);
	if (!target->problem && target->state == NBD_CONNECTING)
		return "its block server has not answered yet";
	return target->problem;
}

void nbd_target_describe(struct nbd_target *target, char *text, size_t bytes)
{
	static const char *const words[] = {
		[NBD_IDLE] = "none", [NBD_CONNECTING] = "being made", [NBD_CONNECTED] = "connected", [NBD_FAILED] = "failed"
	};

	LOCK_SCOPE(&target->lock);
	snprintf(text, bytes, "%s for %.1f s%s%s%s%s", words[target->state],
		 (double)(clock_now_ns(CLOCK_MONOTONIC) - target->since_ns) / (double)WAIT_S, target->problem ? ": " : "",
		 target->problem ? target->problem : "", target->details[0] ? ": " : "", target->details);
}

const char *nbd_target_why(int error)
{
	switch (error) {
	case -EPERM:
		return "its URI names a host that the option nbd= does not allow";
	case -ESTALE:
		return "its link leads elsewhere by now";
	case -ENOENT:
		return "its block server's socket is not there";
	case -EINVAL:
		return "its link is no URI of a block server any more";
	case -ENXIO:
		return "its block server's name is not known";
	case -ETIMEDOUT:
		return "its block server does not answer";
	case -EPIPE:
		return "its URI wants TLS, and the process for that has ended: start imagefs again";
	case -ECONNREFUSED:
		return "its block server does not run";
	default:
		return "its block server cannot be connected to";
	}
}
