/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists a tree the way a reader sees it: the same program in a guest, on the kernel's own
 * vfat, and here, on imagefs, so that what differs is the filesystem.
 *
 *   lister tree KEY DIRECTORY    list a directory
 *   lister disks COUNT           (in the guest) mount each partition of the SCSI disks with
 *                                the LUNs 0 .. COUNT - 1, and each disk as a whole, with
 *                                vfat as Debian and Raspberry Pi OS do, and list it
 *
 * A line is KEY, PATH, TYPE, SIZE, MTIME, CONTENT, SPELLINGS, by tabs. KEY of a partition is
 * LUN:NUMBER, 0 for the whole disk. Bytes of PATH that are no visible ASCII and below 0x80
 * are \xNN. TYPE is f, d, o; e for an entry that is listed but cannot be looked up, r for
 * the root, x a directory that cannot be read (to its end), m what cannot be mounted. CONTENT of a file is its SHA-256, of a directory nothing; or the error's
 * name. SPELLINGS says what the name leads to in upper-case ASCII, in lower case, and with
 * a dot behind it: = the same, ! something else, or the error.
 *
 * Static, so that it needs nothing where it runs. Bounded: LEVELS_MAX, ENTRIES_MAX, CONTENT_BYTES_MAX.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sha256.h"

#define LEVELS_MAX 6
#define ENTRIES_MAX 20000
#define NAME_BYTES 1024
#define CONTENT_BYTES_MAX (32 << 20) /* of a larger file the beginning is hashed */
#define DISK_WAIT_MS 60000

static unsigned entries_left;

static const char *error_name(int error)
{
	static char number[16];

	switch (error) {
	case ENOENT:
		return "ENOENT";
	case EIO:
		return "EIO";
	case ESTALE:
		return "ESTALE";
	case EINVAL:
		return "EINVAL";
	case ENOTDIR:
		return "ENOTDIR";
	case ENAMETOOLONG:
		return "ENAMETOOLONG";
	default:
		snprintf(number, sizeof(number), "E%d", error);
		return number;
	}
}

static void print_path(const char *path)
{
	for (const unsigned char *c = (const unsigned char *)path; *c; c++) {
		if (*c <= ' ' || *c == 0x7f || *c == '\\')
			printf("\\x%02x", *c);
		else
			putchar(*c);
	}
}

static void print_line(const char *key, const char *path, char type, const struct stat *status, const char *content,
		       const char *spellings)
{
	printf("%s\t", key);
	print_path(path);
	printf("\t%c\t%lld\t%lld\t%s\t%s\n", type, (long long)status->st_size, (long long)status->st_mtime, content,
	       spellings);
}

/* ---- files ---- */

/* The hash, or the name of the error; `text` has SHA256_TEXT_BYTES. */
static void read_content(int directory, const char *name, char *text)
{
	static unsigned char buffer[1 << 18];
	struct sha256 hash;
	int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	ssize_t got = -1;

	sha256_begin(&hash);
	/* vfat serves 4 GiB of a small chain that goes round. */
	for (uint64_t total = 0; fd >= 0 && total < CONTENT_BYTES_MAX; total += (uint64_t)got) {
		got = read(fd, buffer, sizeof(buffer));
		if (got <= 0)
			break;
		sha256_add(&hash, buffer, (size_t)got);
	}
	if (got < 0)
		snprintf(text, SHA256_TEXT_BYTES, "%s", error_name(errno));
	else
		sha256_end(&hash, text);
	if (fd >= 0)
		close(fd);
}

static void add_spelling(char *out, size_t size, int directory, const char *name, const struct stat *wanted)
{
	struct stat status;
	size_t used = strlen(out);
	const char *found = "=";

	if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
		found = error_name(errno);
	else if (status.st_ino != wanted->st_ino || status.st_dev != wanted->st_dev)
		found = "!";
	snprintf(out + used, size - used, "%s%s", used ? "," : "", found);
}

static void try_spellings(int directory, const char *name, const struct stat *status, char *out, size_t size)
{
	char other[NAME_BYTES + 2];
	size_t length = strlen(name);

	*out = '\0';
	if (length > NAME_BYTES)
		return;
	for (size_t i = 0; i <= length; i++)
		other[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 32) : name[i];
	add_spelling(out, size, directory, other, status);
	for (size_t i = 0; i <= length; i++)
		other[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
	add_spelling(out, size, directory, other, status);
	memcpy(other, name, length);
	memcpy(other + length, ".", 2);
	add_spelling(out, size, directory, other, status);
}

/* ---- directories ---- */

static void list_directory(const char *key, int directory, const char *path, int level);

/* On the console, so that whoever waits knows that it goes on, and with what. */
static void say_alive(const char *key)
{
	static time_t last;
	time_t now = time(NULL);

	if (last == 0)
		last = now;
	if (now < last + 5)
		return;
	fprintf(stderr, "listing %s\n", key);
	last = now;
}

static void list_entry(const char *key, int directory, const char *name, const char *path, int level)
{
	struct stat status = { 0 };
	char spellings[64] = "", content[SHA256_TEXT_BYTES] = "";
	int below;

	say_alive(key);
	if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
		print_line(key, path, 'e', &status, error_name(errno), "");
		return;
	}
	try_spellings(directory, name, &status, spellings, sizeof(spellings));
	if (S_ISREG(status.st_mode))
		read_content(directory, name, content);
	if (!S_ISDIR(status.st_mode)) {
		print_line(key, path, S_ISREG(status.st_mode) ? 'f' : 'o', &status, content, spellings);
		return;
	}
	print_line(key, path, 'd', &status, "", spellings);
	if (level == LEVELS_MAX)
		return;
	below = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (below < 0)
		print_line(key, path, 'x', &status, error_name(errno), "");
	else
		list_directory(key, below, path, level + 1);
}

