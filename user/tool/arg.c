// SPDX-License-Identifier: GPL-2.0-only
/*
 * What stands on the command line: numbers, processes, ranges, advice.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tool.h"

/* With five levels of page tables; with four it is less. */
#define USER_END (1ULL << 56)

/* ------------------------------------------------------------------ */
/* Numbers                                                             */

/* All of @text up to @len as digits of @base. */
static bool digits(const char *text, size_t len, int base, uint64_t *out)
{
	uint64_t v = 0;

	if (!len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int c = tolower((unsigned char)text[i]);
		uint64_t d = c >= '0' && c <= '9' ? c - '0' :
			     c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;

		if (d >= (uint64_t)base || v > (UINT64_MAX - d) / base)
			return false;
		v = v * base + d;
	}
	*out = v;
	return true;
}

static bool number_len(const char *text, size_t len, bool units, uint64_t *out)
{
	int shift = 0;
	uint64_t v;

	if (units && len > 1) {
		switch (text[len - 1]) {
		case 'k': case 'K':
			shift = 10;
			break;
		case 'm': case 'M':
			shift = 20;
			break;
		case 'g': case 'G':
			shift = 30;
			break;
		}
		if (shift)
			len--;
	}
	if (len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		if (!digits(text + 2, len - 2, 16, &v))
			return false;
	} else if (!digits(text, len, 10, &v)) {
		return false;
	}
	if (v > UINT64_MAX >> shift)
		return false;
	*out = v << shift;
	return true;
}

bool arg_number(const char *text, bool units, uint64_t *out)
{
	return number_len(text, strlen(text), units, out);
}

int arg_pid(struct tool *t, pid_t *out)
{
	const char *text = tool_opt(t, "pid");
	uint64_t v;

	if (!text)
		return tool_usage(t, "which process? (-p PID)");
	if (!digits(text, strlen(text), 10, &v) || !v || v > INT_MAX)
		return tool_usage(t, "'%s' is no process id", text);
	*out = (pid_t)v;
	return DONE;
}

static uint64_t page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/*
 * START-END. Without 0x both are hexadecimal, as in maps; decimal only where
 * that alone gives page-aligned addresses.
 */
static bool start_end(const char *text, struct range *out)
{
	const char *dash = strchr(text, '-');
	uint64_t mask = page_bytes() - 1, a, b, da, db;
	const char *second;
	size_t len;
	bool x1, x2;

	if (!dash || dash == text || !dash[1] || strchr(dash + 1, '-'))
		return false;
	len = dash - text;
	second = dash + 1;
	x1 = !strncasecmp(text, "0x", 2);
	x2 = !strncasecmp(second, "0x", 2);
	if (x1 ? !number_len(text, len, false, &a) :
		 !digits(text, len, 16, &a))
		return false;
	if (x2 ? !number_len(second, strlen(second), false, &b) :
		 !digits(second, strlen(second), 16, &b))
		return false;
	if (!x1 && !x2 && ((a | b) & mask) && digits(text, len, 10, &da) &&
	    digits(second, strlen(second), 10, &db) && !((da | db) & mask)) {
		a = da;
		b = db;
	}
	out->start = a;
	out->end = b;
	return true;
}

/* ADDR or ADDR+LEN */
static bool addr_len(const char *text, struct range *out)
{
	const char *plus = strchr(text, '+');
	uint64_t len = page_bytes();

	if (!number_len(text, plus ? (size_t)(plus - text) : strlen(text),
			false, &out->start))
		return false;
	if (plus && !arg_number(plus + 1, true, &len))
		return false;
	if (__builtin_add_overflow(out->start, len, &out->end))
		out->end = UINT64_MAX;
	return true;
}

/* ------------------------------------------------------------------ */
/* Names of mappings                                                   */

struct mapping {
	uint64_t start;
	uint64_t end;
	char name[PATH_MAX + 16];
};

/* maps writes a newline in a name as \012 and so on. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
		    s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (s[1] - '0') * 64 + (s[2] - '0') * 8 +
				s[3] - '0';
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

static FILE *maps_open(struct tool *t, struct ptf_target *target)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps",
		 (int)ptf_target_pid(target));
	f = fopen(path, "re");
	if (!f)
		tool_fail(t, path, errno == ENOENT ? "has the process ended?" :
			  NULL, "%s", strerror(errno));
	return f;
}

static bool maps_next(FILE *f, char **line, size_t *size, struct mapping *m)
{
	unsigned long long start, end;
	int name = 0;
	ssize_t n;

	while ((n = getline(line, size, f)) > 0) {
		if ((*line)[n - 1] == '\n')
			(*line)[n - 1] = 0;
		if (sscanf(*line, "%llx-%llx %*s %*s %*s %*s %n", &start, &end,
			   &name) < 2)
			continue;
		m->start = start;
		m->end = end;
		snprintf(m->name, sizeof(m->name), "%s",
			 name ? *line + name : "");
		unescape(m->name);
		return true;
	}
	return false;
}

static bool name_matches(const char *have, const char *want)
{
	static const char gone[] = " (deleted)";
	char buf[PATH_MAX + 16];
	const char *base;
	size_t len;

	if (!have[0])
		return false;
	if (!strcmp(have, want))
		return true;
	snprintf(buf, sizeof(buf), "%s", have);
	len = strlen(buf);
	if (len > strlen(gone) && !strcmp(buf + len - strlen(gone), gone))
		buf[len - strlen(gone)] = 0;
	if (!strcmp(buf, want))
		return true;
	base = strrchr(buf, '/');
	return !strchr(want, '/') && base && !strcmp(base + 1, want);
}

static int append(struct tool *t, struct ranges *out, uint64_t start,
		  uint64_t end)
{
	struct range *v = out->v, *last;

	/* Mappings that follow one another are one range. */
	last = out->n ? &v[out->n - 1] : NULL;
	if (last && last->end == start && start < end) {
		last->end = end;
		return DONE;
	}
	v = reallocarray(v, out->n + 1, sizeof(*v));
	if (!v)
		return tool_fail(t, NULL, NULL, "out of memory");
	out->v = v;
	out->v[out->n].start = start;
	out->v[out->n++].end = end;
	return DONE;
}

