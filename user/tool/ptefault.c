// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ptefault command: finds the verb, reads the options wherever they
 * stand, says errors in one shape, and writes the result. What a verb does is
 * in its own file.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define MAX_OPTS 128
#define MAX_VERBS 64
#define JSON_FORM (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

static const struct tool_opt global_opts[] = {
	{ "json", NULL, "one JSON value on stdout, nothing else", 'j' },
	{ "help", NULL, "this text", 'h' },
	{ "version", NULL, "show the version", 'V' },
	{ 0 }
};

/* Every option of every verb once; a name means the same kind everywhere. */
static struct option long_opts[MAX_OPTS];
static const struct tool_opt *opt_by_index[MAX_OPTS];
static int nr_opts;

static const struct verb *verbs[MAX_VERBS];
static int nr_verbs;

void verb_register(const struct verb *verb)
{
	if (nr_verbs < MAX_VERBS)
		verbs[nr_verbs++] = verb;
}

static int by_order(const void *a, const void *b)
{
	const struct verb *const *x = a, *const *y = b;

	return (*x)->order - (*y)->order;
}

static void collect_opts(const struct tool_opt *opt)
{
	int i;

	for (; opt && opt->name; opt++) {
		for (i = 0; i < nr_opts; i++)
			if (!strcmp(opt_by_index[i]->name, opt->name))
				break;
		if (i < nr_opts || nr_opts == MAX_OPTS - 1)
			continue;
		opt_by_index[nr_opts] = opt;
		long_opts[nr_opts].name = opt->name;
		long_opts[nr_opts].has_arg = opt->arg ? required_argument :
							no_argument;
		long_opts[nr_opts].val = 256 + nr_opts;
		nr_opts++;
	}
}

static void collect(void)
{
	qsort(verbs, nr_verbs, sizeof(*verbs), by_order);
	collect_opts(global_opts);
	for (int i = 0; i < nr_verbs; i++)
		collect_opts(verbs[i]->opts);
}

static const struct tool_opt *find_opt(const struct tool_opt *opts,
				       const char *name)
{
	for (; opts && opts->name; opts++)
		if (!strcmp(opts->name, name))
			return opts;
	return NULL;
}

const char *tool_opt_nth(const struct tool *t, const char *name, int i)
{
	for (int k = 0; k < t->nr_given; k++)
		if (!strcmp(t->given[k].opt->name, name) && !i--)
			return t->given[k].arg ? t->given[k].arg : "";
	return NULL;
}

const char *tool_opt(const struct tool *t, const char *name)
{
	for (int k = t->nr_given; k--;)
		if (!strcmp(t->given[k].opt->name, name))
			return t->given[k].arg ? t->given[k].arg : "";
	return NULL;
}

bool tool_flag(const struct tool *t, const char *name)
{
	return tool_opt(t, name);
}

/* ------------------------------------------------------------------ */
/* Words                                                               */

static const char *prefix(const struct tool *t)
{
	static char buf[64];

	if (!t->verb)
		return "ptefault";
	snprintf(buf, sizeof(buf), "ptefault: %s", t->verb->name);
	return buf;
}

static void set_error(struct tool *t, const char *kind, const char *what,
		      const char *why, const char *way)
{
	struct json_object *e;

	if (!t->json)
		return;
	json_object_put(t->out);
	t->out = json_object_new_object();
	e = json_object_new_object();
	jadd(t->out, "version", json_object_new_int(1));
	jadd(t->out, "error", e);
	jadd(e, "kind", jstr(kind));
	jadd(e, "verb", t->verb ? jstr(t->verb->name) : NULL);
	jadd(e, "what", what ? jstr(what) : NULL);
	jadd(e, "why", jstr(why));
	jadd(e, "way_out", way ? jstr(way) : NULL);
}

static int say_failure(struct tool *t, const char *what, const char *why,
		       const char *way)
{
	char plain[PATH_MAX], reason[1024];

	fflush(stdout);
	fprintf(stderr, "%s: %s%s%s%s%s%s\n", prefix(t),
		what ? line_name(what, plain, sizeof(plain)) : "",
		what ? ": " : "", line_name(why, reason, sizeof(reason)),
		way ? " (" : "", way ? way : "",
		way ? ")" : "");
	set_error(t, "failed", what, why, way);
	return FAILED;
}

