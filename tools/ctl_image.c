/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/ctl_image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/cleanup.h"
#include "cache/tree/cache.h"
#include "cache/device/disk.h"
#include "cache/device/nbd.h"
#include "cache/device/nbd_export.h"
#include "cache/device/nbd_target.h"
#include "tools/ctl.h"
#include "tools/prep/journal.h"

/* Links that lead to links: no further than this (fuse/names/links.h has the same bound). */
#define LINKS_MAX 8

static const char *const suffixes[] = { "", ".img", ".raw" };

/* ---- names ---------------------------------------------------------------- */

/* The URI that `path` is, or is a link to. */
static bool read_uri(const char *path, char uri[PATH_MAX])
{
	ssize_t length;

	if (nbd_uri_is_one(path))
		return snprintf(uri, PATH_MAX, "%s", path) < PATH_MAX;
	length = readlink(path, uri, PATH_MAX - 1);
	uri[length > 0 ? length : 0] = '\0';
	return nbd_uri_is_one(uri);
}

bool image_stat(const char *path, struct stat *st)
{
	char uri[PATH_MAX];

	if (read_uri(path, uri)) {
		*st = (struct stat){ .st_mode = S_IFREG, .st_ino = (ino_t)nbd_uri_number(uri) };
		return true;
	}
	return stat(path, st) == 0 && (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode));
}

/* Cut the `:N` off. False: there is none. */
static bool split_number(char *name, unsigned *number)
{
	char *colon = strrchr(name, ':');

	if (!colon || colon == name || !colon[1] || strlen(colon) > 6 || colon[1 + strspn(colon + 1, "0123456789")])
		return false;
	*number = (unsigned)strtoul(colon + 1, NULL, 10);
	*colon = '\0';
	return true;
}

/* The file of `directory` that `name` is, or an empty path; *link is where a link leads that is no file. */
static void look_up(const char *directory, const char *name, char path[PATH_MAX], char link[PATH_MAX], struct stat *st)
{
	link[0] = '\0';
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		ssize_t length;

		if (snprintf(path, PATH_MAX, "%s/%s%s", directory, name, suffixes[i]) >= PATH_MAX)
			continue;
		if (image_stat(path, st))
			return;
		length = readlink(path, link, PATH_MAX - 1);
		link[length > 0 ? length : 0] = '\0';
		if (length > 0)
			break;
	}
	path[0] = '\0';
}

const char *image_name_in(const char *directory, const char *link)
{
	size_t length = strlen(directory);

	if (strncmp(link, directory, length) == 0 && link[length] == '/')
		return link + length + 1;
	return strncmp(link, "./", 2) == 0 ? link + 2 : link;
}

/* As the mount has it: `89025d75 -> jammy:3` is partition 3, whatever it goes through. */
bool image_find_in(const char *directory, const char *wanted, char path[PATH_MAX], unsigned *partition, struct stat *st)
{
	char name[PATH_MAX], link[PATH_MAX];
	unsigned number;

	snprintf(name, sizeof(name), "%s", wanted);
	for (int i = 0; i < LINKS_MAX && *name && *name != '.' && !strchr(name, '/'); i++) {
		look_up(directory, name, path, link, st);
		if (*path)
			return true;
		if (*link) {
			snprintf(name, sizeof(name), "%s", image_name_in(directory, link));
		} else if (split_number(name, &number)) {
			*partition = number;
		} else {
			return false;
		}
	}
	return false;
}

bool image_named(const char *directory, const char *name, struct stat *st)
{
	char path[PATH_MAX];
	unsigned partition;

	return image_find_in(directory, name, path, &partition, st);
}