/* Takes the descriptor. A directory that ends in an error has a line of its own for that. */
static void list_directory(const char *key, int directory, const char *path, int level)
{
	DIR *stream = fdopendir(directory);
	struct stat nothing = { 0 };
	struct dirent *entry;
	char below[LEVELS_MAX * NAME_BYTES + NAME_BYTES + 2];

	while (stream && entries_left > 0) {
		errno = 0;
		entry = readdir(stream);
		if (!entry)
			break;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		entries_left--;
		snprintf(below, sizeof(below), "%s%s%s", path, *path ? "/" : "", entry->d_name);
		list_entry(key, directory, entry->d_name, below, level);
	}
	if (!stream || (entries_left > 0 && errno != 0))
		print_line(key, path, 'x', &nothing, error_name(errno), "");
	if (stream)
		closedir(stream);
}

static void list_root(const char *key, const char *path)
{
	struct stat status = { 0 };
	int directory = open(path, O_RDONLY | O_DIRECTORY);

	entries_left = ENTRIES_MAX;
	if (directory < 0 || fstat(directory, &status) != 0) {
		print_line(key, "", 'x', &status, error_name(errno), "");
		return;
	}
	print_line(key, "", 'r', &status, "", "");
	list_directory(key, directory, "", 0);
}

/* ---- disks of the guest ---- */

/* One node of a disk: mounted and listed, or why not. */
static void list_node(unsigned lun, unsigned number, const char *node)
{
	struct stat nothing = { 0 };
	char key[32], device[300];

	snprintf(key, sizeof(key), "%u:%u", lun, number);
	snprintf(device, sizeof(device), "/dev/%s", node);
	say_alive(key);
	if (mount(device, "/mnt", "vfat", MS_RDONLY, "tz=UTC") != 0) {
		print_line(key, "", 'm', &nothing, error_name(errno), "");
		return;
	}
	list_root(key, "/mnt");
	if (umount("/mnt") != 0)
		umount2("/mnt", MNT_DETACH);
}

/* Where a partition is on its disk, in bytes: type p, SIZE and MTIME are start and length. */
static void print_start(unsigned lun, unsigned number, const char *directory)
{
	unsigned long long start = 0, length = 0;
	char path[320];
	FILE *file;

	snprintf(path, sizeof(path), "%s/start", directory);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%llu", &start) != 1)
		start = 0;
	if (file)
		fclose(file);
	snprintf(path, sizeof(path), "%s/size", directory);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%llu", &length) != 1)
		length = 0;
	if (file)
		fclose(file);
	printf("%u:%u\t\tp\t%llu\t%llu\t\t\n", lun, number, start * 512, length * 512);
}

/* Read its table (again), in this call: what the kernel did when the disk came may still be going on. */
static void list_disk(unsigned lun, const char *name)
{
	char path[300], node[300];
	int device;

	snprintf(path, sizeof(path), "/dev/%s", name);
	device = open(path, O_RDONLY);
	if (device >= 0) {
		ioctl(device, BLKRRPART);
		close(device);
	}
	list_node(lun, 0, name);
	for (unsigned number = 1; number < 128; number++) {
		snprintf(path, sizeof(path), "/sys/block/%s/%s%u", name, name, number);
		if (access(path, F_OK) != 0)
			continue;
		print_start(lun, number, path);
		snprintf(node, sizeof(node), "%s%u", name, number);
		list_node(lun, number, node);
	}
	fflush(stdout);
}

/* The disk at HOST:0:0:LUN, in `name`; it may take its time to appear. */
static bool find_disk(unsigned lun, char *name, size_t size)
{
	for (unsigned waited_ms = 0; waited_ms < DISK_WAIT_MS; waited_ms += 20) {
		for (unsigned host = 0; host < 4; host++) {
			char path[128];
			DIR *directory;
			struct dirent *entry;
			bool found = false;

			snprintf(path, sizeof(path), "/sys/bus/scsi/devices/%u:0:0:%u/block", host, lun);
			directory = opendir(path);
			while (directory && !found && (entry = readdir(directory))) {
				if (entry->d_name[0] == '.')
					continue;
				snprintf(name, size, "%.32s", entry->d_name);
				found = true;
			}
			if (directory)
				closedir(directory);
			if (found)
				return true;
		}
		usleep(20000);
	}
	return false;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "tree") == 0) {
		list_root(argv[2], argv[3]);
		return ferror(stdout) || fflush(stdout) != 0;
	}
	if (argc != 3 || strcmp(argv[1], "disks") != 0) {
		fprintf(stderr, "usage: lister tree KEY DIRECTORY | lister disks COUNT\n");
		return 2;
	}
	mkdir("/mnt", 0755);
	for (unsigned lun = 0; lun < strtoul(argv[2], NULL, 10); lun++) {
		char name[64];

		if (find_disk(lun, name, sizeof(name)))
			list_disk(lun, name);
		else
			printf("%u:0\t\tm\t0\t0\tno such disk\t\n", lun);
	}
	printf("end\n");
	return ferror(stdout) || fflush(stdout) != 0;
}