int tool_fail(struct tool *t, const char *what, const char *way,
	      const char *why, ...)
{
	char buf[512];
	va_list ap;

	va_start(ap, why);
	vsnprintf(buf, sizeof(buf), why, ap);
	va_end(ap);
	return say_failure(t, what, buf, way && way[0] ? way : NULL);
}

/* The way out stands at the end of the library's text, behind its facts. */
static const char *failure_way(char *text)
{
	const struct ptf_failure *f = ptf_failure_last();
	char *at = text;

	if (f->way[0])
		return f->way;
	if (f->annotation[0]) {
		at = strstr(text, f->annotation);
		if (!at)
			return NULL;
		at += strlen(f->annotation);
	}
	at = strstr(at, "; ");
	return at ? at + 2 : NULL;
}

int tool_fail_ptf(struct tool *t, const char *what)
{
	const struct ptf_failure *f = ptf_failure_last();
	char text[1024], why[320], at[40] = "";
	const char *desc = strerrordesc_np(f->err), *name;

	ptf_failure_text(text, sizeof(text));
	if (f->addr)
		snprintf(at, sizeof(at), " at %p", f->addr);
	/* An annotation says it in words; the errno is for those who know. */
	name = strerrorname_np(f->err);
	if (f->annotation[0])
		snprintf(why, sizeof(why), "%s%s [%s]", f->annotation, at,
			 name ? name : "?");
	else
		snprintf(why, sizeof(why), "%s%s", desc ? desc : "error", at);
	return say_failure(t, what, why, failure_way(text));
}

void tool_note(const struct tool *t, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: ", prefix(t));
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void usage_line(FILE *to, const struct verb *v)
{
	const struct tool_opt *o;

	fprintf(to, "ptefault [--json] %s", v->name);
	for (o = v->opts; o && o->name; o++) {
		bool must = !strcmp(o->name, "pid") && v->opts == o;

		fputs(must ? " " : " [", to);
		if (o->letter)
			fprintf(to, "-%c", o->letter);
		else
			fprintf(to, "--%s", o->name);
		if (o->arg)
			fprintf(to, " %s", o->arg);
		if (!must)
			fputc(']', to);
	}
	if (v->args[0])
		fprintf(to, " %s", v->args);
	fputc('\n', to);
}

int tool_usage(struct tool *t, const char *fmt, ...)
{
	char buf[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	fflush(stdout);
	fprintf(stderr, "%s: %s\n", prefix(t), buf);
	if (t->verb) {
		fputs("usage: ", stderr);
		usage_line(stderr, t->verb);
	} else {
		fputs("usage: ptefault [--json] VERB [OPTIONS] ARGS; ptefault --help lists the verbs\n",
		      stderr);
	}
	set_error(t, "usage", NULL, buf, NULL);
	return USAGE;
}

static void opts_help(const struct tool_opt *opt)
{
	for (; opt && opt->name; opt++) {
		char left[64];

		snprintf(left, sizeof(left), "%c%c%s--%s%s%s",
			 opt->letter ? '-' : ' ',
			 opt->letter ? opt->letter : ' ',
			 opt->letter ? ", " : "  ", opt->name,
			 opt->arg ? " " : "", opt->arg ? opt->arg : "");
		printf("  %-26s %s\n", left, opt->help);
	}
}

static void help_verb(const struct verb *v)
{
	fputs("usage: ", stdout);
	usage_line(stdout, v);
	printf("\n%s\n", v->what);
	if (v->more)
		printf("\n%s", v->more);
	if (v->opts) {
		puts("\nOptions (anywhere on the line):");
		opts_help(v->opts);
	}
}

static void help_all(void)
{
	puts("usage: ptefault [--json] VERB [OPTIONS] ARGS\n\n"
	     "Clears pages of a live process without losing them, and shows the three\n"
	     "layers that every mapping has: VMA, filemap and page table.\n\n"
	     "Verbs:");
	for (int i = 0; i < nr_verbs; i++)
		printf("  %-10s %s\n", verbs[i]->name, verbs[i]->what);
	puts("\nOptions (anywhere on the line):");
	opts_help(global_opts);
	puts("\nRANGE is ADDR, ADDR+LEN, START-END, [heap], [stack], or the name of a mapped\n"
	     "file (all its mappings; NAME#2 the second). Numbers are decimal or 0x, lengths\n"
	     "take K, M, G; START-END may be bare hexadecimal as in /proc/PID/maps.\n\n"
	     "`ptefault VERB --help` says more, and so do ptefault(8) and ptefault(7).");
}

/* ------------------------------------------------------------------ */

static const struct verb *find_verb(const char *name)
{
	for (int i = 0; i < nr_verbs; i++)
		if (!strcmp(verbs[i]->name, name))
			return verbs[i];
	return NULL;
}

/*
 * Options may stand anywhere, also before the verb, so all are read first and
 * held against the verb's own list after. A lone -- ends them and begins CMD.
 */
static int parse(struct tool *t, int argc, char **argv)
{
	char letters[2 * MAX_OPTS + 3], *p = letters;
	int split = argc, c;

	*p++ = '-';	/* hand out what is no option, whatever the environment */
	*p++ = ':';
	for (int i = 0; i < nr_opts; i++) {
		if (!opt_by_index[i]->letter)
			continue;
		*p++ = opt_by_index[i]->letter;
		if (opt_by_index[i]->arg)
			*p++ = ':';
	}
	*p = 0;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		split = i;
		t->cmd = argv + i + 1;
		break;
	}
	t->words = calloc(argc + 1, sizeof(*t->words));
	t->argv = t->words;
	t->given = calloc(argc + 1, sizeof(*t->given));
	if (!t->argv || !t->given)
		return tool_fail(t, NULL, NULL, "out of memory");
	/* Known before the first error, so that it comes out in JSON too. */
	for (int i = 1; i < split; i++)
		if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "-j"))
			t->json = true;
	opterr = 0;
	while ((c = getopt_long(split, argv, letters, long_opts, NULL)) != -1) {
		const struct tool_opt *opt = NULL;

		if (c == 1) {
			t->argv[t->argc++] = optarg;
			continue;
		}
		if (c == ':' || c == '?') {
			const char *word = argv[optind - 1];

			if (optopt && optopt < 256)
				return tool_usage(t, c == ':' ?
						  "-%c needs an argument" :
						  "no option -%c", optopt);
			return tool_usage(t, c == ':' ?
					  "%s needs an argument" :
					  optopt ? "%s takes no argument" :
						   "no option %s", word);
		}
		for (int i = 0; i < nr_opts; i++)
			if (c == 256 + i || c == opt_by_index[i]->letter)
				opt = opt_by_index[i];
		t->given[t->nr_given].opt = opt;
		t->given[t->nr_given++].arg = optarg;
	}
	t->help = tool_flag(t, "help");
	if (t->argc && !strcmp(t->argv[0], "help")) {
		t->help = true;
		t->argv++;
		t->argc--;
	}
	if (!t->argc)
		return t->help || tool_flag(t, "version") ? DONE :
		       tool_usage(t, "which verb?");
	t->verb = find_verb(t->argv[0]);
	if (!t->verb)
		return tool_usage(t, "no verb '%s'", t->argv[0]);
	t->argv++;
	t->argc--;
	return DONE;
}

