/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/tree/version.c, read.c: what one open file returns, whatever becomes of its image. */
#include <criterion/criterion.h>
#include <errno.h>

#include "cache_version_files.h"

/* ---- unchanged ----------------------------------------------------------- */

Test(cache_version, c4_an_unchanged_file_is_opened_without_reading)
{
	struct cache_node node;

	start_files(DEVICE_EVENTS);
	expect_fetch("small.bin", 1, 150000);
	memory_device_reset_counts(&memory);
	reader.blocked = 0;
	node = open_file("small.bin");
	cr_expect_eq(memory_device_reads(&memory), 0);
	cr_expect_eq(reader.blocked, 0);
	close_file(&node);
	end_files();
}

Test(cache_version, c3_an_unchanged_file_keeps_its_id_whatever_else_is_written)
{
	struct cache_node before, after;
	struct file moved = other;

	for (int kind = DEVICE_EVENTS; kind <= DEVICE_NOTHING; kind++) {
		start_files(kind);
		expect_fetch("small.bin", 1, 150000);
		before = look_up("small.bin");
		write_elsewhere();
		moved.seed = 3;
		moved.time = 9;
		small_volume_put(&volume, &moved);
		memory_device_write(&memory, 0, volume.bytes, 1);
		after = open_file("small.bin");
		cr_expect_eq(after.attributes.id, before.attributes.id);
		cr_expect_eq(reader.waited_ns, 0);
		cr_expect_eq(read_at(&after, 1, 0, 150000), 0);
		close_file(&after);
		node_put_any(&before);
		end_files();
	}
}

Test(cache_version, c2_reads_end_where_the_file_does)
{
	struct cache_node node;
	unsigned char bytes[PIECE];

	start_files(DEVICE_EVENTS);
	node = open_file("small.bin");
	cr_expect_eq(reader_read(&reader, node.version, 149000, PIECE, bytes), 1000);
	cr_expect(content_is(bytes, 1, 149000, 1000));
	cr_expect_eq(reader_read(&reader, node.version, 150000, PIECE, bytes), 0);
	cr_expect_eq(reader_read(&reader, node.version, UINT64_MAX, PIECE, bytes), 0);
	close_file(&node);
	end_files();
}

Test(cache_version, c2_an_empty_file_is_empty)
{
	struct cache_node node;
	unsigned char byte;

	start_files(DEVICE_NOTHING);
	node = open_file("empty.bin");
	cr_expect_eq(reader_read(&reader, node.version, 0, 1, &byte), 0);
	cr_expect_eq(memory.data_reads, 0);
	close_file(&node);
	end_files();
}

/* ---- changed ------------------------------------------------------------- */

Test(cache_version, c1_bytes_overwritten_under_the_same_entry_make_another_version)
{
	struct cache_node old, new;

	for (int kind = DEVICE_EVENTS; kind <= DEVICE_NOTHING; kind++) {
		start_files(kind);
		expect_fetch("small.bin", 1, 150000);
		old = look_up("small.bin");
		overwrite(2);
		cr_expect_eq(reader_open(&reader, old.version), -ESTALE);
		new = open_file("small.bin");
		cr_expect_neq(new.attributes.id, old.attributes.id);
		cr_expect_eq(read_at(&new, 2, 0, 150000), 0);
		close_file(&new);
		node_put_any(&old);
		end_files();
	}
}

Test(cache_version, c2_new_bytes_are_waited_for_until_they_last)
{
	struct cache_op op = { .may_block = true };
	struct cache_bytes bytes;
	struct cache_node node;

	start_files(DEVICE_EVENTS);
	node = open_file("small.bin");
	overwrite_cluster(0, 2);
	cr_expect_eq(cache_version_read(node.version, &op, 0, PIECE, &bytes), -EINPROGRESS);
	cr_expect(op.keep_wanted);
	memory.now_ns += op.retry_ns / 2;
	overwrite_cluster(1, 2);
	memory.now_ns += op.retry_ns / 2;
	cr_expect_eq(cache_version_read(node.version, &op, 0, PIECE, &bytes), -EINPROGRESS);
	overwrite_cluster(2, 2);
	close_file(&node);
	settle();
	expect_fetch("small.bin", 2, 150000);
	end_files();
}