bool image_same(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* ---- finding it ----------------------------------------------------------- */

void image_cut_suffix(char *name)
{
	size_t length = strlen(name);

	for (size_t i = 1; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (length > 4 && strcmp(name + length - 4, suffixes[i]) == 0)
			name[length - 4] = '\0';
}

int image_place_at(struct image_place *place, const char *path)
{
	char uri[PATH_MAX];
	bool remote = read_uri(path, uri);
	CLEANUP_FREE char *real = remote ? NULL : realpath(path, NULL);
	const char *slash = strrchr(path, '/');

	place->path = strdup(remote ? uri : path);
	place->directory = !slash || nbd_uri_is_one(path) ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	place->name = strdup(real ? strrchr(real, '/') + 1 : remote && slash && slash[1] ? slash + 1 : path);
	if (!place->path || !place->directory || !place->name)
		return ctl_fail(path, strerror(ENOMEM));
	image_cut_suffix(place->name);
	return OK;
}

static bool find_in_source(const char *source, const char *name, char path[PATH_MAX], struct image_place *place)
{
	CLEANUP_FREE char *copy = strdup(source);
	char *file = copy ? strrchr(copy, '/') : NULL;
	struct stat st;

	if (!file || (stat(source, &st) != 0 && !image_stat(source, &st)))
		return false;
	if (S_ISDIR(st.st_mode))
		return image_find_in(source, name, path, &place->partition, &place->st);
	place->st = st;
	snprintf(path, PATH_MAX, "%s", source);
	if (strcmp(++file, name) == 0)
		return true;
	image_cut_suffix(file);
	return strcmp(file, name) == 0;
}

static bool find_by_name(const char *control, const char *name, char path[PATH_MAX], struct image_place *place)
{
	char *sources[CONTROL_SOURCES_MAX];
	size_t count = strchr(name, '/') ? 0 : control_sources(control, sources);
	bool found = false;

	for (size_t i = 0; i < count; i++) {
		found = found || find_in_source(sources[i], name, path, place);
		free(sources[i]);
	}
	return found;
}

int image_find(const char *control, const char *argument, struct image_place *place)
{
	char path[PATH_MAX];
	struct stat st;

	*place = (struct image_place){ .partition = CACHE_PARTITION_BOOT };
	snprintf(path, sizeof(path), "%s", argument);
	if (strlen(argument) >= sizeof(path))
		return ctl_fail(argument, strerror(ENAMETOOLONG));
	if (image_stat(path, &place->st))
		return image_place_at(place, path);
	if (split_number(path, &place->partition) && image_stat(path, &place->st))
		return image_place_at(place, path);
	place->partition = CACHE_PARTITION_BOOT;
	if (find_by_name(control, argument, path, place))
		return image_place_at(place, path);
	if (stat(argument, &st) == 0)
		return ctl_fail(argument, "is neither a regular file nor a block device");
	return ctl_fail(argument, errno == ENOENT && !strchr(argument, '/') ?
					  "no such file, and no image or board of a running imagefs" :
					  strerror(errno));
}

void image_place_free(struct image_place *place)
{
	free(place->path);
	free(place->directory);
	free(place->name);
	*place = (struct image_place){ 0 };
}

void image_finish_change(const struct image_place *place)
{
	CLEANUP_FREE char *said = NULL;

	journal_finish(place->path, &said);
	if (said)
		ctl_fail("", said);
}

/* ---- archives --------------------------------------------------------------- */

static bool is_there(const char *directory, const char *name)
{
	CLEANUP_FREE char *path = NULL;

	return asprintf(&path, "%s/%s", directory, name) >= 0 && access(path, F_OK) == 0;
}

/*
 * What `path` is called in `directory`: of a board's link the file that it leads to, by its whole path where
 * that is elsewhere. A link that is called as an image is one. For the caller to free.
 */
static char *name_in(const char *path, const char *directory)
{
	const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
	CLEANUP_FREE char *shown = strdup(last), *real = realpath(path, NULL),
			  *here = realpath(directory, NULL);

	if (!shown || !real || !here)
		return strdup(last);
	image_cut_suffix(shown);
	if (strcmp(shown, last) != 0)
		return strdup(last);
	last = strrchr(real, '/') + 1;
	return strdup(strncmp(real, here, strlen(here)) == 0 && last == real + strlen(here) + 1 ? last
												: real);
}

char *image_archive(const char *path, const char *directory)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	enum archive_kind kind = fd < 0 ? ARCHIVE_NONE : archive_of_fd(fd);
	CLEANUP_FREE char *file = kind == ARCHIVE_NONE ? NULL : name_in(path, directory);
	CLEANUP_FREE char *image =
		file ? archive_image_name(strrchr(file, '/') ? strrchr(file, '/') + 1 : file) : NULL;
	char *text = NULL;
	size_t length;
	FILE *out = image ? open_memstream(&text, &length) : NULL;

	if (!out)
		return NULL;
	fprintf(out, "is %s: ", archive_text(kind));
	if (strcmp(image, file) != 0 && is_there(directory, image))
		fprintf(out, "%s is there already", image);
	else
		archive_write_command(out, directory, file, image, kind);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- its bytes ------------------------------------------------------------ */

static struct cache_device *open_remote(const char *uri, uint32_t *sector_bytes)
{
	struct nbd_target *target = nbd_target_new(uri, NULL);
	struct cache_device *device = NULL;
	int error = target ? nbd_device_new(target, &device) : -ENOMEM;
	struct nbd_look look;

	/* A connection may take longer than a look waits, and nobody here asks a second time. It has a limit of its own. */
	while (error == 0 && nbd_device_look_again(device, 0, &look) != 0 && nbd_target_is_connecting(target))
		;
	nbd_target_unref(target);
	*sector_bytes = 0;
	if (error != 0)
		ctl_fail(uri, strerror(-error));
	return device;
}

struct cache_device *image_open(const struct image_place *place, struct watch *watch, int64_t settle_ns,
				uint32_t *sector_bytes)
{
	struct disk_options options = { .ctime_lag_ns = settle_ns };
	struct cache_device *device;
	int fd, error;

	if (nbd_uri_is_one(place->path))
		return open_remote(place->path, sector_bytes);
	fd = open(place->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		ctl_fail(place->path, strerror(errno));
		return NULL;
	}
	error = disk_new(fd, watch, &options, &device); /* takes fd over */
	if (error != 0) {
		ctl_fail(place->path, strerror(-error));
		return NULL;
	}
	*sector_bytes = disk_sector_bytes(device);
	return device;
}

static int device_source_read(struct source *self, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	struct device_source *source = (struct device_source *)self;
	uint64_t start = round_down_u64(offset_bytes, CACHE_BLOCK_BYTES), end;
	int error;

	/* source_read has checked that the range is inside. */
	if (!round_up_u64(offset_bytes + length_bytes, CACHE_BLOCK_BYTES, &end))
		return -EIO;
	end = min_u64(end, self->size_bytes);
	if (end - start > source->room) {
		free(source->blocks);
		source->room = 0;
		source->blocks = malloc((size_t)(end - start));
		if (!source->blocks)
			return -ENOMEM;
		source->room = (size_t)(end - start);
	}
	error = source->device->ops->read_blocks(source->device, true, start, source->blocks, (size_t)(end - start));
	if (error == 0)
		memcpy(buffer, source->blocks + (offset_bytes - start), length_bytes);
	return error;
}

struct device_source device_source_of(struct cache_device *device, uint64_t size_bytes)
{
	return (struct device_source){
		.source = { .read = device_source_read, .size_bytes = size_bytes },
		.device = device,
	};
}

void device_source_free(struct device_source *source)
{
	free(source->blocks);
	source->blocks = NULL;
	source->room = 0;
}
