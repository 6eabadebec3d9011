// SPDX-License-Identifier: GPL-2.0-only
/* Init and exit, nothing else. */
#include <linux/module.h>
#include "space.h"

static int __init ptf_init(void)
{
	int err;

	err = ptf_tlb_init();
	if (err)
		return err;
	ptf_hook_init();
	err = ptf_device_register();
	if (err)
		ptf_hook_exit();
	return err;
}

static void __exit ptf_exit(void)
{
	ptf_device_unregister();
	ptf_hook_exit();
	ptf_space_exit();
}

module_init(ptf_init);
module_exit(ptf_exit);

MODULE_DESCRIPTION("page faults on purpose: clear translations, decide and report");
MODULE_AUTHOR("ptefault developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(PTEFAULT_VERSION);