/* No file is read for its open, nor whole for its first byte, whatever its image does. */
Test(cache_version, c6_nothing_is_read_before_it_is_needed)
{
	struct cache_node node;

	for (int kind = DEVICE_EVENTS; kind <= DEVICE_NOTHING; kind++) {
		start_files(kind);
		node = look_up("small.bin");
		memory_device_reset_counts(&memory);
		write_elsewhere();
		cr_expect_eq(reader_open(&reader, node.version), 0);
		cr_expect_eq(memory.data_reads, 0);
		settle();
		reader.never_keeps = true;
		cr_expect_eq(read_at(&node, 1, PIECE, PIECE), 0);
		cr_expect_leq(memory.data_bytes, kind == DEVICE_NOTHING ? 8 * CLUSTER : CLUSTER);
		close_file(&node);
		end_files();
	}
}

/* The image was written where nothing tells what: what was handed out is compared, before and after. */
Test(cache_version, c2_what_is_new_belongs_to_what_was_handed_out)
{
	struct cache_node node;

	for (int kind = DEVICE_EVENTS; kind <= DEVICE_NOTHING; kind++) {
		start_files(kind);
		reader.never_keeps = true;
		node = open_file("small.bin");
		cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
		write_elsewhere();
		settle();
		cr_expect_eq(read_at(&node, 1, 70000, PIECE), 0);
		overwrite_cluster(0, 2);
		settle();
		cr_expect_eq(read_at(&node, 1, 140000, PIECE), -ESTALE);
		cr_expect_eq(read_at(&node, 1, 70000, PIECE), 0, "what was handed out is in the image still");
		close_file(&node);
		end_files();
	}
}

/* The first chunk is overwritten, and all at rest again, just after the third was read. */
static void overwrite_what_is_known(struct memory_device *self)
{
	if (self->data_reads == 0 || self->in_data)
		return;
	self->turn = NULL;
	memory_device_land(self, small_volume_offset(&volume, small.clusters[0]), content_of(2), CLUSTER);
}

Test(cache_version, c2_what_is_known_is_compared_after_the_read)
{
	struct cache_node node;

	start_files(DEVICE_TIMES);
	node = open_file("small.bin");
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	memory_device_sign(&memory);
	memory_device_pass(&memory, 300 * MS);
	memory_device_reset_counts(&memory);
	memory.turn = overwrite_what_is_known;
	cr_expect_eq(read_at(&node, 1, 140000, PIECE), -ESTALE);
	cr_expect_null(memory.turn);
	close_file(&node);
	end_files();
}

static void be_slow(struct memory_device *self)
{
	if (self->in_data)
		self->now_ns += 30 * MS;
}

/* Another reader's chunk was read before that writer came, and his own after it. */
static void read_and_be_overwritten(struct memory_device *self)
{
	if (!self->in_data)
		return;
	self->turn = NULL;
	cr_expect_eq(read_at(&meanwhile, 1, 140000, PIECE), 0);
	memory_device_land(self, small_volume_offset(&volume, small.clusters[2]), content_of(2) + 131072, 150000 - 131072);
	memory_device_land(self, small_volume_offset(&volume, small.clusters[1]), content_of(2) + 65536, CLUSTER);
}

Test(cache_version, c2_of_two_readers_each_sees_what_the_other_hands_out)
{
	struct cache_node node;

	start_files(DEVICE_TIMES);
	meanwhile = open_file("small.bin");
	node = open_file("small.bin");
	memory_device_sign(&memory);
	memory_device_pass(&memory, 300 * MS);
	memory_device_reset_counts(&memory);
	memory.turn = read_and_be_overwritten;
	cr_expect_eq(read_at(&node, 1, 70000, PIECE), -ESTALE);
	cr_expect_null(memory.turn);
	close_file(&meanwhile);
	close_file(&node);
	end_files();
}

