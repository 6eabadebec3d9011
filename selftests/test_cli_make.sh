#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make where there are no kernel headers, and after a build beside the sources.
# (Builds themselves are test_build's.)
#
# vm: host

set -u
export LC_ALL=C

top=${PTF_TOP:-$(dirname "$(readlink -f "$0")")/../..}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# shellcheck source-path=SCRIPTDIR source=ktap.sh
. "$(dirname "$(readlink -f "$0")")/ktap.sh"

mkdir "$out/src"
cp "$top/Makefile" "$top/Kbuild" "$top/.gitignore" "$out/src/"
(cd "$top" && find module -type f -name '*.[chS]' -exec cp --parents {} "$out/src/" \;)
(cd "$out/src" && find . -type f | sort) >"$out/sources"

run_make() {
	rc=0
	make --no-print-directory -C "$out/src" "$@" >"$out/1" 2>"$out/2" </dev/null || rc=$?
}
run_make modules_install KDIR=
is "modules_install without headers" 2 '^modules_install: no headers of the running kernel' 2
is "and the way out" 2 'install linux-headers-.*, or say KDIR=' 2
check "make itself trips over nothing" "$(grep -c 'No such file' "$out/2")" = 0
# There is no such folder, which is what make says then.
run_make modules_install KDIR=/there "DESTDIR=$out/dest"
is "modules_install with them" 2 "-C /there M=.* INSTALL_MOD_PATH=$out/dest modules_install" 1

# What Kbuild of 6.1, 6.12 and 7.3 leave.
for f in ptefault.ko ptefault.o ptefault.mod ptefault.mod.c ptefault.mod.o Module.symvers modules.order \
	.ptefault.ko.cmd .ptefault.o.cmd .ptefault.mod.cmd .ptefault.mod.o.cmd .Module.symvers.cmd \
	.modules.order.cmd .module-common.o .module-common.mod.o.cmd module/rule.o module/.rule.o.cmd \
	module/.handler.o.d module/rule.gcno; do
	echo >"$out/src/$f"
done
if git init -q "$out/src" 2>/dev/null; then
	git -C "$out/src" status --porcelain -uall | sed 's/^?? //' | sort >"$out/seen"
	sed 's#^\./##' "$out/sources" | sort | comm -13 - "$out/seen" | grep -v '\.gcno$' >"$out/1"
	check "git sees none of what was built" ! -s "$out/1"
	rm -rf "$out/src/.git"
else
	skip "git sees none of what was built" "no git"
fi
run_make clean KDIR=
(cd "$out/src" && find . -type f | sort) | diff "$out/sources" - >"$out/1"
ok "clean leaves the sources, and nothing else" $?

finish
