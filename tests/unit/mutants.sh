#!/bin/sh
# mutants.sh - does a test fail for every rule of cache/ that is broken?
#
# usage: mutants.sh BUILD [PATTERN]
#
# Each mutant is one small change to a copy of cache/, made by perl, with the
# program that must notice: `model` is the model check (cache_model), others are
# units. A mutant whose text is not found any more is an error, so that this
# list keeps up with the code. BUILD is a build directory, whose libraries of
# fat/ and part/ are linked; PATTERN picks mutants by their description.

# shellcheck disable=SC2016 # the dollar signs are perl's
set -eu

case ${1:--h} in -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit ;; esac

build=$1 pattern=${2:-.}
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc="${CC:-cc} -std=gnu17 -O1 -w -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DMODEL_DEPTH=1 -I$work -I$top/tests/unit"
total=0 alive=0

# The tree as the sources see it: cache/ is a copy, the rest is the real one.
ln -s "$top/base" "$top/fat" "$top/part" "$work/"
mkdir "$work/objects"

restore() { rm -rf "$work/cache" && cp -r "$top/cache" "$work/cache"; }

# All of cache/ anew if a header may have changed, else only that file.
compile()
{
	case $1 in
	*.h) (cd "$work/cache" && find . -name '*.c') | while read -r source; do compile "$source"; done ;;
	*) $cc -c "$work/cache/$1" -o "$work/objects/$(basename "$1" .c).o" ;;
	esac
}

