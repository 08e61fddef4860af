# imagefsctl's commands, images and boards, for bash-completion. SPDX-License-Identifier: LGPL-2.1-or-later

# Every name that a control directory lists is an image; boards are found, but not listed.
_imagefsctl_images() {
	local directory
	while read -r _ directory _; do
		ls "$(printf %b "$directory")" 2>/dev/null
	done < <(grep ' fuse.imagefs-control ' /proc/self/mounts) | grep -vxE 'status|status\.json|metrics'
}

_imagefsctl() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} word command=
	COMPREPLY=()
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $word in status|flush|metrics|check|ls|cat) command=$word && break ;; esac
	done
	if [[ $previous == -c || $previous == --control ]]; then
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		compopt -o filenames 2>/dev/null
	elif [[ $command == check && $previous == --pi ]]; then
		mapfile -t COMPREPLY < <(compgen -W '3 4 5' -- "$current")
	elif [ -z "$command" ]; then
		mapfile -t COMPREPLY < <(compgen -W 'status flush metrics check ls cat -c --control -h --help -V --version' -- "$current")
	elif [[ $current == -* ]]; then
		case $command in
		status) word=--json ;;
		check) word='--json --pi' ;;
		flush) word=--all ;;
		ls) word=-l ;;
		*) word= ;;
		esac
		mapfile -t COMPREPLY < <(compgen -W "$word -h --help" -- "$current")
	elif [ "$command" != metrics ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_imagefsctl_images)" -- "$current")
		case $command in check|ls|cat) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$current") ;; esac
		compopt -o filenames 2>/dev/null
	fi
}
complete -F _imagefsctl imagefsctl
