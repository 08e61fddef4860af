/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache_device.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/waits.h"

static struct memory_device *memory_of(struct cache_device *device)
{
	return (struct memory_device *)device;
}

static void take_turn(struct memory_device *memory)
{
	memory->now_ns += memory->call_ns;
	if (memory->turn)
		memory->turn(memory);
}

/* cache/device/disk_signs.c's rules, said again: what is unsettled, or was so at the last look, is not believed. */
static void look_at_times(struct memory_device *memory)
{
	bool settled = memory->now_ns - memory->signed_ns >= memory->settle_ns;

	if (memory->signed_ns != memory->seen_ns)
		memory->changed_ns = memory->now_ns;
	if (memory->signed_ns != memory->seen_ns || !settled || !memory->settled ||
	    memory->kind == DEVICE_NOTHING || memory->kind == DEVICE_REPORTED || memory->kind == DEVICE_TOLD)
		memory->generation++;
	memory->seen_ns = memory->signed_ns;
	memory->settled = settled && (memory->kind == DEVICE_TIMES || kernel_tells(memory->kind));
}

static int memory_observe(struct cache_device *device, bool may_block, int64_t since_ns, struct cache_observation *out)
{
	struct memory_device *memory = memory_of(device);

	(void)since_ns;
	take_turn(memory);
	memory->observations++;
	if (memory->fail_observe)
		return memory->fail_observe;
	if (!may_block && (memory->not_at_hand || memory->kind == DEVICE_NOTHING || memory->kind == DEVICE_TOLD))
		return -EAGAIN;
	if (memory->kind != DEVICE_EVENTS)
		look_at_times(memory);
	if (memory->kind == DEVICE_REPORTED)
		memory->changed_ns = memory->now_ns;
	*out = (struct cache_observation){
		.generation = memory->generation,
		.size_bytes = memory->size_bytes,
		.quiet_ns = memory->now_ns - memory->changed_ns,
		.now_ns = memory->now_ns,
		.looked_ns = memory->looked_ns,
		.steady = memory->kind == DEVICE_EVENTS || memory->settled,
		.blind = memory->kind == DEVICE_NOTHING || memory->kind == DEVICE_TOLD,
		.signless = memory->signless || memory->kind == DEVICE_TOLD,
		.stamp_ns = kernel_tells(memory->kind) ? memory->signed_ns : 0,
	};
	return 0;
}

/* Piece by piece, so that a writer may come in between; up to the next multiple of the grain. */
static int copy_out(struct memory_device *memory, uint64_t offset_bytes, unsigned char *buffer,
		    size_t length_bytes)
{
	for (size_t done = 0, part; done < length_bytes; done += part) {
		uint64_t at = offset_bytes + done;

		take_turn(memory);
		if (!range_within(offset_bytes, length_bytes, memory->size_bytes))
			return -EIO;
		part = (size_t)min_u64(length_bytes - done, memory->grain_bytes - at % memory->grain_bytes);
		memcpy(buffer + done, memory->bytes + at, part);
	}
	return 0;
}

static int memory_read_blocks(struct cache_device *device, bool may_block, uint64_t offset_bytes,
			      void *buffer, size_t length_bytes)
{
	struct memory_device *memory = memory_of(device);

	memory->block_reads++;
	if (!may_block && memory->not_at_hand)
		return -EAGAIN;
	if (memory->fail_blocks && offset_bytes + length_bytes > memory->fail_from_bytes)
		return memory->fail_blocks;
	return copy_out(memory, offset_bytes, buffer, length_bytes);
}

static int memory_read_piece(struct memory_device *memory, struct cache_piece *piece)
{
	int error;

	memory->data_reads++;
	memory->data_bytes += piece->length_bytes;
	if (memory->fail_data && piece->offset_bytes + piece->length_bytes > memory->fail_from_bytes)
		return memory->fail_data;
	piece->bytes = (unsigned char *)piece->buffer + piece->offset_bytes % CACHE_BLOCK_BYTES;
	memory->in_data = true;
	error = copy_out(memory, piece->offset_bytes, piece->bytes, piece->length_bytes);
	memory->in_data = false;
	return error;
}