/* Too much is known to be compared in time: another inode, and the old one goes on for who has it. */
Test(cache_version, c6_what_takes_too_long_to_compare_gets_another_inode)
{
	struct file big = { "BIG     BIN", NULL, 3, { 0 }, 20 * CLUSTER, 8, 1 };
	struct cache_node old, new, again;

	start_files_with(DEVICE_EVENTS, 4 << 20, 4 << 20);
	for (unsigned i = 0; i < 20; i++)
		big.clusters[i] = i + 2;
	small_volume_put(&volume, &big);
	memory.grain_bytes = CLUSTER;
	old = open_file("big.bin");
	cr_expect_eq(read_at(&old, 8, 0, 16 * CLUSTER), 0);
	cr_expect_eq(read_at(&old, 8, 16 * CLUSTER, CLUSTER), 0);
	memory_device_write(&memory, small_volume_offset(&volume, 23), volume.bytes, 512);
	settle();
	memory.turn = be_slow;
	cr_expect_eq(reader_open(&reader, old.version), -ESTALE);
	memory.turn = NULL;
	new = open_file("big.bin");
	cr_expect_neq(new.attributes.id, old.attributes.id);
	cr_expect_eq(read_at(&old, 8, 18 * CLUSTER, CLUSTER), 0, "it is not gone because it was retired");
	again = look_up("big.bin");
	cr_expect_eq(again.attributes.id, new.attributes.id);
	node_put_any(&again);
	small_volume_remove(&volume, &big);
	memory_device_write(&memory, 0, volume.bytes, 1);
	settle();
	cr_expect_eq(read_at(&old, 8, 19 * CLUSTER, CLUSTER), -ESTALE, "its entry is gone");
	cr_expect_eq(read_at(&old, 8, 0, CLUSTER), 0);
	close_file(&old);
	close_file(&new);
	end_files();
}

/* Somebody always writes elsewhere: what is new must have lasted long, what is known need not wait. */
Test(cache_version, c6_on_an_image_that_is_never_quiet_new_bytes_must_last_longer)
{
	struct cache_bytes bytes;
	struct cache_node node;
	int64_t start_ns;

	start_files(DEVICE_EVENTS);
	node = open_file("small.bin");
	start_ns = memory.now_ns;
	for (;;) {
		struct cache_op op = { .may_block = true };

		write_elsewhere();
		if (cache_version_read(node.version, &op, 0, PIECE, &bytes) == 0)
			break;
		memory.now_ns += 20 * MS;
	}
	cache_bytes_release(&bytes);
	cr_expect_geq(memory.now_ns - start_ns, 10 * 200 * MS);
	cr_expect_leq(memory.now_ns - start_ns, 10 * 200 * MS + 50 * MS);
	write_elsewhere();
	cr_expect_eq(read_at(&node, 1, PIECE, PIECE), 0);
	cr_expect_eq(reader.waited_ns, 0);
	close_file(&node);
	end_files();
}

Test(cache_version, c2_an_unknown_chunk_that_changes_while_it_is_read_is_waited_for)
{
	struct cache_op op = { .may_block = true };
	struct cache_bytes bytes;
	struct cache_node node;

	start_files_with(DEVICE_EVENTS, 1000, 1 << 20);
	node = open_file("small.bin");
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	overwrite_cluster(1, 2);
	cr_expect_eq(cache_version_read(node.version, &op, 70000, PIECE, &bytes), -EINPROGRESS);
	overwrite_cluster(0, 2);
	cr_expect_eq(read_at(&node, 1, 70000, PIECE), -ESTALE);
	close_file(&node);
	end_files();
}

Test(cache_version, c2_a_chain_that_is_too_short_is_an_error_when_it_has_lasted)
{
	struct cache_node node;

	start_files(DEVICE_EVENTS);
	expect_fetch("small.bin", 1, 150000);
	settle();
	fat_image_link(volume.fat, 4, fat_image_end_mark(volume.fat));
	memory_device_write(&memory, 0, volume.bytes, 1);
	node = look_up("small.bin");
	cr_expect_eq(reader_open(&reader, node.version), -EIO);
	cr_expect_gt(reader.waited_ns, 150 * MS);
	fat_image_link(volume.fat, 4, 3);
	memory_device_write(&memory, 0, volume.bytes, 1);
	cr_expect_eq(reader_open(&reader, node.version), 0);
	close_file(&node);
	end_files();
}

