/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the ptefault command share. A verb is one file: it defines
 * a struct verb with PTEFAULT_VERB() and nothing else has to know it.
 */
#ifndef PTEFAULT_TOOL_H
#define PTEFAULT_TOOL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <json-c/json.h>
#include <ptefault.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* Exit codes. */
#define DONE	0
#define FAILED	1
#define USAGE	2

/* An option of a verb; a list ends with one that has no name. */
struct tool_opt {
	const char *name;
	const char *arg;	/* what it takes, NULL nothing */
	const char *help;
	char letter;		/* 0: no short form */
};

struct tool;

struct verb {
	const char *name;
	const char *args;	/* after the options, for the usage line */
	const char *what;	/* one line */
	const char *more;	/* the rest of its help, may be NULL */
	const struct tool_opt *opts;
	int order;		/* place in the list of verbs */
	bool cmd;		/* takes -- CMD */
	int (*run)(struct tool *t);
};

/* ptefault.c */
void verb_register(const struct verb *verb);

#define PTEFAULT_VERB(v)						\
	static void __attribute__((constructor)) register_##v(void)	\
	{								\
		verb_register(&(v));					\
	}

/* One run of the command. */
struct tool {
	const struct verb *verb;
	bool json;
	bool help;
	int argc;		/* arguments behind the verb */
	char **argv;
	char **cmd;		/* behind --, NULL if there was none */
	struct json_object *out;	/* what goes to stdout at the end */
	/* owned by ptefault.c */
	char **words;
	struct given {
		const struct tool_opt *opt;
		const char *arg;
	} *given;
	int nr_given;
};

/* ptefault.c: options, words, results */

/* The argument of an option, NULL if it was not given. The last one counts. */
const char *tool_opt(const struct tool *t, const char *name);
/* The i-th of an option that may be given several times, or NULL. */
const char *tool_opt_nth(const struct tool *t, const char *name, int i);
bool tool_flag(const struct tool *t, const char *name);

/* "ptefault: VERB: WHAT: WHY (WAY)"; @way may be NULL. Both answer FAILED. */
int tool_fail(struct tool *t, const char *what, const char *way,
	      const char *why, ...) PTF_PRINTF(4, 5);
/* The same from the library's detail of its last failure. */
int tool_fail_ptf(struct tool *t, const char *what);
/* Says what is wrong and how the verb is used. Answers USAGE. */
int tool_usage(struct tool *t, const char *fmt, ...) PTF_PRINTF(2, 3);
/* A word on stderr that is no error. */
void tool_note(const struct tool *t, const char *fmt, ...) PTF_PRINTF(2, 3);

/* arg.c: what stands on the command line */

struct range {
	uint64_t start;
	uint64_t end;
};

struct ranges {
	struct range *v;
	size_t n;
};

/* A number in decimal or 0x, K/M/G (and the bytes of a page) if @units. */
bool arg_number(const char *text, bool units, uint64_t *out);
int arg_pid(struct tool *t, pid_t *out);
/* Ranges of a process; appends. DONE, FAILED or USAGE with the words said. */
int arg_ranges(struct tool *t, struct ptf_target *target, const char *text,
	       struct ranges *out);
/* Everything that the process has mapped, as one range. */
int arg_everything(struct tool *t, struct ptf_target *target,
		   struct ranges *out);
/* START-END, ADDR+LEN or ADDR in a file; "" is all of it. */
int arg_file_range(struct tool *t, const char *text, struct range *out);
/* An advice by its name in any case, MADV_ or PTF_ADV_ before it or not. */
bool arg_advice(const char *text, unsigned int *out);
/* Does it take --unchecked? */
bool advice_unchecked(unsigned int advice);

/* open.c: a session and its target, with the words if there is none */

int open_session(struct tool *t, struct ptf_session **out);
int open_target(struct tool *t, struct ptf_session **session,
		struct ptf_target **target);

/* run.c: waiting for a command, a signal or the target */

/* Runs t->cmd and answers the exit code to use. */
int run_command(struct tool *t);

/* out.c: rows for people and for programs */

struct json_object *json_hex(uint64_t value);
struct json_object *json_u64(uint64_t value);
/* Names of the bits of @bits that @name knows, each without @strip. */
struct json_object *json_flags(uint64_t bits, const char *(*name)(unsigned int),
			       const char *strip);
struct json_object *json_row(const struct ptf_row *row,
			     const struct ptf_vma *vma, const char *name);
struct json_object *json_file_row(const struct ptf_file_row *row);
struct json_object *json_skipped(const uint64_t *skipped);
/* "a, b, c" of the reasons that have pages; "" if none has. */
const char *skipped_text(const uint64_t *skipped, char *buf, size_t len);
/*
 * The three layers as text, columns aligned. With @merge also runs whose frames
 * do not follow one another are one row, which says so.
 */
void print_report(const struct ptf_report *report, bool merge);
/* "1 page", "12 pages" */
const char *pages_text(uint64_t pages, char *buf, size_t len);
const char *folio_words(uint64_t flags, char *buf, size_t len);
/* A name as a part of a line: a newline in it is \012, as in maps. */
const char *line_name(const char *name, char *buf, size_t len);

/*
 * A string for programs: JSON is UTF-8, and names of files are any bytes. What is
 * not UTF-8 becomes U+FFFD, a byte each.
 */
struct json_object *jstr(const char *s);

static inline void jadd(struct json_object *o, const char *key,
			struct json_object *value)
{
	json_object_object_add(o, key, value);
}

#endif
