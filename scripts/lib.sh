# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scripts share: where the cache is, how to speak, how to ask for
# missing host packages, and a private APT state that reaches any Debian suite
# without touching the machine's own sources. Sourced, never run.

# The one architecture so far, in Debian's name for it.
# shellcheck disable=SC2034
ptf_arch=amd64

ptf_cache=${PTEFAULT_CACHE:-$HOME/.cache/ptefault}
case $ptf_cache in
/*) ;;
*) ptf_cache=$PWD/$ptf_cache ;;
esac

ptf_self=${0##*/}

# Ordinary users have no sbin in their PATH; depmod lives there.
PATH=$PATH:/usr/sbin:/sbin

say() {
	printf '%s: %s\n' "$ptf_self" "$*" >&2
}

die() {
	say "$*"
	exit 1
}

# Hold an exclusive lock on file $1 until the shell ends, or until fd $2
# (default 9) is closed. Children must not inherit it for longer than they
# live: background ones close the fd.
ptf_lock() {
	local fd=${2:-9}

	mkdir -p "${1%/*}"
	eval "exec $fd>>\"\$1\""
	if ! flock -n "$fd"; then
		say "waiting for another run (${1##*/})"
		flock "$fd"
	fi
}

# Is there something for the word WHAT? A command, or a Debian package when
# WHAT is written as pkg/NAME.
ptf_have() {
	case $1 in
	pkg/*)
		[ "$(dpkg-query -W -f '${db:Status-Status}' "${1#pkg/}" 2>/dev/null)" = installed ]
		;;
	*)
		command -v "$1" >/dev/null
		;;
	esac
}

# ptf_need WHAT:PACKAGE ... - make sure that the host has each WHAT. As root the
# missing packages are installed, saying which and how much; otherwise the
# command to type is printed and the script ends.
ptf_need() {
	local pair missing=() sudo=

	for pair; do
		ptf_have "${pair%%:*}" || missing+=("${pair#*:}")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		! command -v sudo >/dev/null || sudo='sudo '
		say "missing on this machine: ${missing[*]}"
		die "type: ${sudo}apt-get install ${missing[*]}"
	fi
	ptf_lock "$ptf_cache/.install.lock" 8
	say "installing missing packages: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	if ! apt-get install -y --no-install-recommends --print-uris "${missing[@]}" >/dev/null 2>&1; then
		apt-get update -qq >&2 || say "apt-get update failed, going on with the old lists"
	fi
	# Saying no is a failure for apt-get, but not for us.
	{ apt-get install --no-install-recommends --assume-no "${missing[@]}" 2>/dev/null || true; } |
		sed -n 's/^Need to get \(.*\) of archives.*/  \1 to download/p' >&2
	apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 \
		"${missing[@]}" >/dev/null 2>"$ptf_cache/.install.err" || {
		cat "$ptf_cache/.install.err" >&2
		die "could not install: ${missing[*]}"
	}
	exec 8>&-
	for pair; do
		ptf_have "${pair%%:*}" || die "${pair#*:} is installed but ${pair%%:*} is still missing"
	done
}

# The machine's configured binary sources with component main, one
# "URI SUITE" a line, in the order in which they are configured.
ptf_machine_sources() {
	local f

	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -r "$f" ] || continue
		sed -nE 's/^[[:space:]]*deb[[:space:]]+(\[[^]]*\][[:space:]]*)?//p' "$f" |
			awk '{ for (i = 3; i <= NF; i++) if ($i == "main") { print $1, $2; break } }'
	done
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -r "$f" ] || continue
		# A comment may stand between two fields; it ends no stanza.
		grep -v '^#' "$f" | awk '
			function flush(	i, j, u, s, nu, ns) {
				if (!off && types ~ /(^| )deb( |$)/ &&
				    comps ~ /(^| )main( |$)/) {
					nu = split(uris, u, " ")
					ns = split(suites, s, " ")
					for (j = 1; j <= ns; j++)
						for (i = 1; i <= nu; i++)
							print u[i], s[j]
				}
				off = 0; types = uris = suites = comps = key = ""
			}
			function add(v) {
				gsub(/[ \t]+/, " ", v)
				if (key == "types") types = types v
				else if (key == "uris") uris = uris v
				else if (key == "suites") suites = suites v
				else if (key == "components") comps = comps v
				else if (key == "enabled" && v ~ /no|false|0|off/) off = 1
			}
			/^[ \t]*$/ { flush(); next }
			/^[ \t]/ { add(" " $0); next }
			{
				key = tolower(substr($0, 1, index($0, ":") - 1))
				add(" " substr($0, index($0, ":") + 1))
			}
			END { flush() }'
	done
}

