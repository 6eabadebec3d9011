// SPDX-License-Identifier: GPL-2.0-only
/*
 * A session and its target for a verb, and what to say if there is none.
 */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tool.h"

#define DEVICE "/dev/ptefault"

int open_session(struct tool *t, struct ptf_session **out)
{
	struct utsname uts = { 0 };
	int err = ptf_session_open(NULL, out);

	switch (err) {
	case 0:
		return DONE;
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		uname(&uts);
		return tool_fail(t, DEVICE, "load it as root: modprobe ptefault, or insmod ptefault.ko built for this kernel",
				 "the ptefault module is not loaded in kernel %s",
				 uts.release);
	case -EACCES:
	case -EPERM:
		return tool_fail(t, DEVICE, geteuid() ? "run it as root" : NULL,
				 "%s", strerror(-err));
	default:
		return tool_fail_ptf(t, DEVICE);
	}
}

int open_target(struct tool *t, struct ptf_session **session,
		struct ptf_target **target)
{
	pid_t pid;
	int ret;

	*session = NULL;
	*target = NULL;
	ret = arg_pid(t, &pid);
	if (ret == DONE)
		ret = open_session(t, session);
	if (ret != DONE)
		return ret;
	if (ptf_target_open(*session, pid, target)) {
		ret = tool_fail_ptf(t, NULL);
		ptf_session_close(*session);
		*session = NULL;
	}
	return ret;
}
