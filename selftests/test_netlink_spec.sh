#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# module/ptefault.yaml, the UAPI header and netlink.c speak of the same names,
# numbers and types.
#
# vm: host
# packages: python3 python3-yaml gcc libc6-dev

set -u
export LC_ALL=C

top=${PTF_TOP:-$(dirname "$(readlink -f "$0")")/../..}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# shellcheck source-path=SCRIPTDIR source=ktap.sh
. "$(dirname "$(readlink -f "$0")")/ktap.sh"

if ! python3 -c 'import yaml' 2>/dev/null; then
	skip_all "no python3 with yaml"
fi

# As YAML has it: "KIND NAME NUMBER" for each name of the header, "type NAME TYPE"
# and "enum NAME ENUM" for each attribute.
python3 - "$top/module/ptefault.yaml" >"$out/yaml" 2>"$out/why" <<'END'
import sys, yaml
spec = yaml.safe_load(open(sys.argv[1]))
def name(prefix, entry):
    return (prefix + entry).upper().replace('-', '_')
def named(e):
    return e['name'] if isinstance(e, dict) else e
print('family', spec['name'], spec['version'])
for g in spec['mcast-groups']['list']:
    print('group', g['name'], 0)
enums = {}
for d in spec['definitions']:
    assert d['header'] == spec['uapi-header']
    enums[d['name']] = d
    for i, e in enumerate(d['entries']):
        value = 1 << i if d['type'] == 'flags' else d['value-start'] + i
        # 0 is what nobody knows yet: it has no name there
        if (d['name'], named(e)) != ('answer', 'unknown'):
            print('enum', name(d['name-prefix'], named(e)), value)
sets = spec['attribute-sets']
assert len(sets) == 1
attrs = [a['name'] for a in sets[0]['attributes']]
for i, a in enumerate(sets[0]['attributes']):
    full = name(sets[0]['name-prefix'], a['name'])
    print('attr', full, i + 1)
    print('type', full, a['type'])
    if 'enum' in a:
        assert enums[a['enum']]['type'] == ('flags' if a.get('enum-as-flags') else 'enum')
for i, o in enumerate(spec['operations']['list']):
    print('cmd', name(spec['operations']['name-prefix'], o['name']), i + 1)
    assert o['attribute-set'] == sets[0]['name']
    assert o['mcgrp'] in [g['name'] for g in spec['mcast-groups']['list']]
    assert sorted(o['event']['attributes']) == sorted(a for a in attrs if a != 'pad')
END
ok "the spec is YAML, and agrees with itself" $? "$(cat "$out/why")"

# The same names as a compiler sees them in the header.
{
	printf '#include <stdio.h>\n#include <linux/ptefault.h>\nint main(void)\n{\n'
	printf '\tprintf("family %%s %%d\\n", PTF_GENL_NAME, PTF_GENL_VERSION);\n'
	printf '\tprintf("group %%s 0\\n", PTF_GENL_MCGRP_EVENTS);\n'
	awk '$1 == "enum" || $1 == "attr" || $1 == "cmd" {
		printf "\tprintf(\"%s %s %%llu\\n\", (unsigned long long)%s);\n", $1, $2, $2
	}' "$out/yaml"
	printf '\treturn 0;\n}\n'
} >"$out/names.c"
gcc -I"$top/module/uapi" -o "$out/names" "$out/names.c" 2>"$out/why" && "$out/names" >"$out/header"
ok "the header has all its names" $? "$(grep error: "$out/why" | head -n 5)"
grep -v '^type ' "$out/yaml" | diff - "$out/header" >"$out/why"
ok "with the same numbers" $? "$(head -n 10 "$out/why")"

# And none that the spec hasn't. ANY, LAST and GO are no values of an event.
sed -nE 's/^#define (PTF_(EVENT|ACCESS|ORIGIN|ACT|STATE|FAULTED)_[A-Z]+)[[:space:]].*/\1/p
	s/^[[:space:]]+(PTF_GENL_(A|CMD)_[A-Z_]+)( = [0-9]+)?,.*/\1/p' \
	"$top/module/uapi/linux/ptefault.h" |
	grep -vE '_(ANY|LAST)$|^PTF_ACT_GO$' | sort >"$out/in.header"
awk '$1 == "enum" || $1 == "attr" || $1 == "cmd" { print $2 }' "$out/yaml" | sort >"$out/in.yaml"
diff "$out/in.header" "$out/in.yaml" >"$out/why"
ok "the spec has all names of the header" $? "$(cat "$out/why")"

# What the module puts into a message, and by which type.
tr -d '\n' <"$top/module/netlink.c" |
	grep -oE 'nla_put_u(8|16|32|64)(_64bit)?\(skb, PTF_GENL_A_[A-Z_]+' |
	sed -E 's/nla_put_(u[0-9]+)(_64bit)?\(skb, (.*)/type \3 \1/' | sort >"$out/module"
grep '^type ' "$out/yaml" | grep -v ' pad$' | sort | diff "$out/module" - >"$out/why"
ok "the module puts each of them in, once, by its type" $? "$(cat "$out/why")"
# The header says the types in words.
sed -nE 's,^[[:space:]]+(PTF_GENL_A_[A-Z_]+)( = [0-9]+)?\,[[:space:]]*/\* (u[0-9]+).*,type \1 \3,p' \
	"$top/module/uapi/linux/ptefault.h" | sort | diff - "$out/module" >"$out/why"
ok "and the header says so" $? "$(cat "$out/why")"

finish
