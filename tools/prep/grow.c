/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/grow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <libfdisk/libfdisk.h>

#include "base/checked.h"
#include "base/cleanup.h"

/* What libfdisk itself aligns new partitions to. */
#define GRAIN_BYTES ((uint64_t)1 << 20)

static void unref_context(struct fdisk_context **context)
{
	fdisk_unref_context(*context);
}

static void unref_table(struct fdisk_table **table)
{
	fdisk_unref_table(*table);
}

static void unref_partition(struct fdisk_partition **partition)
{
	fdisk_unref_partition(*partition);
}

#define CLEANUP_TABLE CLEANUP(unref_table)
#define CLEANUP_PARTITION CLEANUP(unref_partition)

/* What libfdisk says last, as an error or a warning, is the reason. It asks nothing that is worth an answer.
 */
static int listen(struct fdisk_context *context, struct fdisk_ask *ask, void *data)
{
	struct problem *said = data;
	int type = fdisk_ask_get_type(ask);

	(void)context;
	if (type == FDISK_ASKTYPE_WARN || type == FDISK_ASKTYPE_WARNX)
		problem_set(said, 0, "%s", fdisk_ask_print_get_mesg(ask));
	return type == FDISK_ASKTYPE_INFO || type == FDISK_ASKTYPE_WARN || type == FDISK_ASKTYPE_WARNX
		       ? 0
		       : -EINVAL;
}

/* ---- the root ------------------------------------------------------------- */

static struct fdisk_partition *find(struct fdisk_table *table, unsigned number)
{
	return fdisk_table_get_partition_by_partno(table, number - 1);
}

/* The number of what stands behind it, 0: nothing does. Containers of logical partitions that began before do
 * not count. */
static unsigned what_follows(struct fdisk_table *table, struct fdisk_partition *root)
{
	for (size_t i = 0; i < fdisk_table_get_nents(table); i++) {
		struct fdisk_partition *other = fdisk_table_get_partition(table, i);

		if (other != root && !fdisk_partition_is_freespace(other) &&
		    fdisk_partition_has_start(other) &&
		    fdisk_partition_get_start(other) > fdisk_partition_get_start(root))
			return (unsigned)fdisk_partition_get_partno(other) + 1;
	}
	return 0;
}

/* The sector behind the last one that a partition may have. */
static uint64_t end_of_disk(struct fdisk_context *context)
{
	uint64_t end = fdisk_get_nsectors(context), grain = GRAIN_BYTES / fdisk_get_sector_size(context);

	if (fdisk_is_label(context, GPT))
		end = fdisk_get_last_lba(context) + 1;
	else
		end = min_u64(end, UINT32_MAX); /* what an MBR can say */
	return end / grain * grain;
}

static int extend(struct fdisk_context *context, struct fdisk_partition *partition)
{
	CLEANUP_PARTITION struct fdisk_partition *wanted = fdisk_new_partition();
	uint64_t start = fdisk_partition_get_start(partition), end = end_of_disk(context);
	int error;

	if (!wanted)
		return -ENOMEM;
	if (end <= start + fdisk_partition_get_size(partition))
		return 0; /* it is there already */
	error = fdisk_partition_set_size(wanted, end - start);
	if (error == 0)
		error = fdisk_partition_size_explicit(wanted, 1);
	return error == 0 ? fdisk_set_partition(context, fdisk_partition_get_partno(partition), wanted)
			  : error;
}

static int extend_root(struct fdisk_context *context, unsigned number, struct problem *problem)
{
	CLEANUP_TABLE struct fdisk_table *table = NULL;
	struct fdisk_partition *root;
	size_t container;
	unsigned behind;
	int error = fdisk_get_partitions(context, &table);

	if (error != 0)
		return error;
	root = find(table, number);
	if (!root || !fdisk_partition_has_start(root) || !fdisk_partition_has_size(root))
		return problem_set(problem, -ENOENT, "there is no partition %u", number);
	behind = what_follows(table, root);
	if (behind != 0)
		return problem_set(problem, -EINVAL,
				   "partition %u cannot grow: partition %u stands behind it", number, behind);
	if (fdisk_partition_is_nested(root) && fdisk_partition_get_parent(root, &container) == 0) {
		error = extend(context, find(table, (unsigned)container + 1));
		if (error != 0)
			return error;
	}
	return extend(context, root);
}

/* ---- the table ------------------------------------------------------------ */

static int write_table(struct fdisk_context *context, unsigned root, struct problem *problem)
{
	int error = root != 0 ? extend_root(context, root, problem) : 0;

	if (error == 0)
		error = fdisk_write_disklabel(context);
	return error;
}

static bool is_gpt_below(int fd, uint32_t sector_bytes)
{
	char signature[8];

	return pread(fd, signature, sizeof(signature), sector_bytes) == (ssize_t)sizeof(signature) &&
	       memcmp(signature, "EFI PART", sizeof(signature)) == 0;
}

static int fit_table(const char *path, unsigned root, uint32_t sector_bytes, bool gpt,
		     struct problem *problem)
{
	__attribute__((cleanup(unref_context))) struct fdisk_context *context = fdisk_new_context();
	struct problem said = { "" };
	int error = context ? 0 : -ENOMEM;

	if (error == 0)
		error = fdisk_set_ask(context, listen, &said);
	if (error == 0)
		error = fdisk_save_user_sector_size(context, 0, sector_bytes);
	if (error == 0)
		error = fdisk_assign_device(context, path, 0);
	if (error == 0 && !fdisk_is_label(context, GPT) && (gpt || !fdisk_is_label(context, DOS)))
		error = problem_set(&said, -EINVAL,
				    "its partition table is damaged: sgdisk --verify says how");
	*problem = (struct problem){ "" };
	if (error == 0)
		error = write_table(context, root, problem);
	if (context)
		fdisk_deassign_device(context, 0);
	if (error != 0 && !*problem->text)
		problem_set(problem, error, "the partition table: %s",
			    *said.text ? said.text : strerror(-error));
	return error;
}

static int set_size(int fd, uint64_t size_bytes, struct problem *problem)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return problem_set(problem, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size >= size_bytes)
		return 0;
	if (ftruncate(fd, (off_t)size_bytes) == 0)
		return 0;
	return problem_set(problem, -errno, "growing: %s", strerror(errno));
}

int grow(const char *path, uint64_t size_bytes, unsigned root, uint32_t sector_bytes, struct problem *problem)
{
	CLEANUP_FD int fd = open(path, O_RDWR | O_CLOEXEC);
	int error = fd >= 0 ? 0 : problem_set(problem, -errno, "%s", strerror(errno));
	bool gpt = error == 0 && is_gpt_below(fd, sector_bytes);

	if (error == 0 && size_bytes != 0)
		error = set_size(fd, size_bytes, problem);
	/* An MBR does not say how large the disk is. */
	if (error == 0 && (gpt || root != 0))
		error = fit_table(path, root, sector_bytes, gpt, problem);
	return error;
}