Test(cache_version, c3_another_chain_is_another_version)
{
	struct file moved = small;
	struct cache_node node;

	start_files(DEVICE_EVENTS);
	expect_fetch("small.bin", 1, 150000);
	node = open_file("small.bin");
	moved.clusters[1] = 10;
	small_volume_put(&volume, &moved);
	memory_device_write(&memory, 0, volume.bytes, 1);
	settle();
	cr_expect_eq(reader_open(&reader, node.version), -ESTALE);
	expect_fetch("small.bin", 1, 150000);
	close_file(&node);
	end_files();
}

/* ---- failures ------------------------------------------------------------ */

Test(cache_version, e_a_device_that_fails_is_an_error_of_that_read)
{
	struct cache_node node;

	start_files_with(DEVICE_EVENTS, 1000, 1 << 20);
	node = open_file("small.bin");
	memory.fail_data = -EIO;
	cr_expect_eq(read_at(&node, 1, 0, PIECE), -EIO);
	memory.fail_data = 0;
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	close_file(&node);
	end_files();
}

Test(cache_version, c8_an_image_cut_under_a_file_is_an_error_until_it_is_whole)
{
	uint64_t size_bytes;
	struct cache_node node;

	start_files(DEVICE_EVENTS);
	size_bytes = volume.size_bytes;
	node = open_file("small.bin");
	memory_device_resize(&memory, volume.bytes, small_volume_offset(&volume, 3));
	settle();
	cr_expect_eq(read_at(&node, 1, 0, 150000), -EIO);
	memory_device_resize(&memory, volume.bytes, size_bytes);
	settle();
	cr_expect_eq(read_at(&node, 1, 0, 150000), 0);
	close_file(&node);
	end_files();
}

/* As one that is being copied to where it is. */
Test(cache_version, c8_an_image_that_was_cut_when_first_seen_is_read_when_it_is_whole)
{
	struct cache_attributes attributes;
	unsigned char *content;
	uint64_t size_bytes;

	start_files(DEVICE_EVENTS);
	size_bytes = volume.size_bytes;
	memory_device_resize(&memory, volume.bytes, small_volume_offset(&volume, 3));
	settle();
	cr_expect_eq(reader_fetch(&reader, "small.bin", PIECE, &content, &attributes), -EIO);
	memory_device_resize(&memory, volume.bytes, size_bytes);
	settle();
	expect_fetch("small.bin", 1, 150000);
	end_files();
}

Test(cache_version, s1_users_may_go_in_any_order)
{
	struct cache_node node, root;

	start_files(DEVICE_EVENTS);
	cr_assert_eq(reader_walk(&reader, "", &root), 0);
	node = open_file("small.bin");
	cr_expect_eq(read_at(&node, 1, 0, PIECE), 0);
	cache_image_put(reader.image);
	node_put_any(&root);
	cr_expect_eq(memory.closes, 0);
	cr_expect_eq(read_at(&node, 1, 5000, PIECE), 0);
	close_file(&node);
	cr_expect_eq(memory.closes, 1);
	cache_free(reader.cache);
	small_volume_free(&volume);
}

Test(cache_version, s1_thousands_of_superseded_versions_cost_nothing)
{
	struct cache_node held;

	start_files(DEVICE_EVENTS);
	held = open_file("small.bin");
	cr_expect_eq(read_at(&held, 1, 0, PIECE), 0);
	for (unsigned round = 0; round < 3000; round++) {
		overwrite(round % 100 + 10);
		settle();
		expect_fetch("small.bin", round % 100 + 10, 150000);
	}
	expect_kept(0, 0);
	cr_expect_eq(read_at(&held, 1, 0, 150000), -ESTALE);
	close_file(&held);
	end_files();
}
