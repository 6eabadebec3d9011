// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Memory use from /proc/PID/status.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ptefault/usage.h>

#include "internal.h"

static const struct {
	const char *key;
	size_t at;
} fields[] = {
	{ "VmPeak:", offsetof(struct ptf_usage, virtual_peak_bytes) },
	{ "VmSize:", offsetof(struct ptf_usage, virtual_bytes) },
	{ "VmLck:", offsetof(struct ptf_usage, locked_bytes) },
	{ "VmPin:", offsetof(struct ptf_usage, pinned_bytes) },
	{ "VmHWM:", offsetof(struct ptf_usage, rss_peak_bytes) },
	{ "VmRSS:", offsetof(struct ptf_usage, rss_bytes) },
	{ "RssAnon:", offsetof(struct ptf_usage, rss_anon_bytes) },
	{ "RssFile:", offsetof(struct ptf_usage, rss_file_bytes) },
	{ "RssShmem:", offsetof(struct ptf_usage, rss_shmem_bytes) },
	{ "VmData:", offsetof(struct ptf_usage, data_bytes) },
	{ "VmStk:", offsetof(struct ptf_usage, stack_bytes) },
	{ "VmExe:", offsetof(struct ptf_usage, text_bytes) },
	{ "VmLib:", offsetof(struct ptf_usage, library_bytes) },
	{ "VmPTE:", offsetof(struct ptf_usage, page_table_bytes) },
	{ "VmSwap:", offsetof(struct ptf_usage, swap_bytes) },
};

int ptf_usage_get(pid_t pid, struct ptf_usage *usage)
{
	struct ptf_usage u = { .size = sizeof(u) };
	char path[40], text[8192], *line;
	uint32_t room = usage->size;
	unsigned int found = 0;
	ssize_t n;
	size_t i;
	int fd;

	if (room < sizeof(u))
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, usage,
				sizeof(u), room, "struct too short");
	if (pid < 0)
		return ptf_fail(ESRCH, PTF_LAYER_PROCESS, __func__, NULL, 0, 0,
				"pid %d", pid);
	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/status", pid);
	else
		snprintf(path, sizeof(path), "/proc/thread-self/status");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ptf_fail(errno == ENOENT ? ESRCH : errno, PTF_LAYER_PROCESS,
				__func__, NULL, 0, 0, "%s", path);
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0) {
		n = errno;
		close(fd);
		return ptf_fail((int)n, PTF_LAYER_PROCESS, __func__, NULL, 0, 0,
				"%s", path);
	}
	close(fd);
	text[n] = 0;
	/* The process's own name, in the first line, is escaped: no newline. */
	for (line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		for (i = 0; i < PTF_ARRAY_SIZE(fields); i++) {
			size_t len = strlen(fields[i].key);

			if (strncmp(line, fields[i].key, len))
				continue;
			*(uint64_t *)((char *)&u + fields[i].at) =
				strtoull(line + len, NULL, 10) * 1024;
			found++;
		}
	}
	if (!found)
		return ptf_fail(ESRCH, PTF_LAYER_PROCESS, __func__, NULL, 0, 0,
				"pid %d has no memory of its own", pid);
	memcpy(usage, &u, sizeof(u));
	usage->size = room;
	return 0;
}
