/*
 * timed - how long file operations take, in microseconds: median, 99 % and worst.
 *
 *   timed open FILE COUNT     open, read and close a file
 *   timed first FILE COUNT    open it and read its first byte
 *   timed list DIRECTORY COUNT   list a directory
 *   timed stat DIRECTORY COUNT   list it and look at each entry, as ls -l does
 *   timed read FILE COUNT     read all of it by 1 MiB
 *
 * For tools/bench: an interpreter's own time would be most of what it measured.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 20];

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int open_once(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ssize_t got = read(fd, buffer, 65536);
	close(fd);
	return got < 0 ? -1 : 0;
}

static int first_once(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ssize_t got = pread(fd, buffer, 1, 0);
	close(fd);
	return got < 0 ? -1 : 0;
}

static int read_once(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -1;
	while ((got = read(fd, buffer, sizeof buffer)) > 0)
		;
	close(fd);
	return got < 0 ? -1 : 0;
}

static int walk(const char *path, int look)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct stat st;
	int result = 0;

	if (!dir)
		return -1;
	errno = 0;
	while (result == 0 && (entry = readdir(dir)))
		if (look)
			result = fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW);
	if (errno)
		result = -1; /* a listing that ended before its end */
	closedir(dir);
	return result;
}

static int list_once(const char *path)
{
	return walk(path, 0);
}

static int stat_once(const char *path)
{
	return walk(path, 1);
}

static const struct {
	const char *name;
	int (*once)(const char *path);
} ways[] = {
	{ "open", open_once }, { "first", first_once }, { "list", list_once },
	{ "stat", stat_once }, { "read", read_once },
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	long count = argc == 4 ? atol(argv[3]) : 0;
	int (*once)(const char *) = NULL;

	for (size_t i = 0; count > 0 && i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(argv[1], ways[i].name) == 0)
			once = ways[i].once;
	if (!once) {
		fprintf(stderr, "usage: timed open|first|list|stat|read PATH COUNT\n");
		return 2;
	}
	double *took = calloc((size_t)count, sizeof *took);

	if (!took)
		return 1;
	for (long i = 0; i < count; i++) {
		double start = now_us();

		if (once(argv[2])) {
			perror(argv[2]);
			free(took);
			return 1;
		}
		took[i] = now_us() - start;
	}
	qsort(took, (size_t)count, sizeof *took, by_value);
	printf("%.1f %.1f %.1f\n", took[count / 2], took[count * 99 / 100], took[count - 1]);
	free(took);
	return 0;
}
