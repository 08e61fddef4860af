/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/wanted.h"

#include <errno.h>
#include <unistd.h>

#include "cache/changes/marks.h"

void wanted_add(struct wanted **list, struct wanted *wanted)
{
	wanted->next = *list;
	*list = wanted;
}

void wanted_remove(struct wanted **list, const struct wanted *wanted)
{
	while (*list != wanted)
		list = &(*list)->next;
	*list = wanted->next;
}

bool wanted_has(const struct wanted *list, dev_t device, ino_t inode)
{
	for (; list; list = list->next)
		if (list->device == device && list->inode == inode)
			return true;
	return false;
}

bool wanted_give(struct wanted *list, const struct fanotify_event_metadata *event)
{
	for (struct wanted *wanted = list; wanted; wanted = wanted->next) {
		if (wanted->thread != event->pid || wanted->fd >= 0 || !(event->mask & FAN_PRE_ACCESS))
			continue;
		wanted->fd = event->fd;
		return true;
	}
	return false;
}

int wanted_read(int noisy)
{
	char byte;
	ssize_t got;

	do
		got = pread(noisy, &byte, 1, 0);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : 0;
}
