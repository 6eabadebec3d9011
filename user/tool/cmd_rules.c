// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptefault rules: what is armed on a process, whoever armed it.
 *
 * Rules belong to sessions, and a session is an open file. Those of other
 * processes are found in /proc and asked through a duplicate of their file, so
 * that what is shown is what the kernel has, and nothing is kept anywhere that
 * could be out of date.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/kcmp.h>

#include "rules.h"

#define DEVICE "/dev/ptefault"

static const struct tool_opt opts[] = {
	{ "pid", "PID", "the process", 'p' },
	{ 0 }
};

/* Where we found a session. */
struct place {
	pid_t owner;
	int fd;
};

struct search {
	struct tool *t;
	pid_t pid;		/* whose rules */
	dev_t device;
	struct place *seen;
	size_t nr_seen;
	size_t closed;		/* sessions that could not be asked */
	size_t shown;
	struct json_object *array;
	/* of the session at hand */
	struct place at;
	char command[32];
	uint32_t target;
	bool armed;
};

static void command_of(pid_t pid, char *buf, size_t len)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (!f || !fgets(buf, len, f))
		snprintf(buf, len, "?");
	buf[strcspn(buf, "\n")] = 0;
	if (f)
		fclose(f);
}

/* Processes that share a file after fork() share the session. */
static bool seen_before(struct search *s, const struct place *p)
{
	for (size_t i = 0; i < s->nr_seen; i++)
		if (!syscall(SYS_kcmp, p->owner, s->seen[i].owner, KCMP_FILE,
			     p->fd, s->seen[i].fd))
			return true;
	return false;
}

static int show_rule(const struct ptf_rule *rule, void *arg)
{
	struct search *s = arg;
	char text[512];
	struct json_object *o;
	struct ptf_action a = { .action = rule->action, .value = rule->value };

	if (rule->target != s->target)
		return 0;
	s->shown++;
	if (!s->t->json) {
		ptf_rule_text(rule, text, sizeof(text));
		printf("%s[%d]%s  %s\n", s->command, (int)s->at.owner,
		       s->armed ? "" : " (not armed)", text);
		return 0;
	}
	memcpy(a.handler, rule->handler, sizeof(a.handler));
	a.handler[sizeof(a.handler) - 1] = 0;
	ptf_action_text(&a, text, sizeof(text));
	o = json_object_new_object();
	jadd(o, "owner", json_object_new_int(s->at.owner));
	jadd(o, "command", jstr(s->command));
	jadd(o, "fd", json_object_new_int(s->at.fd));
	jadd(o, "armed", json_object_new_boolean(s->armed &&
						 !(rule->flags & PTF_RULE_F_OFF)));
	jadd(o, "id", json_u64(rule->id));
	jadd(o, "start", json_hex(rule->start));
	jadd(o, "end", json_hex(rule->end));
	jadd(o, "action", jstr(text));
	jadd(o, "on", jstr(ptf_access_text(rule->access)));
	jadd(o, "from", jstr(ptf_origin_text(rule->origin)));
	jadd(o, "tid", rule->tid ? json_object_new_int(rule->tid) : NULL);
	jadd(o, "after", json_u64(rule->after));
	jadd(o, "interval", json_u64(rule->interval));
	jadd(o, "times", json_u64(rule->times));
	jadd(o, "probability", rule->probability ?
	     json_object_new_double(rule->probability /
				    (double)PTF_PROBABILITY_ONE) : NULL);
	jadd(o, "seed", json_u64(rule->seed));
	jadd(o, "order", json_u64(rule->order));
	jadd(o, "passive", json_object_new_boolean(rule->flags & PTF_RULE_F_PASSIVE));
	jadd(o, "quiet", json_object_new_boolean(!!(rule->flags & PTF_RULE_F_QUIET)));
	jadd(o, "per_thread",
	     json_object_new_boolean(!!(rule->flags & PTF_RULE_F_PER_THREAD)));
	jadd(o, "matches", json_u64(rule->matches));
	jadd(o, "hits", json_u64(rule->hits));
	jadd(o, "passed", json_u64(rule->passed));
	json_object_array_add(s->array, o);
	return 0;
}

/*
 * A session knows its targets by numbers. Opening the process there answers the
 * number that it has already; one that is new has no rules and goes again.
 */
