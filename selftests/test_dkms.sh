#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make dkms-install with Debian's DKMS, in a root of its own: this machine's files
# with a layer of memory over them, so nothing of it stays. The module that comes
# out is loaded in a VM. And a kernel that lacks what the module needs is refused
# in words.
#
# vm: host
# timeout: 600

set -uo pipefail
top=${PTF_TOP:-$(dirname "$(readlink -f "$0")")/../..}
scripts=$top/scripts
# shellcheck source-path=SCRIPTDIR source=../scripts/lib.sh
. "$scripts/lib.sh"
kernel=${PTF_KERNEL:-6.1}
names=(installs is_found has_the_version is_signed again loads is_not_let_in_unsigned
	kernel_without_dkms kernel_without_build goes_away)

# In that root: each step's words go to a file of its own, and its status.
if [ "${1-}" = --inside ]; then
	out=$2
	release=$(cat "$3/version")
	step() {
		local name=$1
		shift
		"$@" >"$out/$name" 2>&1
		echo "status $?" >>"$out/$name"
	}

	rm -rf /lib/modules /var/lib/dkms /usr/src/ptefault-*
	mkdir -p /lib/modules /var/lib/dkms
	[ -z "${4-}" ] || dpkg-deb -x "$4" /
	cp -r "$3/root/lib/modules/$release" /lib/modules/
	ln -s "$(readlink -f "$3/kdir")" "/lib/modules/$release/build"
	step installs make --no-print-directory -C "$top" dkms-install
	step is_found modinfo -k "$release" -n ptefault
	step has_the_version modinfo -k "$release" ptefault
	cp "$(modinfo -k "$release" -n ptefault)" "$out/" || exit 1
	step again "$scripts/dkms-install" "$release"

	# The same headers, of a kernel that can't do it. The layer takes the change.
	mkdir /lib/modules/0-without
	ln -s "$(readlink -f "$3/kdir")" /lib/modules/0-without/build
	(cd /lib/modules/0-without/build &&
		sed -i '/CONFIG_NUMA_BALANCING[ =]/d' .config include/config/auto.conf \
			include/generated/autoconf.h)
	step kernel_without_dkms "$scripts/dkms-install" 0-without
	mkdir /tmp/without
	cp -r "$top/Kbuild" "$top/module" /tmp/without/
	step kernel_without_build make -C /lib/modules/0-without/build M=/tmp/without modules
	# shellcheck disable=SC2016
	step goes_away sh -c 'dkms remove "ptefault/$1" --all; dkms status; find /lib/modules -name "ptefault*"' \
		sh "$(sed -n 's/^#define PTEFAULT_VERSION "\(.*\)"/\1/p' "$top/module/version.h")"
	exit 0
fi

skip_all() {
	local i

	for ((i = 1; i <= ${#names[@]}; i++)); do
		printf 'ok %d dkms.%s # SKIP %s\n' "$i" "${names[i - 1]}" "$1"
	done
	exit 4
}

printf 'TAP version 13\n1..%d\n' ${#names[@]}
[ "$(id -u)" = 0 ] || skip_all 'only root can make the root for it'
unshare -m true 2>/dev/null || skip_all 'no mount namespaces here'
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

deb=
if ! command -v dkms >/dev/null; then
	deb=$(echo "$ptf_cache"/dkms/dkms_*.deb)
	if [ ! -f "$deb" ]; then
		mkdir -p "$ptf_cache/dkms"
		(cd "$ptf_cache/dkms" && apt-get -qq download dkms) >"$dir/apt" 2>&1
		deb=$(echo "$ptf_cache"/dkms/dkms_*.deb)
		[ -f "$deb" ] || skip_all 'DKMS is not here and could not be downloaded'
	fi
fi
kdir=$("$scripts/fetch-kernel" --headers "$kernel") || skip_all "no kernel $kernel"

mkdir "$dir/out" "$dir/layer"
# shellcheck disable=SC2016
unshare -m bash -ec '
	layer=$1 out=$2
	shift 2
	mount --make-rprivate /
	mount -t tmpfs layer "$layer"
	mkdir "$layer"/{upper,work,root}
	mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
	for d in /proc /sys /dev "$out"; do
		mkdir -p "$layer/root$d"
		mount --rbind "$d" "$layer/root$d"
	done
	exec chroot "$layer/root" "$@"
' bash "$dir/layer" "$dir/out" "$(readlink -f "$0")" --inside "$dir/out" "$kdir" "$deb" \
	>"$dir/said" 2>&1 </dev/null || cat "$dir/said" >>"$dir/out/installs"

n=0
# check NAME FILE PATTERN...: all of them are in it
check() {
	local name=$1 f=$dir/out/$2 bad=0 p
	shift 2

	n=$((n + 1))
	for p; do
		grep -qE -- "$p" "$f" 2>/dev/null || bad=1
	done
	if [ $bad = 0 ]; then
		printf 'ok %d dkms.%s\n' "$n" "$name"
	else
		sed 's/^/# /' "$f" | tail -n 30
		printf 'not ok %d dkms.%s\n' "$n" "$name"
	fi
}

version=$(sed -n 's/^#define PTEFAULT_VERSION "\(.*\)"/\1/p' "$top/module/version.h")
check installs installs "^ptefault $version for .*ptefault" '^status 0$'
check is_found is_found '/updates/dkms/ptefault[.]ko' '^status 0$'
check has_the_version has_the_version "^version: *$version\$"
check is_signed has_the_version '^signer: *.*DKMS' '^sig_hashalgo:'
check again again "^ptefault $version for " '^status 0$'

for ko in "$dir"/out/ptefault.ko*; do
	case $ko in
	*.xz) xz -d "$ko" ;;
	esac
done
"$scripts/vm" --kernel "$kernel" --module "$dir/out/ptefault.ko" -- ls -l /dev/ptefault \
	>"$dir/out/loads" 2>&1 </dev/null
check loads loads '^crw------- .*/dev/ptefault'
# The key is this machine's; its owner has to enrol it. Until then:
"$scripts/vm" --kernel "$kernel" --append module.sig_enforce=1 -- insmod "$dir/out/ptefault.ko" \
	>"$dir/out/enforced" 2>&1 </dev/null
check is_not_let_in_unsigned enforced 'Key was rejected by service'

check kernel_without_dkms kernel_without_dkms \
	'not built for 0-without: ptefault needs CONFIG_NUMA_BALANCING,' '^status 1$'
check kernel_without_build kernel_without_build 'ptefault needs CONFIG_NUMA_BALANCING' '^status 2$'
check goes_away goes_away '^status 0$'
