/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/announcements.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/checked.h"
#include "cache/changes/marks.h"
#include "cache/device/opener.h"

/* linux/fanotify.h since 6.14. */
#define INFO_TYPE_RANGE 6

struct info_range {
	struct fanotify_event_info_header header;
	uint32_t pad;
	uint64_t offset_bytes;
	uint64_t count_bytes;
};

#define DESCRIPTORS_KEPT 64

int announcements_open(struct announcements *announcements)
{
	unsigned flags = FAN_CLASS_PRE_CONTENT | FAN_REPORT_TID | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS;

	announcements->fd = fanotify_init(flags | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NONBLOCK);
	return announcements->fd < 0 ? -errno : 0;
}

void announcements_keep_descriptors(struct announcements *announcements)
{
	if (getrlimit(RLIMIT_NOFILE, &announcements->limit) != 0 || announcements->limit.rlim_cur < 4 * DESCRIPTORS_KEPT)
		return;
	announcements->limit.rlim_cur -= DESCRIPTORS_KEPT;
	setrlimit(RLIMIT_NOFILE, &announcements->limit);
	opener_keep_back((int)min_u64(announcements->limit.rlim_cur, INT_MAX));
}

/*
 * read(2), with descriptors that nobody else could take; how many are left cannot be known before. In this moment others can: who
 * keeps what he opens gives it back (opener_keep_back).
 */
static ssize_t read_events(struct announcements *announcements)
{
	bool raise = announcements->limit.rlim_cur < announcements->limit.rlim_max;
	struct rlimit raised = { announcements->limit.rlim_max, announcements->limit.rlim_max };
	ssize_t length;

	if (raise)
		setrlimit(RLIMIT_NOFILE, &raised);
	length = read(announcements->fd, announcements->buffer, sizeof(announcements->buffer));
	if (raise)
		setrlimit(RLIMIT_NOFILE, &announcements->limit);
	return length;
}

void announcements_drain(struct announcements *announcements, const struct announcements_taker *taker, void *context)
{
	int queued_bytes = 0;

	if (ioctl(announcements->fd, FIONREAD, &queued_bytes) != 0)
		return;
	/* Each turn takes at least one event, or ends. */
	for (int count = queued_bytes / (int)FAN_EVENT_METADATA_LEN; count > 0;) {
		ssize_t length = read_events(announcements);
		const char *at = announcements->buffer;

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0 && (errno == EMFILE || errno == ENFILE))
			taker->lost(context);
		if (length <= 0)
			return;
		/* FAN_EVENT_NEXT, but for its cast, of which clang warns: each event begins where the one before it ends. */
		for (const struct fanotify_event_metadata *event = (const void *)at; FAN_EVENT_OK(event, length); event = (const void *)at) {
			taker->take(context, event);
			length -= event->event_len;
			at += event->event_len;
			count--;
		}
	}
}

struct cache_range announcements_range(const struct fanotify_event_metadata *event)
{
	const char *at = (const char *)event + event->metadata_len, *end = (const char *)event + event->event_len;
	struct info_range info = { .count_bytes = (uint64_t)INT64_MAX };

	/* Each record says how long it is, and the kernel writes whole ones. */
	while (at + sizeof(info.header) <= end) {
		memcpy(&info.header, at, sizeof(info.header));
		if (info.header.info_type == INFO_TYPE_RANGE && at + sizeof(info) <= end) {
			memcpy(&info, at, sizeof(info));
			break;
		}
		if (info.header.len < sizeof(info.header))
			break;
		at += info.header.len;
	}
	/* No length: all from there on. A clone of a whole file (FICLONE) tells so. */
	if (info.count_bytes == 0)
		info.count_bytes = (uint64_t)INT64_MAX;
	return (struct cache_range){ info.offset_bytes,
				     min_u64(info.count_bytes, (uint64_t)INT64_MAX - info.offset_bytes) };
}

void announcements_allow(const struct announcements *announcements, int event_fd)
{
	struct fanotify_response response = { .fd = event_fd, .response = FAN_ALLOW };

	while (write(announcements->fd, &response, sizeof(response)) < 0 && errno == EINTR)
		;
}