static void ask(struct search *s, int fd)
{
	struct ptf_ioc_session_stat stat = { .size = sizeof(stat) };
	struct ptf_session *session;
	struct ptf_target *target = NULL;

	if (ptf_session_from_fd(fd, &session)) {
		close(fd);
		s->closed++;
		return;
	}
	if (ptf_session_stat(session, &stat) || !stat.out_rules)
		goto out;
	if (ptf_target_open(session, s->pid, &target)) {
		s->closed++;
		goto out;
	}
	s->target = ptf_target_id(target);
	s->armed = stat.out_armed;
	command_of(s->at.owner, s->command, sizeof(s->command));
	ptf_rule_list(session, show_rule, s);
out:
	ptf_target_close(target);
	ptf_session_close(session);
}

static void look_at(struct search *s, const struct place *p)
{
	struct place *v;
	int pidfd, fd = -1;

	if (seen_before(s, p))
		return;
	v = reallocarray(s->seen, s->nr_seen + 1, sizeof(*v));
	if (!v)
		return;
	s->seen = v;
	s->seen[s->nr_seen++] = *p;
	pidfd = syscall(SYS_pidfd_open, p->owner, 0);
	if (pidfd >= 0) {
		fd = syscall(SYS_pidfd_getfd, pidfd, p->fd, 0);
		close(pidfd);
	}
	/* Closed this moment, or none of our business. */
	if (fd < 0) {
		s->closed += errno == EPERM;
		return;
	}
	s->at = *p;
	ask(s, fd);
}

static void look_through(struct search *s, pid_t owner)
{
	char path[64];
	struct dirent *d;
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)owner);
	dir = opendir(path);
	if (!dir)
		return;
	while ((d = readdir(dir))) {
		struct place p = { .owner = owner };

		if (!isdigit((unsigned char)d->d_name[0]) ||
		    fstatat(dirfd(dir), d->d_name, &st, 0) ||
		    !S_ISCHR(st.st_mode) || st.st_rdev != s->device)
			continue;
		p.fd = atoi(d->d_name);
		look_at(s, &p);
	}
	closedir(dir);
}

static int run(struct tool *t)
{
	struct search s = { .t = t };
	struct ptf_session *session = NULL;
	struct ptf_target *target = NULL;
	struct dirent *d;
	struct stat st;
	DIR *dir;
	int ret;

	if (t->argc)
		return tool_usage(t, "takes no arguments");
	/* The process is there, and we have a right to it. */
	ret = open_target(t, &session, &target);
	if (ret == DONE)
		ret = need_rules(t, session);
	if (ret != DONE)
		goto out;
	s.pid = ptf_target_pid(target);
	if (fstat(ptf_session_fd(session), &st)) {
		ret = tool_fail(t, DEVICE, NULL, "%s", strerror(errno));
		goto out;
	}
	s.device = st.st_rdev;
	if (t->json)
		s.array = json_object_new_array();
	dir = opendir("/proc");
	while (dir && (d = readdir(dir)))
		if (isdigit((unsigned char)d->d_name[0]) &&
		    atoi(d->d_name) != getpid())
			look_through(&s, atoi(d->d_name));
	if (dir)
		closedir(dir);
	if (t->json) {
		t->out = json_object_new_object();
		jadd(t->out, "version", json_object_new_int(1));
		jadd(t->out, "pid", json_object_new_int(s.pid));
		jadd(t->out, "rules", s.array);
		jadd(t->out, "not_asked", json_u64(s.closed));
	} else if (!s.shown) {
		tool_note(t, "nothing is armed on process %d", (int)s.pid);
	}
	if (s.closed && !t->json)
		tool_note(t, "%zu session%s could not be asked", s.closed,
			  s.closed == 1 ? "" : "s");
out:
	free(s.seen);
	ptf_target_close(target);
	ptf_session_close(session);
	return ret;
}

static const struct verb rules = {
	.name = "rules",
	.args = "",
	.what = "what is armed on a process, with counters",
	.more = "Shows the rules of all sessions that this pid namespace knows of, and to which\n"
		"process each belongs.\n",
	.opts = opts,
	.order = 60,
	.run = run,
};

PTEFAULT_VERB(rules)