static int run(struct tool *t)
{
	if (tool_flag(t, "version")) {
		if (t->json) {
			t->out = json_object_new_object();
			jadd(t->out, "version", json_object_new_int(1));
			jadd(t->out, "ptefault",
			     jstr(ptf_version()));
		} else {
			printf("ptefault %s\n", ptf_version());
		}
		return DONE;
	}
	if (t->help) {
		if (t->verb)
			help_verb(t->verb);
		else
			help_all();
		return DONE;
	}
	for (int i = 0; i < t->nr_given; i++) {
		const char *name = t->given[i].opt->name;

		if (!find_opt(t->verb->opts, name) &&
		    !find_opt(global_opts, name))
			return tool_usage(t, "--%s is no option of %s", name,
					  t->verb->name);
	}
	if (t->cmd && !t->verb->cmd)
		return tool_usage(t, "takes no -- CMD");
	if (t->cmd && !t->cmd[0])
		return tool_usage(t, "there is no command behind --");
	return t->verb->run(t);
}

int main(int argc, char **argv)
{
	struct tool t = { 0 };
	int ret;

	collect();
	ret = parse(&t, argc, argv);
	if (ret == DONE)
		ret = run(&t);
	if (t.out)
		puts(json_object_to_json_string_ext(t.out, JSON_FORM));
	json_object_put(t.out);
	free(t.words);
	free(t.given);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "%s: the result could not be written: %s\n",
			prefix(&t), strerror(errno));
		ret = ret == DONE ? FAILED : ret;
	}
	return ret;
}
