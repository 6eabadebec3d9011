// SPDX-License-Identifier: GPL-2.0-only
/* Init and exit, nothing else. */
#include <linux/module.h>
#include "rule.h"
#include "space.h"

static int __init ptf_init(void)
{
	int err;

	err = ptf_tlb_init();
	if (err)
		return err;
	err = ptf_space_init();
	if (err)
		return err;
	err = ptf_step_init();
	if (err)
		goto space_exit;
	err = ptf_netlink_init();
	if (err)
		goto step_exit;
	ptf_hook_init();
	err = ptf_device_register();
	if (!err)
		return 0;

	ptf_hook_exit();
	ptf_netlink_exit();
step_exit:
	ptf_step_exit();
space_exit:
	ptf_space_exit();
	return err;
}

static void __exit ptf_exit(void)
{
	ptf_device_unregister();
	/* whoever is in there uses all of the rest */
	ptf_hook_exit();
	ptf_step_exit();
	ptf_space_exit();
	ptf_netlink_exit();
}

module_init(ptf_init);
module_exit(ptf_exit);

MODULE_DESCRIPTION("page faults on purpose: clear translations, decide and report");
MODULE_AUTHOR("ptefault developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(PTEFAULT_VERSION);