# Set ptf_mirror and ptf_mirror_security from the machine's own sources.
# A third party may name its suites as Debian does, so an archive that also
# has SUITE-updates configured is preferred to one that has not.
ptf_find_mirrors() {
	local all uri suite first=

	ptf_mirror=${PTEFAULT_MIRROR:-}
	ptf_mirror_security=${PTEFAULT_MIRROR_SECURITY:-}
	all=$(ptf_machine_sources)
	while read -r uri suite; do
		case $suite in
		*-security | */updates)
			: "${ptf_mirror_security:=$uri}"
			;;
		bookworm | trixie | forky | sid | stable | testing | unstable | oldstable)
			: "${first:=$uri}"
			if grep -qxF "$uri $suite-updates" <<<"$all"; then
				: "${ptf_mirror:=$uri}"
			fi
			;;
		esac
	done <<<"$all"
	: "${ptf_mirror:=$first}"
	[ -n "$ptf_mirror" ] ||
		die "this machine has no Debian source configured; set PTEFAULT_MIRROR to the URI of one"
	# Mirrors carry the security archive next to the main one.
	[ -n "$ptf_mirror_security" ] ||
		ptf_mirror_security=$(sed -E 's,/+$,,; s,$,-security/,' <<<"$ptf_mirror")
}

# ptf_apt_state KEY SUITE... - a private APT state with just these suites, in
# ptf_apt_dir; sets ptf_apt_conf. Locked with fd 7 until ptf_apt_done. The
# lists are refreshed when they are an hour old.
ptf_apt_state() {
	local key=$1 keyring d suite uri old=
	shift

	d=$ptf_cache/apt/$key
	ptf_lock "$ptf_cache/apt/.$key.lock" 7
	ptf_apt_dir=$d
	ptf_apt_conf=$d/apt.conf
	ptf_find_mirrors
	for keyring in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do
		[ ! -r "$keyring" ] || break
	done
	[ -r "$keyring" ] || {
		ptf_need pkg/debian-archive-keyring:debian-archive-keyring
	}
	mkdir -p "$d"/{sources.d,preferences.d,state/lists/partial,cache/archives/partial}
	: >"$d/status"
	{
		for suite; do
			uri=$ptf_mirror
			case $suite in
			*-security) uri=$ptf_mirror_security ;;
			esac
			printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' \
				"$uri" "$suite" "$keyring"
		done
	} >"$d/sources.new"
	if ! cmp -s "$d/sources.new" "$d/sources.d/debian.sources"; then
		rm -f "$d/stamp"
		mv "$d/sources.new" "$d/sources.d/debian.sources"
	fi
	# The machine's other settings (proxies above all) stay in force, but
	# none of its hooks: they belong to its own package state.
	cat >"$ptf_apt_conf" <<-END
		Dir::Etc::sourcelist "/dev/null";
		Dir::Etc::sourceparts "$d/sources.d";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "$d/preferences.d";
		Dir::State "$d/state";
		Dir::State::status "$d/status";
		Dir::Cache "$d/cache";
		Dir::Cache::archives "$d/cache/archives";
		Dir::Cache::pkgcache "pkgcache.bin";
		Dir::Cache::srcpkgcache "srcpkgcache.bin";
		Dir::Log "$d";
		APT::Architecture "$ptf_arch";
		#clear APT::Architectures;
		APT::Architectures { "$ptf_arch"; };
		APT::Sandbox::User "root";
		APT::Install-Recommends "false";
		APT::Get::AllowUnauthenticated "false";
		Acquire::Languages "none";
		Acquire::Retries "3";
		Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
		Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear DPkg::Pre-Invoke;
		#clear DPkg::Post-Invoke;
		#clear DPkg::Pre-Install-Pkgs;
	END
	[ ! -e "$d/stamp" ] || old=$(find "$d/stamp" -mmin +60)
	if [ ! -e "$d/stamp" ] || [ -n "$old" ]; then
		say "reading the package lists of $*"
		ptf_retry apt-get -c "$ptf_apt_conf" -qq update >&2 ||
			die "could not read the package lists of $* (no network?)"
		: >"$d/stamp"
	fi
}

