// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sessions: the fd of /dev/ptefault and what the module said it can do.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "session.h"

int ptf_ioctl(const struct ptf_session *session, unsigned long cmd, void *arg)
{
	return ioctl(session->fd, cmd, arg) < 0 ? -errno : 0;
}

enum ptf_layer ptf_errno_layer(int err)
{
	switch (err) {
	case EINVAL:
	case E2BIG:
	case EOVERFLOW:
		return PTF_LAYER_ARGUMENT;
	case ENOMEM:
	case EACCES:
		return PTF_LAYER_VMA;
	case ESRCH:
	case EPERM:
		return PTF_LAYER_PROCESS;
	case ENOTTY:
		return PTF_LAYER_MODULE;
	default:
		return PTF_LAYER_PTE;
	}
}

int ptf_range_check(const char *op, uint64_t start, uint64_t end)
{
	uint64_t mask = ptf_page_bytes() - 1;

	if ((start | end) & mask)
		ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op,
			 ptf_addr(start & mask ? start : end), 0, 0,
			 "not a multiple of the page size");
	else if (end <= start)
		ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, ptf_addr(start), 0, 0,
			 end == start ? "empty range" : "end before start");
	else
		return 0;
	ptf_fail_at();
	ptf_fail_way("pass a page-aligned range that is not empty");
	return -EINVAL;
}

/* Fill in the features of a fresh session, or say why it is none. */
static int handshake(struct ptf_session *session, uint64_t required,
		     const char *device, const char *op)
{
	struct ptf_ioc_features_get *f = &session->features;
	int err;

	f->size = sizeof(*f);
	f->required = required;
	err = ptf_ioctl(session, PTF_IOC_FEATURES_GET, f);
	if (err == -EOPNOTSUPP && f->out_api) {
		ptf_fail(-err, PTF_LAYER_MODULE, op, NULL, 0, 0,
			 "missing features: 0x%llx", (unsigned long long)
			 (required & ~f->out_features));
		ptf_fail_way("load a newer module, or run a kernel that has what it needs; see ptefault(4)");
		return err;
	}
	if (err == -ENOTTY) {
		ptf_fail(-err, PTF_LAYER_MODULE, op, NULL, 0, 0, "%s", device);
		ptf_fail_way("this is not the device of the ptefault module");
		return err;
	}
	if (err)
		return ptf_fail(-err, PTF_LAYER_MODULE, op, NULL, 0, 0, "%s",
				device);
	if (f->out_api != PTF_API_VERSION) {
		ptf_fail(EPROTO, PTF_LAYER_MODULE, op, NULL, 0, 0,
			 "module speaks version %u, library %u", f->out_api,
			 PTF_API_VERSION);
		ptf_fail_way("install module and library of the same release");
		return -EPROTO;
	}
	return 0;
}

int ptf_session_open(const struct ptf_session_options *options,
		     struct ptf_session **out)
{
	static const char op[] = "ptf_session_open";
	struct ptf_session_options o;
	struct ptf_session *session;
	const char *device;
	int err;

	*out = NULL;
	err = ptf_opts_copy(&o, sizeof(o), sizeof(o), options, op);
	if (err)
		return err;
	if (o.flags)
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, 0, 0,
				"unknown flag");
	device = o.device ? o.device : PTF_DEVICE;
	session = calloc(1, sizeof(*session));
	if (!session)
		return ptf_fail(ENOMEM, PTF_LAYER_NONE, op, NULL, 0, 0, NULL);
	/* Who waits for an event does so in poll(). */
	session->fd = open(device, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (session->fd < 0) {
		err = ptf_fail(errno, PTF_LAYER_MODULE, op, NULL, 0, 0, "%s",
			       device);
		goto free_session;
	}
	err = handshake(session, o.required, device, op);
	if (err)
		goto close_fd;
	session->owner = getpid();
	*out = session;
	return 0;

close_fd:
	close(session->fd);
free_session:
	free(session);
	return err;
}

int ptf_session_from_fd(int fd, struct ptf_session **out)
{
	static const char op[] = "ptf_session_from_fd";
	struct ptf_session *session;
	int err;

	*out = NULL;
	session = calloc(1, sizeof(*session));
	if (!session)
		return ptf_fail(ENOMEM, PTF_LAYER_NONE, op, NULL, 0, 0, NULL);
	session->fd = fd;
	err = handshake(session, 0, "the fd passed on", op);
	if (err) {
		free(session);
		return err;
	}
	/* It is somebody else's as well: left as it is. */
	session->blocking = !(fcntl(fd, F_GETFL) & O_NONBLOCK);
	*out = session;
	return 0;
}

void ptf_session_close(struct ptf_session *session)
{
	int saved = errno;

	if (!session)
		return;
	close(session->fd);
	free(session);
	errno = saved;
}

int ptf_session_fd(const struct ptf_session *session)
{
	return session->fd;
}

const struct ptf_ioc_features_get *
ptf_session_features(const struct ptf_session *session)
{
	return &session->features;
}

bool ptf_module_has_advice(const struct ptf_session *session,
			   unsigned int advice)
{
	if (advice <= PTF_ADV_BASE || advice - PTF_ADV_BASE > 63)
		return false;
	return session->features.out_advice >> (advice - PTF_ADV_BASE) & 1;
}

int ptf_session_has_advice(const struct ptf_session *session,
			   unsigned int advice)
{
	/* By the module, or with its rows over the kernel's PAGEOUT. */
	return ptf_module_has_advice(session, advice) ||
	       (advice == PTF_ADV_SWAPOUT &&
		session->features.out_features & PTF_FEATURE_QUERY);
}

int ptf_session_stat(const struct ptf_session *session,
		     struct ptf_ioc_session_stat *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	out->size = sizeof(*out);
	err = ptf_ioctl(session, PTF_IOC_SESSION_STAT, out);
	if (err)
		return ptf_fail(-err, PTF_LAYER_MODULE, "ptf_session_stat",
				NULL, 0, 0, NULL);
	return 0;
}

const char *ptf_feature_name(uint64_t feature)
{
	static const char *const names[] = {
		"query", "filemap", "hint", "hook", "stash", "gup", "fault",
		"track", "mappers", "rule", "step", "netlink", "file-advise",
	};
	unsigned int i;

	for (i = 0; i < PTF_ARRAY_SIZE(names); i++)
		if (feature == 1ULL << i)
			return names[i];
	return NULL;
}
