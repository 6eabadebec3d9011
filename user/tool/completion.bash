# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Bash completion of ptefault: verbs, options, processes, ranges, advice. Verbs
# and options are asked of the command itself.

_ptefault() {
	local cur prev word verb='' pid='' i words cword
	local -a seen=()

	COMPREPLY=()
	words=("${COMP_WORDS[@]}")
	cword=$COMP_CWORD
	cur=${words[cword]}
	prev=${words[cword - 1]}

	for ((i = 1; i < cword; i++)); do
		word=${words[i]}
		case $word in
		--)
			# What follows is a command of its own.
			mapfile -t COMPREPLY < <(compgen -c -f -- "$cur")
			return
			;;
		-p | --pid) pid=${words[++i]} ;;
		--pid=*) pid=${word#*=} ;;
		-*) ;;
		*)
			if [ -z "$verb" ]; then
				verb=$word
			else
				seen+=("$word")
			fi
			;;
		esac
	done

	case $prev in
	--action)
		mapfile -t COMPREPLY < <(compgen -W "count notify delay= sigbus sigsegv hwpoison \
			retry= oom= hold handler=" -- "$cur")
		compopt -o nospace
		return
		;;
	--from)
		mapfile -t COMPREPLY < <(compgen -W "user kernel any" -- "$cur")
		return
		;;
	--at)
		mapfile -t COMPREPLY < <(compgen -W "exec main" -- "$cur")
		return
		;;
	--method)
		mapfile -t COMPREPLY < <(compgen -W "module scan soft-dirty" -- "$cur")
		return
		;;
	--plan | --record | --replay | --report | --file | --dir)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-p | --pid)
		mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$cur")
		return
		;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(ptefault ${verb:+"$verb"} --help 2>/dev/null |
			grep -oE '^  .{0,4}--[a-z-]+' | grep -oE -- '--[a-z-]+') --json --help" -- "$cur")
		return
	fi
	if [ -z "$verb" ] || [ "$verb" = help ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(ptefault --help 2>/dev/null |
			sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p') help" -- "$cur")
		return
	fi
	case $verb in
	file)
		[ ${#seen[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	stat | walk | rules | run)
		return
		;;
	atlas) ;;
	*)
		# Names of what the process has mapped.
		[ -z "$pid" ] || [ ! -r "/proc/$pid/maps" ] ||
			mapfile -t COMPREPLY < <(compgen -W \
				"$(awk '$6 != "" { print $6 }' "/proc/$pid/maps" | sort -u)" -- "$cur")
		;;
	esac
	if [ "$verb" = atlas ] || { [ "$verb" = advise ] && [ ${#seen[@]} -gt 0 ]; }; then
		mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$(ptefault stat --json 2>/dev/null |
			sed -n 's/.*"advice":\[\([^]]*\)\].*/\1/p' | tr -d '"' | tr ',' ' ') COLD PAGEOUT WILLNEED COLLAPSE" \
			-- "${cur^^}")
	fi
}

complete -F _ptefault ptefault