ptf_apt_done() {
	exec 7>&-
}

# Run a command up to three times, with a pause.
ptf_retry() {
	local try

	for try in 1 2 3; do
		"$@" && return 0
		[ "$try" = 3 ] || {
			say "failed: ${*:1:1} ${*:4:2}; trying again"
			sleep $((try * 3))
		}
	done
	return 1
}

# The highest version of package $1 in the private state, or nothing.
ptf_apt_version() {
	local v best=

	for v in $(apt-cache -c "$ptf_apt_conf" madison "$1" | awk -F ' *[|] *' '{ print $2 }'); do
		if [ -z "$best" ] || dpkg --compare-versions "$v" gt "$best"; then
			best=$v
		fi
	done
	printf '%s\n' "$best"
}

# ptf_apt_newest REGEX - "PACKAGE VERSION" of the highest version among the
# packages whose whole name matches.
ptf_apt_newest() {
	local pkg version best="" best_pkg=""

	while read -r pkg version; do
		if [ -z "$best" ] || dpkg --compare-versions "$version" gt "$best"; then
			best=$version
			best_pkg=$pkg
		fi
	done < <(apt-cache -c "$ptf_apt_conf" pkgnames linux- | grep -Ex -- "$1" |
		xargs -r apt-cache -c "$ptf_apt_conf" madison |
		awk -F ' *[|] *' '{ sub(/^ */, "", $1); print $1, $2 }')
	[ -n "$best" ] || return 1
	printf '%s %s\n' "$best_pkg" "$best"
}

# ptf_apt_field FIELD PACKAGE VERSION - a field of that version's record.
ptf_apt_field() {
	apt-cache -c "$ptf_apt_conf" show "$2=$3" | sed -n "s/^$1: //p" | head -n 1
}

# ptf_apt_fetch PACKAGE... - fetch the .deb files of these and of all that they
# depend on, and leave just them in ptf_apt_debs.
ptf_apt_fetch() {
	ptf_apt_debs=$ptf_apt_dir/cache/archives
	rm -f "$ptf_apt_debs"/*.deb
	apt-get -c "$ptf_apt_conf" --print-uris install "$@" 2>/dev/null |
		awk '/^'\''/ { n += $3 } END { printf "  %d MB to download\n", n / 1048576 }' >&2
	ptf_retry apt-get -c "$ptf_apt_conf" -qq -y --download-only install "$@" >&2
}

# ptf_apt_download DIR PACKAGE=VERSION... - fetch the .deb files into DIR.
ptf_apt_download() {
	local dir=$1 pv bytes sum=0
	shift

	for pv; do
		bytes=$(ptf_apt_field Size "${pv%%=*}" "${pv#*=}")
		sum=$((sum + ${bytes:-0}))
	done
	say "downloading $(((sum + 524288) / 1048576)) MB: ${*%%=*}"
	(
		cd "$dir" || exit 1
		ptf_retry apt-get -c "$ptf_apt_conf" -qq download "$@" >&2
	) || die "download failed: $*"
}
