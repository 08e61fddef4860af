/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A main for fuzz targets without libFuzzer: runs the target once on every file
 * named, or found in the directories named. Fails when there is none, so that a
 * lost corpus cannot pass for a clean replay.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat st;

	if (!file || fstat(fileno(file), &st) != 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	/* Exactly as large as the input, so that a sanitizer sees any step beyond it. */
	uint8_t *data = malloc(st.st_size ? (size_t)st.st_size : 1);
	size_t size = data ? fread(data, 1, (size_t)st.st_size, file) : 0;

	if (!data || size != (size_t)st.st_size) {
		fprintf(stderr, "%s: cannot be read\n", path);
		exit(1);
	}
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 1;
}

static int replay(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	if (!dir)
		return replay_file(path);
	for (struct dirent *entry; (entry = readdir(dir));) {
		char name[PATH_MAX];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		count += replay_file(name);
	}
	closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	int count = 0;

	for (int i = 1; i < argc; i++)
		count += replay(argv[i]);
	printf("%d inputs replayed\n", count);
	return count > 0 ? 0 : 1;
}
