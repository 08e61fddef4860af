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

link_unit()
{
	$cc -o "$work/$1" "$work/tests/$1.o" "$work"/tests/helpers/*.o "$work"/objects/*.o \
		"$build/part/libimagefs_part.a" "$build/fat/libimagefs_fat.a" \
		-lblkid -lxxhash -lcriterion -lpthread
}

restore
compile all.h
mkdir -p "$work/tests/helpers"
for helper in cache_device cache_model_reader cache_model_script cache_reader cache_reported cache_volume fat_image; do
	$cc -c "$top/tests/unit/$helper.c" -o "$work/tests/helpers/$helper.o"
done
for unit in cache_model cache_version cache_dir cache_image cache_validation cache_kept cache_watch cache_disk \
	cache_extents; do
	$cc -c "$top/tests/unit/$unit.c" -o "$work/tests/$unit.o"
done

# mutant DESCRIPTION UNIT FILE PERL
mutant()
{
	case $1 in *$pattern*) ;; *) [ "$pattern" = . ] || return 0 ;; esac
	total=$((total + 1))
	perl -0pi -e "$4" "$work/cache/$3"
	if cmp -s "$work/cache/$3" "$top/cache/$3"; then
		echo "not found any more: $1 ($3)" >&2
		alive=$((alive + 1))
		return 0
	fi
	compile "$3"
	link_unit "cache_$2"
	if timeout 100 "$work/cache_$2" --fail-fast -j2 >"$work/log" 2>&1; then
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
	's/same = image_untouched\(image, generation, set\) \?/same = true ?/'
mutant "new metadata is settled at once" model tree/cached.c \
	's/cached->since_ns = image->seen.now_ns;/cached->since_ns = INT64_MIN \/ 2;/'
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
mutant "a listing is shown at once" model tree/list.c \
	's/if \(!cached_settled\(dir->image, op, &dir->cached, dir->cached.since_ns, &dir->place.range\)\)/if (0)/'
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
	's/seen->steady && version->data_checked == seen->generation/version->data_checked != 0/'
mutant "what was handed out is not compared at open" model tree/open.c \
	's/error = compare\(version, op, seen->steady \? compare_known_once : compare_known\);/error = 0;/'
mutant "a known chunk may differ" model tree/compare.c \
	's/if \(chunk_known\(version, chunk\)\)\n\t\t\treturn dir_supersede\(version\);//'
mutant "comparing takes as long as it takes" version tree/compare.c \
	's/if \(version->image->seen.now_ns > end_ns\)/if (0)/'
mutant "a retired version is gone" version tree/dir.c \
	's/slot->kind = SLOT_EMPTY;\n\tversion->retired = true;/version->detached = true; slot->kind = SLOT_EMPTY; version->retired = true;/'
mutant "the entry of a retired version is not looked at" version tree/path.c \
	's/version->retired && !dir_has_entry/0 \&\& !dir_has_entry/'
mutant "open in the midst of a reported update" model tree/open.c \
	's/ && !has_lasted\(version, op\)\)/ \&\& 0)/'
mutant "what was preserved may be in the image" model tree/open.c \
	's/return guard_is_pristine\(version->guard\) \? 0 : -ESTALE;/return 0;/'
mutant "a reported write in flight is waited for by nobody" model tree/open.c \
	's/error == -EAGAIN \|\| error == -ESTALE\)/0)/; s/if \(guarded == -EAGAIN\)/if (0)/'

# ---- versions: read ----
mutant "new content need not last" model tree/read.c \
	's/if \(must_ns > 0 && reader.lasted_ns < must_ns\)/if (0)/'
mutant "where nothing tells all is quiet" version tree/version.c \
	's/return image->seen.blind \? image->cache->settings.settle_ns : 0;/return 0;/'
mutant "content lasts from when it was last seen" version tree/chunk.c \
	's/ \|\| !chunk_equal\(version, chunk, hash\)\)/)/'
mutant "a read need not be quiet to its end" version tree/settle.c \
	's/ \+ \(image->seen.now_ns - since_ns\);/;/'
mutant "a steady read is believed whatever happened meanwhile" model tree/read.c \
	's/if \(seen->generation != generation \|\| seen->in_flight != 0 \|\| version->data_checked != generation\)/if (0)/'
mutant "what is known is not compared after the read" version tree/read.c \
	's/error = compare_known\(version, reading->op, WAIT_COMPARE_READ_NS\);/chunks_join(version); error = 0;/'
mutant "who comes while it is compared need not wait" version tree/chunk.c \
	's/version->states\[chunk\] != from/version->states[chunk] != from \&\& version->states[chunk] != CHUNK_READ/'
mutant "entry and chain are not looked at after the read" version tree/read.c \
	's/(error = compare_known.*?)error = path_refresh_version\(version, reading->op\);/$1error = 0;/s'
mutant "known bytes may be others" model tree/read.c \
	's/if \(!span_agrees\(reading->version, &reading->span, reading->hashes\)\)/if (0)/'
mutant "a copy is not used" version tree/read.c 's/if \(version->kept\)\n\t\treturn read_copy\(/if (0)\n\t\treturn read_copy(/'
mutant "a read goes on beyond the end" version tree/read.c \
	's/if \(offset_bytes >= version->entry.size_bytes\)\n\t\treturn 0;//; s/length_bytes = \(size_t\)min_u64\(length_bytes, version->entry.size_bytes - offset_bytes\);//'

# ---- versions: copies ----
mutant "a copy stays for ever" version tree/idle.c \
	's/if \(atomic_load\(&version->opens\) == 0 && !version->copying\)/if (0)/'
mutant "a copy that nobody waits for any more is kept" version tree/copy.c \
	's/version->kept \|\| atomic_load\(&version->opens\) == 0/version->kept/; s/atomic_load\(&version->opens\) == 0 \? -ECANCELED : 0/0/'
mutant "a copy of what did not last is believed" model tree/copy.c \
	's/if \(since_ns != 0 && \(must_ns == 0 \|\| start_ns - since_ns < must_ns\)\)/if (0)/'
mutant "a copy need not be what was handed out" version tree/copy.c \
	's/if \(!span_agrees\(version, &all, hashes\)\)/if (0)/'
mutant "copies have no share" version tree/image.c \
	's/if \(!range_within\(image->copied_bytes, size_bytes, 2 \* share_bytes\)\)/if (0)/'
mutant "large files are copied" version tree/copy.c \
	's/version->entry.size_bytes <= image->cache->settings.keep_limit_bytes/true/'

# ---- extents ----
mutant "runs may overlap" extents device/extents.c \
	's/if \(image_end\(in_image\(extents, i - 1\)\) > in_image\(extents, i\)->image_bytes\)/if (0)/'
mutant "runs may leave a gap" extents device/extents.c 's/run->file_bytes != at \|\|//'
mutant "runs are in the image as in the file" extents device/extents.c 's/\tif \(ascending\)\n/\tif (true)\n/'
mutant "each piece is read by itself" extents device/extents.c 's/piece.image_bytes - end > GAP_BYTES/true/'

# ---- reports ----
mutant "a reported write moves no generation" model changes/reports.c \
	's/\{ \+\+reports->generation, \*range/{ reports->generation, *range/'
mutant "writes in flight are no change" reports changes/reports.c \
	's/if \(!reports->flights\[i\].dull\)\n\t\t\tranges\[count\+\+\] = reports->flights\[i\].range;//'
mutant "a partition with a write in flight is quiet" reports changes/reports.c \
	's/in_flight = any_in_flight\(reports, where\);/in_flight = false;/'
mutant "a burst ends where it is looked at" reports changes/reports.c \
	's/if \(burst->start_ns - entry->ended_ns >= rest_ns\)/if (true)/'
mutant "a burst is as old as what is known of it" reports changes/reports.c \
	's/if \(burst->start_ns - reports->floor_ns < rest_ns\)\n\t\tburst->generation = 0;//'
mutant "what is in flight is not done yet" model tree/cached.c 's/ \|\| image->seen.in_flight != 0\) \{/) {/'
mutant "what is in flight in a directory is not done yet" model tree/path.c \
	's/ && image->seen.in_flight == 0;/;/'
mutant "a guard is set up while its bytes are written" model changes/reports_guards.c \
	's/if \(extents_touch\(guard_extents\(guard\), &reports->flights\[i\].range\)\)\n\t\t\treturn -EAGAIN;//'
mutant "a guard is set up though its bytes were written" model changes/reports_guards.c \
	's/ \|\| written_since\(reports, guard, generation\)//'
mutant "guards outlast a stranger" reports changes/reports.c 's/reports->epoch\+\+;//; s/reports->floor = \+\+/++/'
mutant "what falls out of the log did not happen" reports changes/reports.c \
	's/reports->floor = reports->log\[reports->log_first\].generation;//'
mutant "strangers do not matter" reports changes/reports.c 's/ \|\| company.foreign != reports->foreign//'
mutant "a time stamp needs no explanation" reports changes/reports.c 's/unexplained\(reports, seen\) \|\|/false ||/'
mutant "what was dull is known" reports changes/reports.c \
	's/(reports->busy_count \+= !reports->flights\[i\].dull;\n\t\}\n)\treports_start_over\(reports\);/$1/'
mutant "a broken stream is trusted" reports changes/reporter.c 's/!notify_form_is_exact\(reporter->parser.form\) \|\|/false ||/'
mutant "a stream of two processes is trusted" reports changes/reporter.c 's/ \|\| taking->process != reporter->process//'
mutant "a write that never ends is waited for" reports changes/reports.c 's/> IN_FLIGHT_MAX_NS/> INT64_MAX \/ 2/'
mutant "what is being kept is in the image" model changes/reports_guards.c 's/ \|\| is_being_kept\(reports, guard\)//'
mutant "nothing is saved before it is overwritten" model changes/guard.c \
	's/if \(error == 0\)\n\t\tsettle_chunk\(guard, chunk, guard->saved, length_bytes\);//'
mutant "what was saved is not read" model tree/read.c 's/if \(state == GUARD_SAVED\)/if (0)/'
mutant "a doubt is no doubt" reports changes/reports.c 's/(if \(company->alone)\)/$1 || company->in_doubt)/'
mutant "doubts have no end" reports changes/reports.c 's/seen->now_ns - company->doubt_ns/seen->now_ns - 1/'

# ---- images and volumes ----
mutant "a missing partition is absent at once" image tree/root.c \
	's/if \(error == -ENOENT && !image_settled\(/if (0 \&\& !image_settled(/'
mutant "the choice of the boot partition is final" image tree/boot.c \
	's/error = cached_refresh\(image, op, &image->boot->cached, &boot_kind, image, NULL\);/error = image->boot->number ? 0 : cached_refresh(image, op, \&image->boot->cached, \&boot_kind, image, NULL);/'
mutant "a new choice of the boot partition need not last" image tree/root.c \
	's/\(!boot \|\| !image->boot->cached.loaded \|\| image_settled\(image, op, image->boot->cached.since_ns, NULL\)\)/true/'
mutant "mkfs in place is not noticed" image tree/volume.c \
	's/changed = !volume->root \|\| !fat_volume_equal\(&volume->fat, &reading->fat\)/changed = !volume->root/'
mutant "a partition that moved is not noticed" image tree/volume.c \
	's/\(!entry \|\| entry->offset_bytes != volume->entry.offset_bytes\)/!entry/'
mutant "growpart makes another file system" image tree/volume.c \
	's/\(!entry \|\| entry->offset_bytes != volume->entry.offset_bytes\)/true/'

# ---- validations ----
mutant "the end of the device is no part of an answer" validation tree/validation.c \
	's/if \(size_bytes != validation->size_bytes\)\n\t\treturn 0;//'
mutant "a block that was read twice may differ" validation tree/validation.c \
	's/return false;(\s*\}\s*validation->count = kept)/continue;$1/'
mutant "only the first block of a run is compared" validation tree/validation.c \
	's/for \(size_t i = 0; i < count; i\+\+\) \{\n\t\tsize_t start = i/for (size_t i = 0; i < 1; i++) {\n\t\tsize_t start = i/'

# ---- kept ----
mutant "the budget has no end" kept device/kept.c \
	's/if \(!range_within\(used, size_bytes, budget->limit_bytes\)\)/if (0)/'
mutant "the budget is not given back" kept device/kept.c \
	's/free\(kept->memory\);\n\t\tatomic_fetch_sub\(&kept->budget->memory_bytes, kept->size_bytes\);/free(kept->memory);/'

# ---- watch and disk ----
mutant "an overflow is nobody's event" watch device/watch.c 's/watch->overflows\+\+;//'
mutant "removing one watch ends another's" watch device/watch.c 's/if \(!is_watched\(watch, target->descriptor\)\)//'
mutant "the queue is not drained" watch device/watch.c 's/\tdrain\(watch\);//'
mutant "unsettled signs are believed when they settle" disk device/disk.c \
	's/\(!believable \|\| !atomic_load\(&disk->believable\)\)|!believable \|\| !disk->believable/!believable/'
mutant "unsettled signs are believed" disk device/disk.c 's/age_ns >= disk->settle_ns/true/'
mutant "change times are not looked at" disk device/disk.c 's/signs->ctime_ns = [^;]*;/;/'
mutant "where nothing is known something is believed" disk device/disk.c \
	's/return disk->kind == DISK_FILE && age_ns/return age_ns/'
mutant "a short read is whole" disk device/disk.c \
	's/return got >= 0 && \(size_t\)got >= wanted \? 0 : -EIO;/return got >= 0 ? 0 : -EIO;/'

echo "$total mutants, $alive alive"
[ "$alive" -eq 0 ]
