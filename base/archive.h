/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * archive: is a file no image, but what an image has to be unpacked or converted from; and by which command?
 *
 * By its first bytes, whatever it is called: a qcow2 may be named pi.img. All functions are pure but for what
 * they write, and may be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/text.h"

enum archive_kind {
	ARCHIVE_NONE,
	ARCHIVE_XZ,
	ARCHIVE_ZSTD,
	ARCHIVE_GZIP,
	ARCHIVE_BZIP2,
	ARCHIVE_ZIP,
	ARCHIVE_QCOW2, /* this and what follows are disks of virtual machines, which qemu-img converts */
	ARCHIVE_VMDK,
	ARCHIVE_VHDX,
	ARCHIVE_KINDS,
};

/* So many of the first bytes are looked at; fewer, if there are fewer. */
#define ARCHIVE_BYTES 21

static inline enum archive_kind archive_of_bytes(const void *bytes, size_t length)
{
	static const struct {
		enum archive_kind kind;
		size_t length;
		const char *magic;
	} magics[] = {
		{ ARCHIVE_XZ, 6, "\xfd\x37\x7a\x58\x5a" }, /* with its NUL */
		{ ARCHIVE_ZSTD, 4, "\x28\xb5\x2f\xfd" },
		{ ARCHIVE_GZIP, 3, "\x1f\x8b\x08" },
		{ ARCHIVE_BZIP2, 3, "BZh" },
		{ ARCHIVE_ZIP, 4, "PK\x03\x04" },
		{ ARCHIVE_QCOW2, 4, "QFI\xfb" },
		{ ARCHIVE_VMDK, 4, "KDMV" },
		{ ARCHIVE_VMDK, 4, "COWD" },
		{ ARCHIVE_VMDK, 21, "# Disk DescriptorFile" },
		{ ARCHIVE_VHDX, 8, "vhdxfile" },
	};

	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if (length >= magics[i].length && memcmp(bytes, magics[i].magic, magics[i].length) == 0)
			return magics[i].kind;
	return ARCHIVE_NONE;
}

/* What cannot be read, or not be read again (a pipe), is none. Blocks as `fd` does. */
static inline enum archive_kind archive_of_fd(int fd)
{
	unsigned char bytes[ARCHIVE_BYTES];
	ssize_t got = pread(fd, bytes, sizeof(bytes), 0);

	return got > 0 ? archive_of_bytes(bytes, (size_t)got) : ARCHIVE_NONE;
}

/* "xz" */
static inline const char *archive_kind_name(enum archive_kind kind)
{
	static const char *const names[ARCHIVE_KINDS] = { "image", "xz",    "zstd", "gzip", "bzip2",
							  "zip",   "qcow2", "VMDK", "VHDX" };

	return names[kind];
}

static inline bool archive_is_disk(enum archive_kind kind)
{
	return kind >= ARCHIVE_QCOW2;
}

/* "an xz archive": constant text. */
static inline const char *archive_text(enum archive_kind kind)
{
	static const char *const texts[ARCHIVE_KINDS] = {
		"an image",	 "an xz archive", "a zstd archive", "a gzip archive", "a bzip2 archive",
		"a zip archive", "a qcow2 image", "a VMDK image",   "a VHDX image"
	};

	return texts[kind];
}

/* What is wrong with it as an image: constant text. */
static inline const char *archive_problem(enum archive_kind kind)
{
	static const char *const texts[ARCHIVE_KINDS] = { "",
							  "it is an xz archive, and no image",
							  "it is a zstd archive, and no image",
							  "it is a gzip archive, and no image",
							  "it is a bzip2 archive, and no image",
							  "it is a zip archive, and no image",
							  "it is a qcow2 image, and not raw",
							  "it is a VMDK image, and not raw",
							  "it is a VHDX image, and not raw" };

	return texts[kind];
}

/*
 * The name of the image that comes of `file`, a name without a directory; for the caller to free, NULL: no
 * memory. It is `file` itself, if that is called as an image is.
 */
static inline char *archive_image_name(const char *file)
{
	static const char *const suffixes[] = { ".xz",	".zst",	  ".zstd", ".gz",  ".bz2",
						".zip", ".qcow2", ".vmdk", ".vhdx" };
	size_t length = strlen(file);
	char *name = (char *)malloc(length + sizeof(".img"));

	if (!name)
		return NULL;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		size_t suffix = strlen(suffixes[i]);

		if (length > suffix && strcasecmp(file + length - suffix, suffixes[i]) == 0) {
			length -= suffix;
			break;
		}
	}
	snprintf(name, length + 1, "%s", file);
	if (length < 5 || (strcmp(name + length - 4, ".img") != 0 && strcmp(name + length - 4, ".raw") != 0))
		strcpy(name + length, ".img");
	return name;
}

/* "DIRECTORY/NAME" as one word for a shell. `directory` "": none; an absolute name stays as it is. */
static inline void archive_write_path(FILE *out, const char *directory, const char *name, const char *suffix)
{
	size_t length = *name == '/' ? 0 : strlen(directory);
	char *path = (char *)malloc(length + strlen(name) + strlen(suffix) + 2);

	if (!path)
		return;
	sprintf(path, "%.*s%s%s%s", (int)length, directory,
		length > 0 && directory[length - 1] != '/' ? "/" : "", name, suffix);
	text_write_word(out, path);
	free(path);
}

/*
 * The command line that makes an image of `file`, as the file `image` (archive_image_name's) of `directory`.
 * One that is called as its image is to be gets another name first. `file` may be a path; relative, it is in
 * `directory`.
 */
static inline void archive_write_command(FILE *out, const char *directory, const char *file,
					 const char *image, enum archive_kind kind)
{
	static const char *const suffixes[ARCHIVE_KINDS] = { "",     ".xz",    ".zst",	".gz",	".bz2",
							     ".zip", ".qcow2", ".vmdk", ".vhdx" };
	const char *aside = strcmp(file, image) == 0 ? suffixes[kind] : "";

	if (*aside) {
		fputs("mv -i ", out);
		archive_write_path(out, directory, file, "");
		fputc(' ', out);
		archive_write_path(out, directory, file, aside);
		fputs(" && ", out);
	}
	fputs(archive_is_disk(kind) ? "qemu-img convert -O raw " : "imagefs-prep ", out);
	archive_write_path(out, directory, file, aside);
	fputc(' ', out);
	archive_write_path(out, directory, image, "");
}

/* Of a kind that nothing here unpacks, or that cannot be read: by its name. */
static inline bool archive_is_named(const char *name)
{
	static const char *const suffixes[] = { ".xz",	 ".gz",	 ".zst", ".bz2", ".zip", ".7z",	   ".lz4",
						".lzma", ".tgz", ".txz", ".tar", ".rar", ".qcow2", ".vmdk" };
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strcasecmp(dot, suffixes[i]) == 0)
			return true;
	return false;
}
