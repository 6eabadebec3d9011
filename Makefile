# SPDX-License-Identifier: GPL-2.0-only
# ptefault: module, library, command, tests. "make help" lists the targets.

VERSION := $(shell sed -n 's/^.define PTEFAULT_VERSION "\(.*\)"/\1/p' module/version.h)
PREFIX ?= /usr/local
BUILD := build
KERNEL ?= 6.1
KERNELS ?= 6.1 6.12 7.3 debug
BUILT := \( $(foreach p,*.o *.ko *.mod *.mod.c *.symvers .*.cmd .*.d modules.order,-name '$(p)' -o) \
	-name '*.gcno' -o -name '*.gcda' \)
# where the running kernel has headers the module is built against those
KDIR ?= $(wildcard /lib/modules/$(shell uname -r)/build)

export PREFIX DESTDIR VERSION KERNEL

.PHONY: all help deps module module-vm user selftests run check matrix bench \
	lint check-san soak coverage mutants install modules_install uninstall \
	dkms-install dist clean

all: module user ## build the module, the library and the command

help: ## show this list
	@printf 'ptefault %s\n\n' '$(VERSION)'
	@sed -n 's/^\([a-z_-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		awk -F'|' '{ printf "  make %-16s %s\n", $$1, $$2 }'
	@printf '\nVariables: KERNEL=6.1 KERNELS="6.1 6.12 7.3 debug" KDIR DESTDIR PREFIX CC CFLAGS LDFLAGS V=1\n'

deps:
	@scripts/need-packages gcc libc6-dev make pkg-config libjson-c-dev \
		libnl-3-dev libnl-genl-3-dev

module: ## build ptefault.ko for the running kernel (KDIR), or for KERNEL
ifneq ($(KDIR),)
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules
else
	@$(MAKE) --no-print-directory module-vm
endif

module-vm:
	@scripts/build-module --kernel $(KERNEL) . $(BUILD)/$(KERNEL)

user: deps ## build libptefault and the ptefault command
	@$(MAKE) --no-print-directory -C user

selftests: user
	@$(MAKE) --no-print-directory -C selftests

run: module-vm user ## watch it work in a VM: sqlite3 under clears, rows before and after
	@scripts/demo

check: user ## the test suite on 6.1, in VMs
	@scripts/check $(CHECK_ARGS)

matrix: user ## the test suite on all of KERNELS, and one table
	@scripts/matrix $(KERNELS)

bench: user ## guest instructions of an operation, and of what one would do today
	@scripts/bench

lint: ## W=1, sparse, checkpatch --strict, shellcheck
	@scripts/lint

check-san: deps ## the library's tests under sanitizers and valgrind
	@$(MAKE) --no-print-directory -C user check-san

soak: user ## the long tier: all rounds of the random tests, on all of KERNELS
	@scripts/matrix $(KERNELS) -- --full

coverage: user ## which lines of the module the suite reaches, by file
	@scripts/coverage

mutants: user ## break the module in many small ways; the suite must notice each
	@scripts/mutants

install: user ## install library, command, manual pages (DESTDIR, PREFIX)
	@$(MAKE) --no-print-directory -C user install

modules_install: ## install ptefault.ko for the running kernel (DESTDIR)
ifneq ($(KDIR),)
	$(MAKE) -C $(KDIR) M=$(CURDIR) INSTALL_MOD_PATH=$(DESTDIR) modules_install
else
	@printf '%s\n' 'modules_install: no headers of the running kernel ($(shell uname -r)), so no module for it;' \
		'install linux-headers-$(shell uname -r), or say KDIR=/path/to/build' >&2
	@false
endif

uninstall: ## remove what install put there
	@$(MAKE) --no-print-directory -C user uninstall

dkms-install: ## hand the module to DKMS, which rebuilds it for each new kernel
	@scripts/dkms-install

dist: ## a source archive, build/ptefault-VERSION.tar.gz
	@mkdir -p $(BUILD)
	git archive --prefix=ptefault-$(VERSION)/ -o $(BUILD)/ptefault-$(VERSION).tar.gz HEAD

clean: ## remove everything that was built
	rm -rf $(BUILD)
	@# what Kbuild leaves beside the sources when it builds for KDIR
	@find . -maxdepth 1 -type f $(BUILT) -delete
	@find module -type f $(BUILT) -delete
