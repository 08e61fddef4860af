/*
 * timed - how long file operations take, in microseconds: median, 99 % and worst.
 *
 *   timed open FILE COUNT     open, read and close a file
 *   timed list DIRECTORY COUNT   list a directory
 *
 * For tools/bench: an interpreter's own time would be most of what it measured.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int open_once(const char *path)
{
	char buffer[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ssize_t got = read(fd, buffer, sizeof buffer);
	close(fd);
	return got < 0 ? -1 : 0;
}

static int list_once(const char *path)
{
	DIR *dir = opendir(path);

	if (!dir)
		return -1;
	while (readdir(dir))
		;
	return closedir(dir);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	long count = argc == 4 ? atol(argv[3]) : 0;

	if (count < 1 || (strcmp(argv[1], "open") && strcmp(argv[1], "list"))) {
		fprintf(stderr, "usage: timed open|list PATH COUNT\n");
		return 2;
	}
	int (*once)(const char *) = !strcmp(argv[1], "open") ? open_once : list_once;
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
