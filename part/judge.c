/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libblkid says of a skeleton, and how much of it is believed.
 *
 * A new probe for each look, because a probe keeps what it read. Only the dos
 * and gpt probers run: a Pi's firmware and kernels boot from these, and nothing
 * else need be fed hostile bytes. BLKID_PARTS_FORCE_GPT is not set: as in
 * Linux, a GPT counts only where the MBR has a 0xEE entry (table.c).
 *
 * libblkid's dos prober adds and multiplies in 32 bits (2.38). So what it
 * returns of an MBR is matched with what the walk saw, and the walk's numbers
 * are taken; what the walk didn't see is left out.
 */
#include "part/skeleton.h"

#include <blkid/blkid.h>

static void cleanup_free_probe(const blkid_probe *probe)
{
	if (*probe)
		blkid_free_probe(*probe);
}

/* The walk's own record of an MBR partition, whose numbers libblkid has modulo 2^32; or NULL. */
static const struct part_range *seen_as(const struct skeleton *skeleton, const struct part_range *reported)
{
	unsigned number = reported->number <= MBR_ENTRY_COUNT ? reported->number : 0;

	for (unsigned i = 0; i < skeleton->seen_count; i++) {
		const struct part_range *seen = &skeleton->seen[i].range;

		if (seen->number == number && skeleton->seen[i].told_start == reported->start &&
		    (uint32_t)seen->length == reported->length)
			return seen;
	}
	return NULL;
}

/* False for what can't be a partition: negative numbers, and in an MBR what the walk has not seen. */
static bool range_of(const struct skeleton *skeleton, enum part_scheme scheme, blkid_partition partition,
		     struct part_range *range)
{
	int number = blkid_partition_get_partno(partition);
	blkid_loff_t start = blkid_partition_get_start(partition);
	blkid_loff_t length = blkid_partition_get_size(partition);

	/* A GPT entry that ends before it starts has a negative length. */
	if (number <= 0 || start < 0 || length <= 0)
		return false;
	*range = (struct part_range){ (unsigned)number, (uint64_t)start, (uint64_t)length };
	if (scheme == PART_SCHEME_GPT)
		return true;

	const struct part_range *seen = seen_as(skeleton, range);
	if (!seen)
		return false;
	range->start = seen->start;
	range->length = seen->length;
	return true;
}

/* Bounded by libblkid's list: SKELETON_SEEN_MAX, or the entries of GPT_ARRAY_BYTES_MAX. */
static void collect(const struct skeleton *skeleton, enum part_scheme scheme, blkid_partlist list,
		    struct verdict *verdict)
{
	int count = blkid_partlist_numof_partitions(list);
	unsigned last_number = 0;

	verdict->count = 0;
	for (int i = 0; i < count && verdict->count < PART_ENTRIES_MAX; i++) {
		blkid_partition partition = blkid_partlist_get_partition(list, i);
		struct part_range range;

		if (!partition || blkid_partition_is_extended(partition) ||
		    !range_of(skeleton, scheme, partition, &range) || range.number <= last_number)
			continue;
		verdict->ranges[verdict->count++] = range;
		last_number = range.number;
	}
}

int skeleton_judge(const struct skeleton *skeleton, enum part_scheme scheme, struct verdict *verdict)
{
	char dos[] = "dos", gpt[] = "gpt";
	char *probers[] = { scheme == PART_SCHEME_GPT ? gpt : dos, NULL };
	CLEANUP(cleanup_free_probe) blkid_probe probe = blkid_new_probe();

	if (!probe ||
	    blkid_probe_set_device(probe, skeleton->fd, 0, (blkid_loff_t)skeleton->size_bytes) != 0 ||
	    blkid_probe_set_sectorsize(probe, skeleton->sector_bytes) != 0 ||
	    blkid_probe_filter_partitions_type(probe, BLKID_FLTR_ONLYIN, probers) != 0)
		return -ENOMEM;

	errno = 0;
	blkid_partlist list = blkid_probe_get_partitions(probe);
	if (!list)
		return errno == ENOMEM ? -ENOMEM : -ENODATA;
	collect(skeleton, scheme, list, verdict);
	return 0;
}