# What a unit has itself (connections, say) is linked in the place of what cache/ has.
link_unit()
{
	case $1 in cache_page_news) wrap=-Wl,--wrap=reallocarray ;; *) wrap= ;; esac
	$cc -Wl,--allow-multiple-definition $wrap -o "$work/$1" "$work/tests/$1"*.o "$work/tests/helpers.a" "$work"/objects/*.o \
		"$build/part/libimagefs_part.a" "$build/fat/libimagefs_fat.a" \
		-lblkid -lxxhash -lcriterion -lpthread
}

restore
compile all.h
mkdir -p "$work/tests/helpers"
for helper in cache_device cache_feed cache_page_feed cache_model_reader cache_model_run cache_model_script cache_reader cache_told cache_volume fat_image; do
	$cc -c "$top/tests/unit/$helper.c" -o "$work/tests/helpers/$helper.o"
done
ar rcs "$work/tests/helpers.a" "$work"/tests/helpers/*.o
for unit in cache_model cache_compare cache_read_on cache_version cache_version_blind cache_version_copies \
	cache_version_files cache_version_stream cache_dir cache_dir_nodes cache_dir_volume cache_image cache_share cache_validation \
	cache_kept cache_watch cache_disk cache_extents cache_clone_map cache_hints cache_readahead \
	cache_write_log cache_write_log_guards cache_write_log_strangers cache_pairing cache_held cache_reporter \
	cache_kernel cache_kernel_image cache_kernel_guards cache_kernel_marks cache_kernel_opener \
	cache_writes_page cache_page_news cache_nbd_writes cache_nbd_message; do
	$cc -c "$top/tests/unit/$unit.c" -o "$work/tests/$unit.o"
done

# Where the kernel announces no writes, nothing can notice.
link_unit cache_kernel
"$work/cache_kernel" --filter 'cache_kernel/c5_a_write_is*' 2>&1 | grep -q 'Tested: 1' && can_listen=1 || can_listen=

# mutant DESCRIPTION UNIT FILE PERL
mutant()
{
	case $1 in *$pattern*) ;; *) [ "$pattern" = . ] || return 0 ;; esac
	[ "$2" != kernel ] || [ "$can_listen" ] || return 0
	total=$((total + 1))
	perl -0pi -e "$4" "$work/cache/$3"
	if cmp -s "$work/cache/$3" "$top/cache/$3"; then
		echo "not found any more: $1 ($3)" >&2
		alive=$((alive + 1))
		return 0
	fi
	compile "$3"
	link_unit "cache_$2"
	if timeout 100 "$work/cache_$2" --fail-fast -j8 >"$work/log" 2>&1; then
		echo "ALIVE: $1 ($3)"
		alive=$((alive + 1))
	else
		echo "killed by $2: $1: $(sed -n 's/^  broken: //p; s/^\[FAIL\] //p; s/^\[----\]   The/The/p' "$work/log" | head -n 1)"
	fi
	cp "$top/cache/$3" "$work/cache/$3"
	compile "$3"
}

# ---- cached metadata ----
mutant "believe without comparing the validation" model tree/cached.c \
	's/result = validation_verify\(&cached->validation, .*?\);/result = 1;/s'
mutant "believe a parse though the generation moved" dir tree/cached.c \
	's/return image_untouched\(image, generation, set\) \?/return true ?/'
mutant "new metadata is settled at once" model tree/cached.c \
	's/cached->since_ns = image->seen.now_ns - /cached->since_ns = INT64_MIN \/ 2 + /'
mutant "everything is settled at once" model tree/settle.c \
	's/(bool image_settled\(.*?\)\n\{)/$1\n\treturn true;/s'
mutant "an image need not be quiet" model tree/settle.c \
	's/if \(lasted_ns >= lasting_ns\)/if (lasted_ns >= settle_ns \/ 8)/'
mutant "an error is answered before it has lasted" version tree/cached.c \
	's/cached->error != 0 && !cached_settled\(image, op, cached, cached->since_ns, where\)/false/'
mutant "an error of the device is remembered" dir tree/cached.c \
	's/failed = recording.failed && \*parse_error != 0/failed = false/'

# ---- directories ----
mutant "ENOENT without settling" model tree/lookup.c \
	's/return cached_settled\([^?]*\? -ENOENT : -EINPROGRESS/return -ENOENT/'
mutant "a new entry is shown at once" model tree/lookup.c \
	's/if \(!cached_settled\(image, op, &dir->cached, slot->since_ns, &dir->place.range\)\)/if (0)/'
mutant "a listing is shown at once" model tree/lookup.c \
	's/if \(!cached_settled\(dir->image, op, &dir->cached, dir->cached.since_ns, &dir->place.range\)\)/if (0)/'
mutant "the number of what was read stays in its slot" dir tree/version.c \
	's/return !version->extents && version->known_count == 0 && !version->kept &&/return/'
mutant "the number of what was only looked up is lost" dir tree/dir.c \
	's/slot->blank_id = blank_id;/slot->blank_id = 0;/'
mutant "a version outlives its entry" model tree/dir.c \
	's/memcmp\(a->raw, b->raw, sizeof\(a->raw\)\) == 0 &&/a->size_bytes == b->size_bytes &&/'
mutant "the parent is not looked at" dir tree/path.c \
	's/dir && !is_as_seen\(dir\); dir = dir->parent/dir \&\& !is_as_seen(dir); dir = NULL/'
mutant "what leads to a directory may be of an older generation" dir tree/path.c \
	's/if \(error != 0 \|\| image->seen.generation == generation\)\n\t\t\treturn error/return error/; s/if \(error == 0 && image->seen.generation == generation\)\n\t\t\tat->path_checked = generation/if (error == 0)\n\t\t\tat->path_checked = image->seen.generation/'
mutant "a subdirectory that went is kept" dir tree/dir.c \
	's/(static void slot_clear\(struct slot \*slot\)\n\{)/$1\n\tif (slot->kind == SLOT_DIR) return;/'
mutant "a version that ended stays in its slot" model tree/dir.c \
	's/\tif \(slot\)\n\t\tslot_clear\(slot\);//'
mutant "directories that lead back are followed" dir tree/dir.c \
	's/if \(leads_back\(dir, entry->first_cluster\)\)/if (0)/'

# ---- versions: open ----
mutant "entry and chain are not looked at at open" model tree/open.c \
	's/(int version_check.*?)int error = path_refresh_version\(version, op\);/$1int error = version->chain.loaded ? 0 : path_refresh_version(version, op);/s'
mutant "another chain is the same version" version tree/path.c \
	's/return version->chain_changed \? dir_supersede\(version\) : error;/return error;/'
mutant "open believes what was believed before" model tree/open.c \
	's/seen->steady && seen->in_flight == 0 && version->data_checked == seen->generation/version->data_checked != 0/'
mutant "what was handed out is not compared at open" model tree/open.c \
	's/error = compare_known\(version, op, what,[^;]*;/error = 0;/'
mutant "a known chunk may differ" model tree/compare.c \
	's/if \(chunk_known\(version, chunk\)\) \{\n\t\t\timage_differs\(version->image\);\n\t\t\treturn dir_supersede\(version\);\n\t\t\}//'
mutant "comparing takes as long as it takes" version tree/compare.c \
	's/start_ns > end_ns \?/false ?/'
mutant "a retired version is gone" version tree/dir.c \
	's/version->retired = true;\n\tnode_pin/version->detached = true;\n\t$&/'
mutant "a retired version gives its number to the next one" version tree/dir.c \
	's/\*slot = \(struct slot\)\{ \.since_ns = slot->since_ns, \.kind = SLOT_EMPTY \}/slot->kind = SLOT_EMPTY, slot->blank_id = version->id/'
mutant "the entry of a retired version is not looked at" version tree/path.c \
	's/version->retired && !dir_has_entry/0 \&\& !dir_has_entry/'
mutant "open in the midst of a reported update" model tree/open.c \
	's/ && !has_lasted\(version, op\)\)/ \&\& 0)/'
mutant "what was preserved may be in the image" model tree/open.c \
	's/if \(version->guard && !guard_is_pristine\(version->guard\)\)/if (0)/g'
mutant "a write in flight is waited for by nobody" model tree/open.c \
	's/if \(!image_is_quiet\(image, image->seen.now_ns, &version->place.range\)\)/if (false)/'

# ---- versions: read ----
mutant "new content need not last" model tree/read.c \
	's/if \(must_ns > 0 && reader.lasted_ns < must_ns\)/if (0)/'
mutant "where nothing tells all is quiet" version tree/version.c \
	's/return image->seen.blind \? image->cache->settings.settle_ns : 0;/return 0;/'
mutant "what is seen first on a device without signs is old" dir tree/settle.c \
	's/image->seen.blind && !image->seen.signless/image->seen.blind/'
mutant "without signs no difference is one" dir tree/image.c \
	's/image->seen.signless && image->differed_ns != 0/0/'
mutant "content lasts from when it was last seen" model tree/chunk.c \
	's/ \|\| !chunk_equal\(version, chunk, hash\)\)/)/'
mutant "a steady read is believed whatever happened meanwhile" model tree/read.c \
	's/if \(seen->generation != generation \|\| seen->in_flight != 0 \|\| version->data_checked != generation\)/if (0)/'
mutant "what is known is not compared after the read" version tree/read.c \
	's/error = compare_known\(version, reading->op, COMPARE_ALL, WAIT_COMPARE_ALL_NS\);/chunks_join(version); error = 0;/'
mutant "entry and chain are not looked at after the read" version tree/read.c \
	's/(error = compare_known.*?)error = path_refresh_version\(version, reading->op\);/$1error = 0;/s'
mutant "known bytes may be others" model tree/read.c \
	's/if \(!span_agrees\(reading->version, &reading->span, reading->hashes\)\)/if (0)/'
mutant "a copy is not used" version tree/read.c 's/if \(version->kept\)\n\t\treturn read_copy\(/if (0)\n\t\treturn read_copy(/'
mutant "a read goes on beyond the end" version tree/read.c \
	's/if \(offset_bytes >= version->entry.size_bytes\)\n\t\treturn 0;//; s/length_bytes = \(size_t\)min_u64\(length_bytes, version->entry.size_bytes - offset_bytes\);//'

# ---- versions: copies ----
mutant "a copy stays for ever" version tree/tree.c \
	's/\t\tversion_drop_content\(version\);\n\t\tversion->image/\t\tversion->image/'
mutant "a copy that nobody waits for any more is kept" version tree/copy.c \
	's/version->kept \|\| atomic_load\(&version->opens\) == 0/version->kept/; s/atomic_load\(&version->opens\) == 0 \? -ECANCELED : 0/0/'
mutant "a copy of what did not last is believed" model tree/copy.c \
	's/if \(!one_moment && since_ns != 0 && \(must_ns == 0 \|\| start_ns - since_ns < must_ns\)\)/if (0)/'
mutant "a copy need not be what was handed out" model tree/copy.c \
	's/if \(!span_agrees\(version, &all, hashes\)\)/if (0)/'
mutant "a copy is for who opened it after it was begun" version tree/copy.c 's/version->opened != opened/false/'
mutant "stream: what grows may be opened" version tree/open.c 's/if \(version->growing\)/if (0)/'
mutant "stream: what was noted is not looked at" version tree/stream.c 's/same &= chunk_equal[^;]*;/same = true;/'
mutant "stream: what was noted need not last" version tree/stream.c 's/if \(more_ns > 0\)/if (0)/'
mutant "stream: what was noted is lost to the next" version tree/dir.c 's/\tchunks_take_over\(next, retired\);//'
mutant "stream: what was handed out is compared later" version tree/stream.c 's/chunk < begin->behind_known \|\| //'
mutant "stream: it is served when all is there" version tree/stream.c 's/version->grown_bytes = min_u64/(void)min_u64/'
mutant "stream: what differs goes on" version tree/stream.c 's/return dir_supersede\(version\);/return 0;/'
mutant "stream: entry and chain are not looked at" version tree/stream.c 's/error = look_again\(version, op, begin\);/(void)look_again;/'
mutant "files have no share" kept device/kept.c \
	's/!share_take\(&kept->budget->file, length_bytes\)/(share_count(&kept->budget->file, 0, length_bytes), false)/'
mutant "large files are copied" version tree/copy.c \
	's/version->entry.size_bytes <= image->cache->settings.keep_limit_bytes/true/'

# ---- shares of memory ----
mutant "an image lets go of nothing" share tree/tree.c 's/if \(!image_is_crowded\(image\)\)\n\t\treturn;/return;/'
mutant "an image is refused nothing" share tree/image.c 's/bool image_has_room\(.*?\n\{/$&\n\treturn true;/s'
mutant "what is read again is new" share tree/dir.c 's/dir->cached.reread \? dir->cached.since_ns : //'
mutant "what was let go is not there" share tree/lookup.c 's/path_complete_dir\(dir, op\)/path_refresh_dir(dir, op)/g'
mutant "what nodes stand for is let go" share tree/dir.c 's/size_t filled = count_filled\(dir\);/size_t filled = 0;/'

# ---- extents ----
mutant "whoever closes a large copy waits for it" kept device/kept.c 's/kept->size_bytes <= LARGE_BYTES \|\|/true ||/'
mutant "runs may overlap" extents device/extents.c \
	's/if \(image_end\(in_image\(extents, i - 1\)\) > in_image\(extents, i\)->image_bytes\)/if (0)/'
mutant "runs may leave a gap" extents device/extents.c 's/run->file_bytes != at \|\|//'
mutant "runs are in the image as in the file" extents device/extents.c 's/\tif \(ascending\)\n/\tif (true)\n/'
mutant "each piece is read by itself" extents device/extents.c 's/part->image_bytes - \*end > GAP_BYTES/true/'
mutant "all that is between pieces is read" extents device/extents.c 's/part->image_bytes - \*end > GAP_BYTES/false/'
mutant "pieces are read one after the other" extents device/extents.c 's/result == 1 && gathering->next < gathering->count/false/'
mutant "pieces are taken as they are in the file" extents device/extents.c 's/if \(!ascending\)\n\t\tqsort/if (false)\n\t\tqsort/'
mutant "a piece is read in place that has none" extents device/extents.c 's/next == first \+ 1 \? place_of\(gathering, &gathering->parts\[first\]\) : NULL/gathering->target + (gathering->parts[first].file_bytes - gathering->offset_bytes)/'

# ---- writes in flight ----
mutant "what is in flight is not done yet" model tree/cached.c 's/ \|\| image->seen.in_flight != 0\) \{/) {/'
mutant "what is in flight in a directory is not done yet" model tree/path.c \
	's/ && image->seen.in_flight == 0;/;/'
mutant "what was saved is not read" model tree/read_guarded.c 's/if \(state == GUARD_SAVED\)/if (0)/'

# ---- write log ----
log=changes/write_log.c state=changes/log_state.c trust=changes/trust.c
mutant "write log: a write that ended moves no generation" model changes/history.c 's/\{ \+\+history->generation, \*range/{ history->generation, *range/'
mutant "write log: writes in flight are no change" write_log $log 's/ranges\[count\+\+\] = log->flights.all\[i\].range;/;/'
mutant "write log: ranges there is no room for are none" write_log $log 's/if \(count == capacity\)\n\t\t\treturn -1;/if (count == capacity)\n\t\t\tbreak;/'
mutant "write log: what is not remembered was not told" write_log changes/history.c 's/history->floor = history->entries/history->floor = history->gap = history->entries/'
mutant "write log: what was not told was" write_log changes/history.c 's/history->floor = history->gap = \+\+history->generation;\n\thistory->epoch/history->floor = ++history->generation;\n\thistory->epoch/'
mutant "write log: what falls out of the log did not happen" write_log changes/history.c 's/history->floor = history->entries\[history->first\].generation;//'
mutant "write log: what is appended late is old" write_log changes/history.c 's/if \(last\)\n\t\tended_ns = [^;]*;//'
mutant "write log: two looks may be of one moment while a write is executed" write_log $trust 's/if \(log->feed && seen->in_flight > 0\)\n\t\tlog->history.generation\+\+;//'
mutant "write log: what is queued is nothing as long as something is in flight" write_log $trust 's/ \|\| log->flights.count > 0//'
mutant "write log: what is queued is nothing when the device shows something else" write_log $trust 's/!seen->steady \|\|\n\t       seen->generation != log->device_generation/!seen->steady/'
mutant "write log: the feed is not drained" model $trust 's/log->feed->ops->drain\(log->feed\);/;/'
mutant "write log: a read was a write" write_log $log 's/each_flight\(log, teller, &id, forget_read\)/each_flight(log, teller, \&id, end_flight)/'
mutant "write log: a partition with a write in flight is quiet" write_log changes/burst.c 's/if \(running\)\n\t\tburst->quiet_ns = 0;//'
mutant "write log: a burst ends where it is looked at" write_log changes/burst.c 's/if \(burst->start_ns - entry->ended_ns >= rest_ns\)/if (true)/'
mutant "write log: a burst is as old as what is known of it" write_log changes/burst.c \
	's/if \(burst->start_ns - log->history.floor_ns < rest_ns\)\n\t\tburst->generation = 0;//'
mutant "write log: what is in flight is no part of the burst" write_log changes/burst.c 's/burst->generation = flight->generation;/;/'
mutant "write log: quiet counts from when an uncertain write is over" write_log $state 's/state_land\(log, index, begun_ns, /state_land(log, index, log->monotonic_ns(), /'
mutant "write log: untracked ranges are tracked" write_log changes/untracked.c 's/if \(cache_range_is_inside\(range, &untracked->ranges\[i\]\)\)/if (false)/'
mutant "write log: half of a write is untracked" write_log changes/untracked.c 's/if \(cache_range_is_inside\(/if (cache_ranges_overlap(/'
mutant "write log: what was untracked is known" write_log $log \
	's/(untracked_hold\(&log->untracked, &log->flights.all\[i\].range\);\n)\tlog_state_start_over\(log\);/$1/'
mutant "write log: what is in flight stays untracked" write_log $log \
	's/log->flights.all\[i\].untracked = untracked_hold\(&log->untracked, &log->flights.all\[i\].range\);/;/'
mutant "write log: a flood is followed" write_log changes/flights.c 's/capacity > FLIGHTS_MAX \?/false ?/'
mutant "write log: what cannot be followed is known" write_log $log 's/return true;\n\tlog_state_start_over\(log\);/return true;/'
mutant "write log: the kernel's writes are in flight for ever" write_log $state 's/if \(now_ns - flight->begun_ns >= WAIT_CTIME_LAG_NS\)/if (false)/'
mutant "write log: a long write is not uncertain" write_log $state 's/else if \(now_ns - flight->begun_ns >= WAIT_SETTLE_NS\)\n\t\t\tflight->uncertain = true;//'
mutant "write log: a server's writes grow old" write_log $state 's/if \(flight->teller != log->feed\)\n\t\t\tcontinue;//'
mutant "write log: a write without an end is over at once" model $log 's/if \(flight->untracked\)\n\t\tlog_state_land_uncertain/if (true)\n\t\tlog_state_land_uncertain/'
mutant "write log: an uncertain write keeps its id" write_log $log 's/flight->id = UINT64_MAX;//'
mutant "write log: strangers do not matter" write_log $state 's/(void log_state_stranger\(.*?)\n\tlog->exact = false;\n\tlog_state_start_over\(log\);/$1/s'
mutant "write log: a stranger is gone at once" write_log $trust 's/now_ns - log->stranger_ns < WAIT_STRANGER_NS\)\n\t\t\*why/false)\n\t\t*why/'
mutant "write log: a change time needs no explanation" model $trust 's/was_exact && is_unexplained\(log, seen\)/false/'
mutant "write log: no write explains a change afterwards" write_log changes/windows.c 's/windows->last\[i\].end_ns != 0 &&/false \&\&/'
mutant "write log: only the last write explains a change" write_log changes/windows.c 's/i < WINDOWS; i/i < 1; i/'
mutant "write log: what is in flight explains nothing" write_log changes/windows.c 's/if \(at_ns >= flights->all\[i\].begun_ns - STAMP_MARGIN_NS\)/if (false)/'
mutant "write log: what is in flight explains what was before it" write_log changes/windows.c 's/if \(at_ns >= flights->all\[i\].begun_ns - STAMP_MARGIN_NS\)/if (true)/'
mutant "write log: an untracked write without an end explains nothing" write_log $state 's/begun_ns \+ WAIT_SETTLE_NS\);/begun_ns - WAIT_S);/'
mutant "write log: counters have no meaning" write_log $trust 's/seen->now_ns - log->last_end_ns > WRITEBACK_NS/false/'
mutant "write log: counters do not move by themselves" write_log $trust 's/seen->now_ns - log->last_end_ns > WRITEBACK_NS/true/'
mutant "write log: a gap in listening is none" write_log $trust 's/log->exact = false;\n\tlog->began_ns = [^;]*;//'
mutant "write log: nothing was under way when listening began" write_log $trust 's/seen->steady \? 0 : log->began_ns \+ WAIT_CTIME_LAG_NS;/0;/'
mutant "write log: what was under way unannounced passes for what is announced" model $trust 's/else if \(log->settles_ns == 0 && !seen->steady/else if (false/'
mutant "write log: an old stranger has begun nothing" write_log $trust 's/if \(log->began_ns == 0 && log->exact && !was_exact\)\n\t\tlog->began_ns = seen->now_ns;//'
mutant "write log: another size is nothing" write_log $trust 's/if \(seen->size_bytes != log->size_bytes\)\n\t\t\tlog_state_start_over/if (false)\n\t\t\tlog_state_start_over/'
mutant "write log: the device's signs never count" model $trust 's/\} else if \(moved\) \{/} else if (false) {/'
mutant "write log: a blind device is exact" write_log $trust 's/if \(log->blind\)/if (false)/'
mutant "write log: a write that never ends is waited for" write_log $trust 's/> STUCK_NS/> INT64_MAX \/ 2/'
mutant "write log: one that never ends in an untracked range matters" write_log $trust 's/ && !log->flights.all\[i\].untracked &&\n/ \&\&\n/'
mutant "write log: who cannot be followed is believed" write_log $trust 's/log->listening_ns == 0 && log->distrusted > 0/false/'
mutant "write log: servers stand in for a feed that ended" write_log $log 's/if \(log->feed\)\n\t\treturn;//'
mutant "write log: a guard is set up while its bytes are written" write_log changes/guards.c 's/!flights->all\[i\].uncertain && extents_touch/false \&\& extents_touch/'
mutant "write log: no guard is set up while an end is not told" write_log changes/guards.c 's/!flights->all\[i\].uncertain && extents_touch/extents_touch/'
mutant "write log: a guard is set up though its bytes were written" write_log changes/guards.c 's/ \|\| written_since\(log, guard, generation\)//'
mutant "write log: a guard is set up though all is to be looked at" write_log changes/guards.c 's/return generation < log->history.floor \|\| written_since/return written_since/'
mutant "write log: it is exact while writes may be under way" write_log $trust 's/seen->exact = log->exact && log->settles_ns == 0;/seen->exact = log->exact;/'
mutant "write log: guards outlast what was not told" write_log changes/history.c 's/history->epoch\+\+;//'
mutant "write log: an old guard has writers wait" write_log changes/guards.c 's/is_of_this_epoch\(log, guard\) && extents_touch/extents_touch/'
mutant "write log: nothing is preserved" model $log 's/if \(!flight.untracked\)\n\t\tguards_save_before\(log, range, saving\);//'

# ---- pairing ----
mutant "pairing: an end is everybody's" pairing changes/pairing.c 's/write_log_end\(pairing->log, pairing->teller, \(uint64_t\)thread\) > 0/write_log_end_all(pairing->log, pairing->teller)/'
mutant "pairing: who announces again has ended" model changes/pairing.c 's/write_log_end_unknown\(pairing->log, pairing->teller, id\) > 0/write_log_end(pairing->log, pairing->teller, id) > 0/'
mutant "pairing: who has several requests has one the next time" pairing changes/pairing.c 's/thread == 0 \|\| \(.*?\);/thread == 0;/s'
mutant "pairing: threads without a number are one" pairing changes/pairing.c 's/thread == 0 \|\| //'
mutant "pairing: an end is not heard of" pairing changes/pairing.c 's/(if \(has_several\(pairing, thread\)\))\n\t\tnote_several\(pairing, thread\);\n\telse if/$1\n\t\t;\n\telse if/'
mutant "pairing: a read is not heard of" pairing changes/pairing.c 's/ && has_several\(pairing, thread\)\)\n/ \&\& false)\n/'
mutant "pairing: what was under way is a stranger's" pairing changes/pairing.c 's/!met && write_log_now/false \&\& write_log_now/'
mutant "pairing: any number was under way" pairing changes/pairing.c 's/!met && //'
mutant "pairing: something is under way for ever" pairing changes/pairing.c 's/< WAIT_SETTLE_NS\)/< INT64_MAX)/'
mutant "pairing: who announced was not heard of" pairing changes/pairing.c 's/\tmeet\(pairing, thread\);\n\tif \(range/\tif (range/'
mutant "pairing: an end that was not announced is nothing" pairing changes/pairing.c 's/write_log_start_over\(pairing->log\);\n\telse\n\t\twrite_log_stranger\(pairing->log\);/;/'
mutant "pairing: a size is one byte" pairing changes/pairing.c 's/\(uint64_t\)INT64_MAX - range->offset_bytes \}/1 }/'
mutant "pairing: a size is set at once" pairing changes/pairing.c 's/write_log_end_unknown\(pairing->log, pairing->teller, SIZE_ID\)/write_log_end(pairing->log, pairing->teller, SIZE_ID)/'
mutant "pairing: a read is a write" pairing changes/pairing.c 's/write_log_was_read\(/write_log_end(/'
mutant "pairing: what cannot be followed is known" pairing changes/pairing.c 's/if \(!(write_log_begin\(.*?\))\)\n\t\twrite_log_stranger\(pairing->log\);/$1;/'

# ---- held, guards, preserving ----
mutant "held: a writer goes on before its bytes are preserved" held changes/held.c 's/\tsaving_run\(writer->saving\);\n//'
mutant "held: a writer is answered twice" held changes/held.c 's/if \(writer->event_fd >= 0\)\n//'
mutant "held: what is lost is not counted" held changes/held.c 's/if \(writer->log\)\n\t\twrite_log_count_lost\(writer->log, lost\);//'
mutant "held: a log that went is counted in" held changes/held.c 's/writer->log = NULL;/;/'
mutant "held: nobody is late" held changes/held.c 's/if \(writer->until_ns <= now_ns\)/if (false)/'
mutant "held: the next one's time is not told" held changes/held.c 's/else if \(writer->until_ns < next_ns\)\n\t\t\tnext_ns = writer->until_ns;//'
mutant "held: an image has no share" held changes/held.c 's/ && count < WRITERS_OF_AN_IMAGE//'
mutant "held: there is no end of writers" held changes/held.c 's/held->count < WRITERS_MAX && //'
mutant "guard: nothing is saved before it is overwritten" model changes/guard.c \
	's/if \(error == 0\)\n\t\tsettle_chunk\(guard, chunk, guard->saved, length_bytes\);//'
mutant "guard: what was given up is in the image" write_log changes/guard.c 's/guard->given_up\[guard->given_up_count\+\+\] = \*range;/;/'
mutant "guard: what cannot be read is in the image" write_log changes/guard.c 's/if \(error != 0\)\n\t\tsettle_chunk\(guard, chunk, guard->lost, 0\);//'
mutant "preserve: any amount is saved in a moment" write_log changes/guard.c 's/if \(bytes > NOW_BYTES\)\n\t\treturn false;//'

# ---- reporters ----
mutant "reporter: a broken stream is believed" reporter changes/reporter.c 's/if \(reporter->speaks && !notify_form_is_exact\(reporter->parser.form\)\)/if (false)/'
mutant "reporter: who is not believed is followed" reporter changes/reporter.c 's/if \(reporter->distrusted \|\| write_log_has_feed/if (write_log_has_feed/'
mutant "reporter: what who is not believed has in flight stays" reporter changes/reporter.c 's/(reporter->distrusted = true;)\n\twrite_log_end_all\(reporter->log, reporter\);/$1/'
mutant "reporter: writes count where the kernel tells" reporter changes/reporter.c 's/ \|\| write_log_has_feed\(reporter->log\)//'
mutant "reporter: any number of begins is followed" reporter changes/reporter.c 's/taking->events > EVENTS_MAX \|\|\n/\n/'
mutant "reporter: any number of ends is followed" reporter changes/reporter.c 's/(case NOTIFY_END:.*?)if \(taking->events > EVENTS_MAX\)/$1if (false)/s'
mutant "reporter: who goes leaves writes in flight" reporter changes/reporter.c 's/write_log_end_all\(reporter->log, reporter\);\n\twrite_log_count/write_log_count/'
mutant "reporter: who goes is believed still" reporter changes/reporter.c 's/-reporter->speaks, -reporter/0, -reporter/'
mutant "reporter: who goes is not followed still" reporter changes/reporter.c 's/-reporter->distrusted\)/0)/'
mutant "reporter: flush is nothing" reporter changes/reporter.c 's/write_log_start_over\(reporter->log\);//'
mutant "reporter: who says flush reports" reporter changes/reporter.c 's/\(form != NOTIFY_FORM_TEXT \|\| taking->spoke\)/true/'
mutant "reporter: what was answered before is not lost" reporter changes/reporter.c 's/write_log_count_lost\(reporter->log, saving_give_up\(saving\)\);/saving_run(saving);/'

# ---- pages of writes ----
writes=changes/nbd_writes.c
mutant "told: any connection is to the page's server" nbd_writes $writes \
	's/if \(writes->instance_ns > name->begun_ns \|\| at->begun_ns < name->talks_ns\)/if (0)/'
mutant "told: the page's connection may be older" nbd_writes $writes \
	's/writes->instance_ns > name->begun_ns \|\| at->begun_ns < name->talks_ns/writes->instance_ns > name->begun_ns/; s/int64_t since_ns = name.connection == writes->verified \? 0 : name.talks_ns;/int64_t since_ns = 0;/'
mutant "told: the page need not be seen before" nbd_writes $writes 's/writes->instance_ns > name->begun_ns \|\| //'
mutant "told: what is connected stays of another instance" nbd_writes $writes 's/writes->verified = 0;\n//'
mutant "told: another instance goes on" nbd_writes $writes 's/(writes->verified = 0;)\n\tpage_news_forget\(&writes->news\);/$1/'
mutant "told: connections in between are not asked about" nbd_writes $writes \
	's/writes->verified != 0 && name->connection != writes->verified \+ 1/false/'
mutant "told: what was read ahead stays" nbd_writes $writes 's/nbd_device_set_told\(writes->device, true\);//'
mutant "told: an instance outlives its page" nbd_writes $writes 's/writes->instance_ns = 0;//'
mutant "told: an instance is as old as its connection" nbd_writes $writes \
	's/(writes->instance_ns = )clock_now_ns\(CLOCK_MONOTONIC\)/$1writes->asked_ns - 1000000000/'
mutant "told: a page that counts nothing is believed" nbd_writes $writes 's/page_news_counts\(&writes->news\) \? NULL : uncounted/NULL/'
mutant "told: a page that comes late is not read" nbd_writes $writes 's/ \|\|\n\t +\(atomic_load\(&writes->why_not\) == unreached[^;]*;/;/'
mutant "told: without memory it is told all the same" page_news changes/write_log.c \
	's/(!flights_add\(&log->flights, &flight\)\)\n\t\t\t)return false/$1log_state_start_over(log)/'
mutant "writes_page: counters that are new are those of the header's moment" writes_page changes/formats/writes_page.c \
	's/any = any \|\| \(!now/any = any || (any && !now/'
mutant "told: a page is not looked for again" nbd_writes $writes 's/writes->again_ns != 0 && /false \&\& /'
mutant "told: a page is asked for beside the image" nbd_writes $writes 's/return !nbd_device_is_connected\(writes->device\) \|\|/return true ||/'
mutant "told: what is in flight is not" model changes/page_news.c \
	's/told.in_flight_count =\s+found\(.*?\);/told.in_flight_count = 0;/s'
mutant "told: what was written is not" model changes/page_news.c \
	's/told.written_count = found\(.*?\);/told.written_count = 0;/s'
mutant "told: it began when it was found" page_news changes/page_news.c 's/told.since_ns = news->last.asked_ns;//'
mutant "told: another page goes on" page_news changes/page_news.c 's/if \(news->known\) \{/if (news->known || told.since_ns) {/'
mutant "told: all that does not fit is left out" page_news changes/page_news.c 's/return count < 0 \? 1 :/return count < 0 ? 0 :/'
mutant "told: what has landed was not written" model $log 's/(news->in_flight_count\)\)\n\t\t\t)log_state_land\(log, i, now_ns, now_ns\)/$1flights_remove(\&log->flights, i)/'
mutant "told: a unit is one file system's" page_news $log 's/append_tracked\(log, (&news->written\[i\], news->since_ns, now_ns), 0\)/history_append(\&log->history, $1)/'
mutant "told: what was not told was" page_news $trust 's/if \(!told \|\| !log->exact \|\| seen->size/if (seen->size/'
mutant "told: what was written before it is read is served" model tree/read_told.c \
	's/ \|\|\n\t    !span_untouched\(reading, generation\)\)\n\t\treturn 1/)\n\t\treturn 1/'
mutant "told: what is written while it is read is served" model tree/read_told.c \
	's/if \(!image->seen.exact \|\| !span_untouched\(reading, generation\)\)/if (0)/'
mutant "another instance of a page goes on" writes_page changes/formats/writes_page.c \
	's/memcmp\(then->bytes \+ WRITES_PAGE_INSTANCE[^;]*?== 0 &&/true &&/s'
mutant "pages of other units go together" writes_page changes/formats/writes_page.c \
	's/then->unit_shift == now->unit_shift && //'
mutant "pages of other headers go together" writes_page changes/formats/writes_page.c \
	's/then->header_bytes == now->header_bytes &&/true \&\&/'
mutant "what has ended may go back" writes_page changes/formats/writes_page.c \
	's/now->ended >= then->ended &&//'
mutant "a unit's counter never goes round" writes_page changes/formats/writes_page.c \
	's/&&\s*now->begun - then->begun <= UINT32_MAX//'
mutant "totals at rest are believed of counters read later" writes_page changes/formats/writes_page.c \
	's/!any && then->of_one_moment && now->of_one_moment/!any/'
mutant "slots are believed of counters read later" writes_page changes/formats/writes_page.c \
	's/now->of_one_moment && now->unlisted == 0/now->unlisted == 0/'
mutant "slots are all that is in flight" writes_page changes/formats/writes_page.c \
	's/now->of_one_moment && now->unlisted == 0/now->of_one_moment/'
mutant "what is before the counters was not written" writes_page changes/formats/writes_page.c \
	's/find\(&found, range, 0, window_start_bytes\(&window\)\)/;/'
mutant "what is beyond the counters was not written" writes_page changes/formats/writes_page.c \
	's/find\(&found, range, window_end_bytes\(&window\), UINT64_MAX\)/;/'
mutant "what is beyond the counters is not in flight" writes_page changes/formats/writes_page.c \
	's/find\(found, range, window_end_bytes\(&window\), UINT64_MAX\)/;/'
mutant "pieces without a unit in common are one" writes_page changes/formats/writes_page.c \
	's/if \(window.first > window.end\)\n\t\twindow.first = window.end;//'
mutant "what does not fit is left out" writes_page changes/formats/writes_page.c \
	's/found->all = true;/;/'
mutant "what is held may be in flight" writes_page changes/formats/writes_page.c \
	's/writes_page_in_flight\(before, range, NULL, 0\) == 0 &&/true &&/'
mutant "what is held may have been written" writes_page changes/formats/writes_page.c \
	's/&&\n\t       writes_page_since\(before, after, range, NULL, 0\) == 0//'
mutant "a slot may be outside of what is in flight" writes_page changes/formats/writes_page.c \
	's/\(unit >= page->unit_count \|\| unit_in_flight\(page, unit\) != 0\)/true/'
mutant "a slot may go round" writes_page changes/formats/writes_page.c \
	's/return add_u64\(slot->offset_bytes, slot->length_bytes, &end_bytes\) &&/return add_u64(0, slot->length_bytes, &end_bytes) \&\&/'
mutant "slots need not be as many as are in flight" writes_page changes/formats/writes_page.c \
	's/return in_flight == page->begun - page->ended;/return true;/'
mutant "a unit may have more in flight than there is" writes_page changes/formats/writes_page.c \
	's/unit_in_flight\(page, unit\) > in_flight \|\| //'
mutant "a unit may have more writes than there are" writes_page changes/formats/writes_page.c \
	's/ \|\| unit_begun\(page, unit\) > page->begun//'
mutant "slots may leave the header" writes_page changes/formats/writes_page.c \
	's/page->slot_count <= \(page->header_bytes[^&]*&&//'
mutant "a read of two moments is of one" writes_page changes/formats/writes_page.c \
	's/length_bytes = \(size_t\)min_u64\(length_bytes, WRITES_PAGE_MOMENT_BYTES\);//'
mutant "a unit may end beyond 2^64" writes_page changes/formats/writes_page.c \
	's/min_u64\(length_bytes \/ WRITES_PAGE_COUNTER_BYTES, most - page->first_unit\)/length_bytes \/ WRITES_PAGE_COUNTER_BYTES/'

mutant "where nothing is believed a look is taken for nobody" version tree/image.c 's/if \(is_in_vain\(image, op\)\)/if (0)/'

# ---- reading on ----
on=tree/read_on.c
mutant "read on: where little is known" read_on $on 's/version->known_count >= MUCH_CHUNKS && //'
mutant "read on: for who jumps" read_on $on 's/ && version->states\[first - 1\] != CHUNK_NEW//'
mutant "read on: over what is not new" read_on $on 's/ && version->states\[chunk\] == CHUNK_NEW//'
mutant "read on: in one step" read_on $on 's/ && chunk - first < STEP_CHUNKS//'
mutant "read on: to the end of the file" read_on $on 's/at - end < left_bytes && //'
mutant "read on: no more than is known of what begins to last" read_on $on 's/\(lasts \? 1 : 2\)/1/'
mutant "read on: twice as much as is known" read_on $on 's/\(lasts \? 1 : 2\)/2/'
mutant "read on: as long as it takes" read_on $on 's/ && seen->now_ns - reader.start_ns < WAIT_READ_ON_NS//'
mutant "read on: under a guard that is another's" read_on $on 's/version->guard != guard \|\| //'
mutant "read on: under a guard that stands no more" read_on $on 's/ \|\| write_log_guard_stands\(version->image->log, guard\) != 0//'
mutant "read on: what was written since it was guarded" read_on $on 's/if \(guard_state\(guard, [^;]*\n\t\t\treturn false;/;/'
mutant "read on: half of an update" read_on $on 's/must_ns != 0 \|\| !is_guarded/!is_guarded/'
mutant "read on: guarded and not known" read_on $on 's/span_remember\(version, step, hashes\);/;/'
mutant "read on: known without a guard" read_on $on 's/span_wait\(version, step, &lasting\);/span_remember(version, step, hashes);/'
mutant "read on: what differs from what others were given" read_on $on 's/return dir_supersede\(version\);/return 1;/'
mutant "read on: what has not lasted waits" read_on $on 's/if \(must_ns == 0 \|\| lasting.lasted_ns >= must_ns\)/if (true)/'
mutant "read on: what lasts is never enough" read_on $on 's/if \(must_ns == 0 \|\| lasting.lasted_ns >= must_ns\)/if (must_ns == 0)/'
mutant "read on: what cannot be read is an error" read_on $on 's/return error != 0 \? 1 :/return error != 0 ? error :/'
mutant "read on: what cannot be read is what was there" read_on $on 's/return error != 0 \? 1 : note/return note/'
mutant "read on: an observation that failed is none" read_on $on 's/if \(again != 0\)\n\t\treturn again;/if (again != 0)\n\t\treturn 1;/'

# ---- the kernel ----
kernel=changes/kernel.c feeds=changes/kernel_feeds.c queue=changes/announcements.c
mutant "kernel: a look does not begin to listen" kernel $kernel 's/if \(marks_heed\(&feed->events->marks, feed->fd\) == 0\)/if (true)/'
mutant "kernel: it is listened to for ever" kernel $kernel 's/if \(since_ns == 0 \|\| now_ns/if (true || now_ns/'
mutant "kernel: open files do not keep it listening" kernel $kernel 's/ \|\| write_log_is_guarded\(feed->log\)//'
mutant "kernel: an image has no mark of its own" kernel $kernel \
	's/error = marks_arm\(&events->marks, fd\);/error = 0;/'
mutant "kernel: the directory has no mark" kernel $kernel 's/error = marks_arm_directory\(&events->marks, fd\);/error = 0;/'
mutant "kernel: who goes takes the others' mark" kernel $kernel \
	's/if \(!kernel_feeds_have\(&events->feeds, feed->device, feed->inode\)\)/if (true)/'
mutant "kernel: an old kernel is taken for a new one" kernel $kernel 's/events->marks.apart = silent >= 0;/events->marks.apart = true;/'
mutant "kernel: a new kernel is taken for an old one" kernel $kernel 's/events->marks.apart = silent >= 0;/events->marks.apart = false;/'
mutant "kernel: other files raise events for ever" kernel $kernel 's/marker_ignore\(events->marker, event->fd, &st\);/close(event->fd);/'
mutant "kernel: who is looked at is at rest" kernel $kernel 's/if \(!looked_at\)\n/\n/'
mutant "kernel: a look waits for the opener that may not" kernel $kernel 's/if \(!may_block\)/if (!may_block \&\& false)/'
mutant "kernel: a file that is visited is ignored" kernel $kernel 's/visited = known && visits_have\([^;]*;/visited = false;/'
mutant "kernel: the end of a visit has it ignored" kernel $kernel 's/ && event->mask & \(FAN_PRE_ACCESS \| FAN_MODIFY\)//'
mutant "kernel: ranges are not read" kernel $queue 's/if \(info.header.info_type == INFO_TYPE_RANGE/if (false/'
mutant "kernel: ends are not taken in" kernel $feeds 's/pairing_modified\(&feed->pairing, event->pid\);/;/'
mutant "kernel: nobody is held" kernel $kernel 's/held_add\(events->held, event->fd, saving, log\);\n\treturn true;/saving_free(saving);\n\treturn false;/'
mutant "kernel: nobody watches the clock" kernel $kernel 's/held_give_up_late\(events->held, now_ns\);/now_ns + WAIT_S;/'
mutant "kernel: silent descriptors are not given" kernel changes/wanted.c 's/wanted->fd = event->fd;/wanted->fd = dup(2);/'
mutant "kernel: a file that was emptied is known" kernel $feeds 's/if \(size_bytes < feed->size_bytes\)/if (false)/'
mutant "kernel: no descriptors are kept back" kernel $queue 's/announcements->limit.rlim_cur -= DESCRIPTORS_KEPT;//'
mutant "kernel: what is kept back is not used" kernel $queue 's/bool raise = [^;]*;/bool raise = false;/'

marks=changes/marks.c
mutant "marks: one keeps a deleted image" kernel $marks 's/mark\(marks, FAN_MARK_REMOVE, EVENTS, fd\);\n\tmark\(marks, IGNORE_NO_MORE, ignored/mark(marks, IGNORE_NO_MORE, ignored/'
mutant "marks: one keeps a deleted image, armed apart" kernel $marks 's/\tmark\(marks, IGNORE_NO_MORE, ignored, fd\);\n//'
mutant "marks: one keeps other deleted files" kernel $marks 's/else if \(mark\(marks, IGNORE \| FAN_MARK_EVICTABLE, EVENTS, fd\) == -EEXIST\)/else/'
mutant "marks: a directory's are not its children's" kernel $marks 's/ARMS \| FAN_EVENT_ON_CHILD/ARMS/'
mutant "marks: readers are asked for" kernel $marks 's/marks->apart \? mark\(marks, IGNORE, ARMS, fd\)/marks->apart ? mark(marks, FAN_MARK_ADD, ARMS | FAN_PRE_ACCESS, fd)/'
mutant "marks: to heed takes what arms" kernel $marks 's/marks->apart \? mark\(marks, FAN_MARK_ADD, EVENTS, fd\)/marks->apart ? (mark(marks, FAN_MARK_ADD, EVENTS, fd), mark(marks, IGNORE_NO_MORE, ARMS, fd))/'
mutant "marks: a file at rest is not armed" kernel $marks 's/(if \(marks->apart\)\n\t\tmark\(marks, FAN_MARK_REMOVE, EVENTS, fd\);)\n\telse\n/if (marks->apart)\n\t\tmark(marks, FAN_MARK_REMOVE, EVENTS, fd), mark(marks, IGNORE_NO_MORE, ARMS, fd);\n\telse\n/'

# ---- images and volumes ----
mutant "a missing partition is absent at once" image tree/root.c \
	's/if \(error == -ENOENT && !image_settled\(/if (0 \&\& !image_settled(/'
mutant "the choice of the boot partition is final" image tree/table.c \
	's/error = cached_refresh\(image, op, &image->table->boot_cached, &boot_kind, image, NULL\);/error = image->table->boot.number ? 0 : cached_refresh(image, op, \&image->table->boot_cached, \&boot_kind, image, NULL);/'
mutant "a new choice of the boot partition need not last" image tree/root.c \
	's/\(!boot \|\| !image->table->boot_cached.loaded \|\| image_settled\(image, op, image->table->boot_cached.since_ns, NULL\)\)/true/'
mutant "mkfs in place is not noticed" image tree/volume.c \
	's/changed = !volume->root \|\| !fat_volume_equal\(&volume->fat, reading\)/changed = !volume->root/'
mutant "a partition that moved is not noticed" image tree/volume.c \
	's/\(!entry \|\| entry->offset_bytes != volume->entry.offset_bytes /(!entry /'
mutant "growpart makes another file system" image tree/volume.c \
	's/\(!entry \|\| entry->offset_bytes != volume->entry.offset_bytes \|\| end_moved\(volume, entry\)\)/true/'
mutant "what was cut when it was first seen stays so" version tree/volume.c 's/ \|\| end_moved\(volume, entry\)//'

# ---- validations ----
mutant "the end of the device is no part of an answer" validation tree/validation.c \
	's/if \(size_bytes != validation->size_bytes\)\n\t\treturn 0;//'
mutant "a block that was read twice may differ" validation tree/validation.c \
	's/return false;(\s*\}\s*validation->count = kept)/continue;$1/'
mutant "only the first block of a run is compared" validation tree/validation.c \
	's/for \(size_t i = 0; i < count; i\+\+\) \{\n\t\tsize_t start = i/for (size_t i = 0; i < 1; i++) {\n\t\tsize_t start = i/'

# ---- kept ----
mutant "the budget has no end" kept device/kept.c \
	's/share_take\(&budget->memory, size_bytes\)/(share_count(&budget->memory, 0, size_bytes), true)/'
mutant "the budget is not given back" kept device/kept.c \
	's/free\(kept->memory\);\n\t\tshare_give\(&kept->budget->memory, kept->size_bytes\);/free(kept->memory);/'

# ---- clones ----
mutant "what one file has alone is shared" clone_map device/clone_map.c 's/\(extent->fe_flags & FIEMAP_EXTENT_SHARED\) && //'
mutant "compressed blocks are read as they stand" clone_map device/clone_map.c 's/ && !\(extent->fe_flags & ~\(unsigned\)PLAIN\)//'
mutant "other blocks are the same" clone_map device/clone_map.c 's/a->runs\[i\].physical_bytes != b->runs\[i\].physical_bytes \|\|\s+//'
mutant "a part is the whole" clone_map device/clone_map.c 's/if \(a->count != b->count\)/if (a->count > b->count)/'
mutant "a hole goes on with the blocks before it" clone_map device/clone_map.c \
	's/last->physical_bytes == CLONE_HOLE \|\| run->physical_bytes == CLONE_HOLE\s+\? last->physical_bytes == run->physical_bytes\s+:/run->physical_bytes == CLONE_HOLE ? true :/'
mutant "shared and own blocks are of one kind" clone_map device/clone_map.c 's/if \(i > 0 && counts != \*shared\)/if (0)/'
mutant "behind what was told is a hole" clone_map device/clone_map.c 's/if \(complete && add_run/if (add_run/'
mutant "an extent begins where the range does" clone_map device/clone_map.c 's/extent->fe_physical \+ \(at - extent->fe_logical\)/extent->fe_physical/'

# ---- watch and disk ----
mutant "an overflow is nobody's event" watch device/watch.c 's/watch->overflows\+\+;//'
mutant "a READ that was widened is large" readahead tree/readahead.c 's/#define SMALL_BYTES .*/#define SMALL_BYTES READ_BYTES/'
mutant "what was asked for is forgotten" hints device/hints.c 's/if \(hint->length_bytes > 0 &&/if (false \&\&/'
mutant "of reads that were together the first alone is judged" compare tree/compare.c \
	's/(i < group->count; i\+\+\)\n\t\terror = judge_batch)/i < 1 \&\& $1/'
