# imagefs's options and arguments, for bash-completion. SPDX-License-Identifier: LGPL-2.1-or-later
_imagefs() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} last head=
	local options='uid= gid= umask= fmask= dmask= tz=UTC time_offset= partition= settle=
		changes=auto changes=kernel changes=events changes=none keep= nbd=any nbd=none nbd=unix nbd= control= control_group= run_as= allow_other nofail debug='
	local debug='requests files images changes'
	COMPREPLY=()
	if [ "$previous" = -o ]; then
		# A list with commas: what is before the last one stays. (bash may part words at `=`.)
		last=${current##*,}
		[ "$last" = "$current" ] || head=${current%,*},
		mapfile -t COMPREPLY < <(compgen -P "$head" -W "$options" -- "$last")
		compopt -o nospace 2>/dev/null
	elif [[ $current == --debug=* || $previous == --debug || ${COMP_WORDS[COMP_CWORD - 2]:-} == --debug ]]; then
		# Where bash parts words at `=` that is a word, or the one before this.
		last=${current#--debug=} last=${last#=}
		[ "${last%,*}" = "$last" ] || head=${last%,*},
		mapfile -t COMPREPLY < <(compgen -P "$head" -W "$debug" -- "${last##*,}")
	elif [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W '-f -v --verbose -d --debug --debug= -o -h --help -V --version' -- "$current")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		compopt -o filenames 2>/dev/null
	fi
}
complete -F _imagefs imagefs
