/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fault handlers of other modules: a rule with PTF_ACT_HANDLER sends its faults
 * to the handler of that name. See selftests/modules/ptfhandler for one.
 */
#ifndef PTEFAULT_HANDLER_H
#define PTEFAULT_HANDLER_H

#include <linux/mm_types.h>
#include <linux/module.h>
#include <linux/ptefault.h>

/**
 * struct ptf_handler_fault - what a handler is told
 * @vma: where; its lock or mmap_lock is held for reading, and must stay so
 * @address: that was accessed
 * @flags: FAULT_FLAG_*
 * @regs: registers of the access, NULL if it has none (get_user_pages())
 * @rule: id of the rule
 * @value: of the rule
 */
struct ptf_handler_fault {
	struct vm_area_struct *vma;
	unsigned long address;
	unsigned int flags;
	struct pt_regs *regs;
	u64 rule;
	u64 value;
};

/**
 * struct ptf_handler - a handler
 * @name: at most PTF_HANDLER_NAME_LEN - 1 bytes
 * @owner: THIS_MODULE; it can't be unloaded while a rule names the handler
 * @fault: answers PTF_ACT_GO (the fault goes on as if there were no rule),
 *	PTF_ACT_SIGBUS, SIGSEGV, HWPOISON, OOM or RETRY (once). May sleep, but
 *	not for long: it holds up whoever wants to change the address space
 * @list: ours
 */
struct ptf_handler {
	const char *name;
	struct module *owner;
	u32 (*fault)(const struct ptf_handler_fault *f);
	struct list_head list;
};

/**
 * ptf_handler_register() - offer a handler
 * @h: stays until it is unregistered
 *
 * Return: 0, -EINVAL no name, a name that is too long, or no function, -EEXIST
 */
int ptf_handler_register(struct ptf_handler *h);

/**
 * ptf_handler_unregister() - take it back
 * @h: no rule names it: rules hold its module, and this is called on exit
 */
void ptf_handler_unregister(struct ptf_handler *h);

#endif /* PTEFAULT_HANDLER_H */
