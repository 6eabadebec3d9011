// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fault handler by name, as another module would offer one: lets two faults
 * of three pass, and answers the third with SIGBUS; or whatever "answer" says.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <ptefault_handler.h>

static int answer = -1;
module_param(answer, int, 0644);
MODULE_PARM_DESC(answer, "PTF_ACT_* for each fault; -1: every third is SIGBUS");

static unsigned int sleep_ms;
module_param(sleep_ms, uint, 0644);
MODULE_PARM_DESC(sleep_ms, "how long a fault takes");

static unsigned int faults;
module_param(faults, uint, 0444);
MODULE_PARM_DESC(faults, "how many there were");

static atomic_t count = ATOMIC_INIT(0);

static u32 ptfhandler_fault(const struct ptf_handler_fault *f)
{
	int nth = atomic_inc_return(&count);

	WRITE_ONCE(faults, nth);
	if (sleep_ms)
		msleep(sleep_ms);
	if (answer >= 0)
		return answer;
	return nth % 3 ? PTF_ACT_GO : PTF_ACT_SIGBUS;
}

static struct ptf_handler ptfhandler = {
	.name	= "every-third",
	.owner	= THIS_MODULE,
	.fault	= ptfhandler_fault,
};

static int __init ptfhandler_init(void)
{
	return ptf_handler_register(&ptfhandler);
}

static void __exit ptfhandler_exit(void)
{
	ptf_handler_unregister(&ptfhandler);
}

module_init(ptfhandler_init);
module_exit(ptfhandler_exit);

MODULE_DESCRIPTION("a fault handler for ptefault's tests");
MODULE_LICENSE("GPL");