static int still_there(struct tool *t, struct ptf_target *target)
{
	if (ptf_target_alive(target))
		return DONE;
	return tool_fail(t, NULL, NULL, "process %d has ended",
			 (int)ptf_target_pid(target));
}

static int by_name(struct tool *t, struct ptf_target *target, const char *text,
		   struct ranges *out)
{
	char name[PATH_MAX + 16], *line = NULL, *hash, real[PATH_MAX];
	struct mapping m;
	uint64_t nth = 0, seen = 0;
	size_t size = 0;
	int ret = DONE;
	FILE *f;

	snprintf(name, sizeof(name), "%s", text);
	hash = strrchr(name, '#');
	if (hash && digits(hash + 1, strlen(hash + 1), 10, &nth) && nth)
		*hash = 0;
	else
		nth = 0;
	f = maps_open(t, target);
	if (!f)
		return FAILED;
	while (ret == DONE && maps_next(f, &line, &size, &m)) {
		if (!name_matches(m.name, name))
			continue;
		seen++;
		if (!nth || seen == nth)
			ret = append(t, out, m.start, m.end);
	}
	/* As typed from where one stands, or through a symbolic link. */
	if (!seen && ret == DONE && strchr(name, '/') && realpath(name, real)) {
		rewind(f);
		while (ret == DONE && maps_next(f, &line, &size, &m)) {
			if (!name_matches(m.name, real))
				continue;
			seen++;
			if (!nth || seen == nth)
				ret = append(t, out, m.start, m.end);
		}
	}
	free(line);
	fclose(f);
	if (ret == DONE)
		ret = still_there(t, target);
	if (ret != DONE)
		return ret;
	if (!seen) {
		bool hex = strspn(text, "0123456789abcdefABCDEF") ==
			   strlen(text);

		return tool_fail(t, text, hex ? "a hexadecimal address begins with 0x" :
				 "/proc/PID/maps lists what is",
				 "process %d has nothing mapped by this name",
				 (int)ptf_target_pid(target));
	}
	if (nth > seen)
		return tool_fail(t, text, NULL,
				 "process %d has only %llu mapping%s of it",
				 (int)ptf_target_pid(target),
				 (unsigned long long)seen, seen == 1 ? "" : "s");
	return DONE;
}

/* Does it look like a range of numbers, so that no name is meant? */
static bool numeric(const char *text)
{
	return text[0] && strspn(text, "0123456789abcdefABCDEFxX+-kKmMgG") ==
			  strlen(text) && isdigit((unsigned char)text[0]) &&
	       strpbrk(text, "+-");
}

int arg_ranges(struct tool *t, struct ptf_target *target, const char *text,
	       struct ranges *out)
{
	struct range r;

	if (!text[0])
		return tool_usage(t, "an empty RANGE");
	if (start_end(text, &r) || addr_len(text, &r)) {
		/* The kernel's half, vsyscall too, or nobody's. */
		if (r.start >= USER_END || r.end > USER_END)
			return tool_fail(t, text, "/proc/PID/maps lists what is",
					 "not a user address");
		if (r.end <= r.start)
			return tool_fail(t, text, NULL, r.end == r.start ?
					 "an empty range" :
					 "the end comes before the start");
		return append(t, out, r.start, r.end);
	}
	if (numeric(text))
		return tool_usage(t, "'%s' is no RANGE", text);
	return by_name(t, target, text, out);
}

int arg_everything(struct tool *t, struct ptf_target *target,
		   struct ranges *out)
{
	uint64_t first = 0, last = 0;
	char *line = NULL;
	struct mapping m;
	size_t size = 0;
	FILE *f;
	int ret;

	f = maps_open(t, target);
	if (!f)
		return FAILED;
	while (maps_next(f, &line, &size, &m)) {
		/* vsyscall stands in the kernel's half. */
		if (m.start >> 63)
			continue;
		if (!last)
			first = m.start;
		last = m.end;
	}
	free(line);
	fclose(f);
	ret = still_there(t, target);
	if (ret != DONE)
		return ret;
	if (!last)
		return tool_fail(t, NULL, NULL, "process %d has nothing mapped",
				 (int)ptf_target_pid(target));
	return append(t, out, first, last);
}

int arg_file_range(struct tool *t, const char *text, struct range *out)
{
	if (!text || !text[0]) {
		out->start = 0;
		out->end = UINT64_MAX;
		return DONE;
	}
	if (!start_end(text, out) && !addr_len(text, out))
		return tool_usage(t, "'%s' is no range of a file", text);
	if (out->end <= out->start)
		return tool_fail(t, text, NULL, out->end == out->start ?
				 "an empty range" :
				 "the end comes before the start");
	return DONE;
}

/* ------------------------------------------------------------------ */
/* Advice                                                              */

bool arg_advice(const char *text, unsigned int *out)
{
	int advice = ptf_advice_parse(text);

	if (advice < 0)
		return false;
	*out = advice;
	return true;
}

bool advice_unchecked(unsigned int advice)
{
	return ptf_advice_class(advice) >= PTF_CLASS_CONTENT;
}
