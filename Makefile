# SPDX-License-Identifier: GPL-2.0-only
# ptefault: module, library, command, tests. "make help" lists the targets.

VERSION := $(shell sed -n 's/^.define PTEFAULT_VERSION "\(.*\)"/\1/p' module/version.h)
PREFIX ?= /usr/local
BUILD := build
KERNEL ?= 6.1
KERNELS ?= 6.1 6.12 7.3 debug

export PREFIX DESTDIR VERSION

.PHONY: all help user module selftests clean

all: user module ## build the module, the library and the command

help: ## show this list
	@printf 'ptefault %s\n\n' '$(VERSION)'
	@sed -n 's/^\([a-z_-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | \
		awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

module: ## build ptefault.ko for KERNEL (default 6.1)
	scripts/build-module --kernel $(KERNEL) . $(BUILD)/$(KERNEL)

user: ## build libptefault and the ptefault command
	$(MAKE) -C user

selftests: user ## build the selftests
	$(MAKE) -C selftests

clean: ## remove everything that was built
	rm -rf $(BUILD)
