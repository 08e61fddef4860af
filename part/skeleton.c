/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The walk over a partition table.
 *
 * It goes where libblkid will go, but counts its steps, remembers its places
 * and adds in 64 bits; what it visited is copied to the same offset of a memory
 * file, everything else reads as zeroes there. libblkid's own walk then can't
 * leave these sectors, so its bounds are ours, whatever its version:
 *
 * - EBRs (MBR): a link is followed once, inside the image, EBR_LINKS_MAX times
 *   in all. A link not followed is erased in the copy.
 * - GPT: a header is copied only if its array has a size and a place that can
 *   be read; libblkid would else ask for up to 4 GiB of memory. Check sums are
 *   left to libblkid.
 *
 * Two things in the copy differ from the image on purpose. Type bytes other
 * than an extended container's become Linux's: types say nothing about content
 * (CONTRACT N4), and those of BSD, Minix or Solaris make libblkid look for a
 * nested table, number its parts in a way a Pi's kernel does not, and give the
 * whole table up when such a partition ends outside a truncated image. And the
 * boot code may be left out; table.c says when.
 *
 * It judges nothing: which sectors are a table is libblkid's to say.
 */
#include "part/skeleton.h"

#include <stdbool.h>
#include <sys/mman.h>

#include "base/bytes.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

/* ---- the memory file ---------------------------------------------------- */