static int memory_read_pieces(struct cache_device *device, struct cache_piece *pieces, size_t count)
{
	struct memory_device *memory = memory_of(device);
	int error = 0;

	memory->data_calls++;
	for (size_t i = 0; error == 0 && i < count; i++)
		error = memory_read_piece(memory, &pieces[i]);
	return error;
}

static void memory_will_need(struct cache_device *device, uint64_t offset_bytes, uint64_t length_bytes)
{
	struct memory_device *memory = memory_of(device);

	(void)offset_bytes;
	memory->needs++;
	memory->needed_bytes += length_bytes;
}

static const char *memory_describe(struct cache_device *device)
{
	static const char *const words[] = { "events", "times", "nothing", "reported", "kernel", "kernel", "kernel", "kernel", "told" };

	return words[memory_of(device)->kind];
}

static void memory_close(struct cache_device *device)
{
	memory_of(device)->closes++;
	atomic_store(&device->references, 0); /* it may be opened again */
}

void memory_device_init(struct memory_device *memory, enum device_kind kind, unsigned char *bytes,
			uint64_t size_bytes)
{
	static const struct cache_device_ops ops = {
		.observe = memory_observe,
		.read_blocks = memory_read_blocks,
		.read_pieces = memory_read_pieces,
		.will_need = memory_will_need,
		.describe = memory_describe,
		.close = memory_close,
	};

	*memory = (struct memory_device){
		.device.ops = &ops,
		.kind = kind,
		.bytes = bytes,
		.size_bytes = size_bytes,
		.now_ns = 4000 * SECOND,
		.call_ns = MS / 100,
		.settle_ns = kernel_tells(kind) ? WAIT_CTIME_LAG_NS : SECOND,
		.grain_bytes = CACHE_BLOCK_BYTES,
		.generation = 1,
		.signed_ns = 400 * SECOND,
		.seen_ns = 400 * SECOND,
		.changed_ns = 400 * SECOND,
	};
}

void memory_device_reset_counts(struct memory_device *memory)
{
	memory->observations = memory->block_reads = memory->data_reads = memory->data_calls = 0;
	memory->data_bytes = 0;
}

unsigned memory_device_reads(const struct memory_device *memory)
{
	return memory->block_reads + memory->data_reads;
}

/* Of an event nothing shows before the bytes do. */
void memory_device_sign(struct memory_device *memory)
{
	memory->signed_ns = memory->now_ns;
}

void memory_device_land(struct memory_device *memory, uint64_t offset_bytes, const void *from,
			size_t length_bytes)
{
	memcpy(memory->bytes + offset_bytes, from, length_bytes);
	if (memory->kind != DEVICE_EVENTS)
		return;
	memory->generation++;
	memory->changed_ns = memory->now_ns;
}

void memory_device_write(struct memory_device *memory, uint64_t offset_bytes, const void *from,
			 size_t length_bytes)
{
	memory_device_sign(memory);
	memory_device_land(memory, offset_bytes, from, length_bytes);
}

void memory_device_pass(struct memory_device *memory, int64_t duration_ns)
{
	int64_t end_ns = memory->now_ns + duration_ns;

	while (memory->tick && memory->now_ns + MS < end_ns) {
		memory->now_ns += MS;
		memory->tick(memory);
	}
	memory->now_ns = end_ns;
}

void memory_device_resize(struct memory_device *memory, unsigned char *bytes, uint64_t size_bytes)
{
	memory_device_sign(memory);
	memory->bytes = bytes;
	memory->size_bytes = size_bytes;
	memory->generation++;
	memory->changed_ns = memory->now_ns;
}