mutant "each read waits for the one before" compare tree/pace.h 's/pace->width \*= 2/pace->width = 1/'
mutant "reads are together though that is no sooner" compare tree/pace.h 's/pace->width \/= 2;//'
mutant "any look is new enough" watch device/watch.c 's/watch->looked_ns >= since_ns/true/'
mutant "a look is as new as its last part" disk device/disk_signs.c 's/disk->target \? since_ns : looked_ns/looked_ns/'
mutant "removing one watch ends another's" watch device/watch.c 's/ \|\| is_watched\(queue, descriptor\)//'
mutant "the queue is not drained" watch device/watch.c 's/drain\(watch, target->once[^;]*;//'
mutant "what was told before the rest is dropped" watch device/watch.c 's/\tdrain\(watch, &watch->every\);\n//'
mutant "who rests is watched no more" watch device/watch.c 's/\tenter\(&watch->once, &target->once, descriptor\);//'
mutant "what was written while nothing told is no event" watch device/watch.c 's/target->events \+= events;//'
mutant "who has told once is not watched again" watch device/watch.c 's/if \(queue == &watch->once \|\| event->mask & IN_IGNORED\)/if (false)/'
mutant "an overflow ends no rest" watch device/watch.c 's/\tend_all_once\(watch\);//'
mutant "unsettled signs are believed when they settle" disk device/disk_signs.c \
	's/\(!believable \|\| !atomic_load\(&disk->believable\)\)|!believable \|\| !disk->believable/!believable/'