static int skeleton_open(struct skeleton *skeleton, uint32_t sector_bytes, uint64_t size_bytes)
{
	skeleton->sector_bytes = sector_bytes;
	skeleton->size_bytes = size_bytes;
	skeleton->seen_count = 0;
	/* Linux 6.3 logs, or forbids by vm.memfd_noexec, what is not declared as data; older ones refuse the
	 * word. */
	skeleton->fd = memfd_create("imagefs-part", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	if (skeleton->fd < 0 && errno == EINVAL)
		skeleton->fd = memfd_create("imagefs-part", MFD_CLOEXEC);
	/* Sparse, so that its size costs nothing: what is short here is memory or descriptors. */
	if (skeleton->fd < 0 || size_bytes > INT64_MAX || ftruncate(skeleton->fd, (off_t)size_bytes) != 0)
		return -ENOMEM;
	return 0;
}

static int skeleton_write(struct skeleton *skeleton, uint64_t offset_bytes, const void *bytes,
			  size_t length_bytes)
{
	ssize_t written = pwrite(skeleton->fd, bytes, length_bytes, (off_t)offset_bytes);

	return written >= 0 && (size_t)written == length_bytes ? 0 : -ENOMEM;
}

/* ---- MBR sectors -------------------------------------------------------- */

static const unsigned char *entry_of(const unsigned char *mbr, unsigned index)
{
	return mbr + MBR_ENTRIES + (size_t)index * MBR_ENTRY_BYTES;
}

static bool has_signature(const unsigned char *mbr)
{
	return get_le16(mbr + MBR_SIGNATURE) == MBR_SIGNATURE_VALUE;
}

static bool entry_is_empty(const unsigned char *entry)
{
	return get_le32(entry + MBR_ENTRY_LENGTH) == 0;
}

static bool entry_is_container(const unsigned char *entry)
{
	switch (entry[MBR_ENTRY_TYPE]) {
	case MBR_TYPE_EXTENDED:
	case MBR_TYPE_EXTENDED_LBA:
	case MBR_TYPE_EXTENDED_LINUX:
		return !entry_is_empty(entry);
	default:
		return false;
	}
}

bool mbr_is_table(const unsigned char *mbr)
{
	for (unsigned i = 0; i < MBR_ENTRY_COUNT; i++) {
		unsigned char indicator = entry_of(mbr, i)[MBR_ENTRY_INDICATOR];

		if (indicator != 0 && indicator != 0x80)
			return false;
	}
	return has_signature(mbr);
}

bool boot_is_of_volume(const unsigned char *boot)
{
	for (unsigned i = 0; i < MBR_ENTRY_COUNT; i++)
		if (!entry_is_empty(entry_of(boot, i)))
			return false;
	return (boot[0] == 0xeb && boot[2] == 0x90) || boot[0] == 0xe9;
}

enum mbr_gpt mbr_speaks_of_gpt(const unsigned char *mbr)
{
	enum mbr_gpt result = MBR_NO_GPT;

	for (unsigned i = 0; i < MBR_ENTRY_COUNT && has_signature(mbr); i++) {
		const unsigned char *entry = entry_of(mbr, i);

		if (entry[MBR_ENTRY_TYPE] != MBR_TYPE_PROTECTIVE)
			continue;
		if (get_le32(entry + MBR_ENTRY_START) == GPT_PRIMARY_LBA)
			return MBR_PROTECTS_GPT;
		result = MBR_GPT_ELSEWHERE;
	}
	return result;
}

bool mbr_has_whole_disk(const unsigned char *mbr)
{
	if (!mbr_is_table(mbr))
		return false;
	for (unsigned i = 0; i < MBR_ENTRY_COUNT; i++) {
		const unsigned char *entry = entry_of(mbr, i);

		if (!entry_is_empty(entry) && get_le32(entry + MBR_ENTRY_START) == 0)
			return true;
	}
	return false;
}

bool mbr_has_partitions(const unsigned char *mbr, uint64_t size_bytes)
{
	if (!mbr_is_table(mbr))
		return false;
	for (unsigned i = 0; i < MBR_ENTRY_COUNT; i++) {
		const unsigned char *entry = entry_of(mbr, i);
		uint32_t start = get_le32(entry + MBR_ENTRY_START);

		if (!entry_is_empty(entry) && start != 0 && start < size_bytes / UNIT_BYTES)
			return true;
	}
	return false;
}

/* ---- the walk over MBR and EBRs, in units of 512 bytes -------------------- */

struct walk {
	struct source *source;
	struct skeleton *skeleton;
	unsigned visited_count;
	uint64_t visited[1 + EBR_LINKS_MAX]; /* sector 0 is the first */
};

/* base + a field of an entry, from the disk's sectors to units. */
static bool entry_position(const struct walk *walk, uint64_t base, const unsigned char *field,
			   uint64_t *units)
{
	uint64_t scaled;

	return mul_u64(get_le32(field), walk->skeleton->sector_bytes / UNIT_BYTES, &scaled) &&
	       add_u64(base, scaled, units);
}

/* libblkid leaves a logical partition out that begins where one it knows of does, be it a container. */
static bool start_is_taken(const struct walk *walk, uint64_t base, uint64_t start)
{
	bool taken = start == base;

	for (unsigned i = 0; i < walk->skeleton->seen_count && !taken; i++)
		taken = walk->skeleton->seen[i].told_start == (uint32_t)start;
	return taken;
}

/*
 * Where the copy says that a logical partition begins. One whose sum wraps, or that begins where another
 * one does, has its number in Linux; libblkid 2.38 numbers the former, 2.41 leaves it out, and both leave
 * the latter out. So the copy has it behind its EBR, where none is: one turn for each that was seen, and one.
 */
static uint32_t tell_start(struct walk *walk, unsigned char *entry, uint64_t base, uint64_t start)
{
	uint32_t sector_units = walk->skeleton->sector_bytes / UNIT_BYTES;

	if (start <= UINT32_MAX && !start_is_taken(walk, base, start))
		return (uint32_t)start;
	for (uint32_t sector = 1; sector <= SKELETON_SEEN_MAX + 1; sector++) {
		start = base + sector * (uint64_t)sector_units;
		if (start_is_taken(walk, base, start))
			continue;
		put_le32(entry + MBR_ENTRY_START, sector);
		break;
	}
	return (uint32_t)start;
}

/*
 * Write down the partitions of a sector whose entries count from `base`. The third and fourth entry of an
 * EBR stay as they are: Linux counts these only if they are inside.
 */
static void note_partitions(struct walk *walk, unsigned char *mbr, uint64_t base, bool primary)
{
	struct skeleton *skeleton = walk->skeleton;

	for (unsigned i = 0; i < MBR_ENTRY_COUNT; i++) {
		unsigned char *entry = mbr + (entry_of(mbr, i) - mbr);
		struct part_range range = { .number = primary ? i + 1 : 0 };
		uint32_t told_start;

		if (entry_is_empty(entry) || entry_is_container(entry) ||
		    !entry_position(walk, base, entry + MBR_ENTRY_START, &range.start) ||
		    !entry_position(walk, 0, entry + MBR_ENTRY_LENGTH, &range.length))
			continue;
		told_start = !primary && i < 2 ? tell_start(walk, entry, base, range.start) : (uint32_t)range.start;
		if (skeleton->seen_count < SKELETON_SEEN_MAX) {
			skeleton->seen[skeleton->seen_count].range = range;
			skeleton->seen[skeleton->seen_count++].told_start = told_start;
		}
	}
}

/*
 * Sectors are visited once, and EBR_LINKS_MAX of them: this ends every walk.
 * Beyond UINT32_MAX libblkid's sum would wrap and it would go elsewhere.
 */
static bool may_visit(const struct walk *walk, uint64_t sector)
{
	if (walk->visited_count > EBR_LINKS_MAX || sector > UINT32_MAX ||
	    !range_within(sector * UNIT_BYTES, MBR_BYTES, walk->source->size_bytes))
		return false;
	for (unsigned i = 0; i < walk->visited_count; i++)
		if (walk->visited[i] == sector)
			return false;
	return true;
}

/*
 * The entry that leads on from an EBR: the first container, as in Linux; one
 * that points at offset 0 is no link, as in libblkid.
 */
static unsigned char *link_of(unsigned char *ebr)
{
	for (unsigned i = 0; i < MBR_ENTRY_COUNT; i++) {
		unsigned char *entry = ebr + (entry_of(ebr, i) - ebr);

		if (entry_is_container(entry) && get_le32(entry + MBR_ENTRY_START) != 0)
			return entry;
	}
	return NULL;
}

/* Make a copy fit for libblkid: no container but `kept` (or none), no type that leads to a nested table. */
static void tame_entries(unsigned char *ebr, const unsigned char *kept)
{
	for (unsigned i = 0; i < MBR_ENTRY_COUNT; i++) {
		unsigned char *entry = ebr + (entry_of(ebr, i) - ebr);

		if (entry == kept)
			continue;
		if (entry_is_container(entry))
			memset(entry, 0, MBR_ENTRY_BYTES);
		else
			entry[MBR_ENTRY_TYPE] = MBR_TYPE_LINUX;
	}
}

/* Follow the chain of EBRs of the container that begins at `first`. Bounded by may_visit. */
static int walk_chain(struct walk *walk, uint64_t first)
{
	uint64_t here = first;

	while (may_visit(walk, here)) {
		unsigned char ebr[MBR_BYTES];
		uint64_t next = 0;

		walk->visited[walk->visited_count++] = here;
		int result = source_read(walk->source, here * UNIT_BYTES, ebr, sizeof(ebr));
		if (result < 0)
			return result;
		if (!has_signature(ebr))
			return 0;
		note_partitions(walk, ebr, here, false);

		unsigned char *link = link_of(ebr);
		/* Links count from the container, partitions from their own EBR. */
		if (link &&
		    (!entry_position(walk, first, link + MBR_ENTRY_START, &next) || !may_visit(walk, next)))
			link = NULL;
		tame_entries(ebr, link);
		result = skeleton_write(walk->skeleton, here * UNIT_BYTES, ebr, sizeof(ebr));
		if (result < 0 || !link)
			return result;
		here = next;
	}
	return 0;
}

/* Walk each container of the MBR, or erase it from the copy. Bounded by four entries. */
static int walk_containers(struct walk *walk, unsigned char *mbr)
{
	for (unsigned i = 0; i < MBR_ENTRY_COUNT; i++) {
		unsigned char *entry = mbr + (entry_of(mbr, i) - mbr);
		uint64_t first = 0;

		if (!entry_is_container(entry)) {
			entry[MBR_ENTRY_TYPE] = MBR_TYPE_LINUX;
		} else if (!entry_position(walk, 0, entry + MBR_ENTRY_START, &first) ||
			   !may_visit(walk, first)) {
			/* An empty entry keeps its number, too. */
			memset(entry, 0, MBR_ENTRY_BYTES);
		} else {
			int result = walk_chain(walk, first);

			if (result < 0)
				return result;
		}
	}
	return 0;
}

int skeleton_of_mbr(struct source *source, uint32_t sector_bytes, bool hide_boot_code,
		    struct skeleton *skeleton)
{
	struct walk walk = { .source = source, .skeleton = skeleton, .visited_count = 1 };
	unsigned char mbr[MBR_BYTES];
	int result = source_read(source, 0, mbr, sizeof(mbr));

	if (result < 0)
		return result;
	result = skeleton_open(skeleton, sector_bytes, source->size_bytes);
	if (result < 0)
		return result;
	note_partitions(&walk, mbr, 0, true);
	result = walk_containers(&walk, mbr);
	if (result < 0)
		return result;
	if (hide_boot_code)
		memset(mbr, 0, MBR_BOOT_CODE_BYTES);
	return skeleton_write(skeleton, 0, mbr, sizeof(mbr));
}

/* ---- GPT ------------------------------------------------------------------ */

struct gpt {
	uint64_t lba;	       /* of this header */
	uint64_t offset_bytes; /* of this header */
	uint64_t entries_offset_bytes;
	uint64_t entries_bytes;
	unsigned char header[4096]; /* one sector */
};

/* Read what should be a header: -ENODATA if there is none, or none that libblkid could afford. */
static int gpt_read_header(struct source *source, uint32_t sector_bytes, uint64_t lba, struct gpt *gpt)
{
	gpt->lba = lba;
	if (!mul_u64(lba, sector_bytes, &gpt->offset_bytes) ||
	    !range_within(gpt->offset_bytes, sector_bytes, source->size_bytes))
		return -ENODATA;
	int result = source_read(source, gpt->offset_bytes, gpt->header, sector_bytes);
	if (result < 0)
		return result;
	if (memcmp(gpt->header + GPT_SIGNATURE, GPT_SIGNATURE_VALUE, GPT_SIGNATURE_BYTES) != 0)
		return -ENODATA;
	return 0;
}

static bool gpt_locate_entries(const struct source *source, uint32_t sector_bytes, struct gpt *gpt)
{
	return get_le32(gpt->header + GPT_ENTRY_SIZE) == GPT_ENTRY_BYTES &&
	       mul_u64(get_le32(gpt->header + GPT_ENTRY_COUNT), GPT_ENTRY_BYTES, &gpt->entries_bytes) &&
	       gpt->entries_bytes > 0 && gpt->entries_bytes <= GPT_ARRAY_BYTES_MAX &&
	       mul_u64(get_le64(gpt->header + GPT_ENTRIES_LBA), sector_bytes, &gpt->entries_offset_bytes) &&
	       range_within(gpt->entries_offset_bytes, gpt->entries_bytes, source->size_bytes);
}

/* Find the header of `copy`; -ENODATA when there is none, or when it is the same as another copy's. */
static int gpt_find(struct source *source, uint32_t sector_bytes, enum gpt_copy copy, struct gpt *gpt)
{
	uint64_t sector_count = source->size_bytes / sector_bytes;

	if (sector_count <= GPT_PRIMARY_LBA + 1)
		return -ENODATA;
	if (copy == GPT_COPY_LAST)
		return gpt_read_header(source, sector_bytes, sector_count - 1, gpt);

	int result = gpt_read_header(source, sector_bytes, GPT_PRIMARY_LBA, gpt);
	if (result < 0 || copy == GPT_COPY_PRIMARY)
		return result;

	uint64_t named = get_le64(gpt->header + GPT_ALTERNATE_LBA);
	if (named <= GPT_PRIMARY_LBA || named >= sector_count - 1)
		return -ENODATA;
	return gpt_read_header(source, sector_bytes, named, gpt);
}

/*
 * The size of the disk this header speaks of. libblkid looks for a backup in
 * the last sector only, so a disk ends with its backup; and it refuses a
 * primary whose usable area ends outside, so a truncated image gets back, as
 * zeroes, what the header says it had.
 */
static bool gpt_disk_bytes(const struct source *source, uint32_t sector_bytes, const struct gpt *gpt,
			   uint64_t *size)
{
	uint64_t last = gpt->lba;
	uint64_t sector_count;

	if (last == GPT_PRIMARY_LBA)
		last = max_u64(get_le64(gpt->header + GPT_LAST_USABLE_LBA),
			       source->size_bytes / sector_bytes - 1);
	return add_u64(last, 1, &sector_count) && mul_u64(sector_count, sector_bytes, size) &&
	       *size <= INT64_MAX;
}

int skeleton_of_gpt(struct source *source, uint32_t sector_bytes, enum gpt_copy copy,
		    struct skeleton *skeleton)
{
	struct gpt gpt;
	unsigned char mbr[MBR_BYTES];
	CLEANUP_FREE unsigned char *entries = NULL;
	uint64_t size_bytes;
	int result = gpt_find(source, sector_bytes, copy, &gpt);

	if (result < 0)
		return result;
	if (!gpt_locate_entries(source, sector_bytes, &gpt) ||
	    !gpt_disk_bytes(source, sector_bytes, &gpt, &size_bytes))
		return -ENODATA;
	entries = malloc(gpt.entries_bytes);
	if (!entries)
		return -ENOMEM;
	result = source_read(source, gpt.entries_offset_bytes, entries, gpt.entries_bytes);
	if (result == 0)
		result = source_read(source, 0, mbr, sizeof(mbr));
	if (result == 0)
		result = skeleton_open(skeleton, sector_bytes, size_bytes);
	if (result == 0)
		result = skeleton_write(skeleton, gpt.entries_offset_bytes, entries, gpt.entries_bytes);
	if (result == 0)
		result = skeleton_write(skeleton, gpt.offset_bytes, gpt.header, sector_bytes);
	if (result == 0)
		result = skeleton_write(skeleton, 0, mbr, sizeof(mbr));
	return result;
}