mutant "unsettled signs are believed" disk device/disk_signs.c 's/age_ns >= disk->ctime_lag_ns/true/'
mutant "change times are not looked at" disk device/disk_signs.c 's/signs->ctime_ns = [^;]*;/;/'
mutant "where nothing is known something is believed" disk device/disk_signs.c \
	's/return disk->kind == DISK_FILE && age_ns/return age_ns/'
mutant "a short read is whole" disk device/disk_bytes.c \
	's/return got >= 0 && \(size_t\)got >= wanted \? 0 : -EIO;/return got >= 0 ? 0 : -EIO;/'

# ---- what a relay lets pass ----
mutant "any export that begins so" nbd_message device/nbd_message.c 's/return length == first \|\|/return true ||/'
mutant "a name of any length" nbd_message device/nbd_message.c 's/name_length <= length - 6 && //'
mutant "an option of any length" nbd_message device/nbd_message.c 's/if \(length > NBD_MESSAGE_BYTES_MAX - NBD_OPTION_BYTES\)/if (0)/'
mutant "any request" nbd_message device/nbd_message.c 's/type == READ && //'
mutant "a READ of any length" nbd_message device/nbd_message.c 's/ && get_be32\(bytes \+ 24\) <= NBD_REQUEST_BYTES_MAX//'
mutant "any option" nbd_message device/nbd_message.c 's/bool allowed = option == OPTION_ABORT/bool allowed = true/'

echo "$total mutants, $alive alive"
[ "$alive" -eq 0 ]
