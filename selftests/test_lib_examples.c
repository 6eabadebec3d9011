// SPDX-License-Identifier: GPL-2.0-only
/*
 * The example programs: each states facts, and all of them have to be true, with
 * the module and, where they can, without it. What an example shows is looked
 * for by its words.
 */
/* vm: --no-module */
/* vm: default */
/* timeout: 600 */
#include "test_lib.h"

#include <dirent.h>

static char *folder(void)
{
	static char path[PATH_MAX];
	char *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
	const char *top = getenv("PTF_TOP");

	if (top) {
		snprintf(path, sizeof(path), "%s/build/user/examples", top);
		return path;
	}
	if (n < 0)
		return NULL;
	path[n] = 0;
	slash = strrchr(path, '/');
	strcpy(slash, "/../user/examples");
	return path;
}

static int run(const char *name, char *out, size_t len)
{
	char command[PATH_MAX + 64];
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command), "%s/%s 2>&1", folder(), name);
	f = popen(command, "r");
	if (!f)
		return -1;
	n = fread(out, 1, len - 1, f);
	out[n] = 0;
	return pclose(f);
}

static char out[65536];

/* All its facts, and at least that many. */
#define EXAMPLE(name_, facts, ...)						\
TEST_F_TIMEOUT(example, name_, 300)						\
{										\
	static const char *const words[] = { __VA_ARGS__ };			\
	char *at;								\
	int status, yes = 0;							\
	size_t i;								\
										\
	status = run(#name_, out, sizeof(out));					\
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)			\
		SKIP(return, "%s", strtok(out, "\n"));				\
	EXPECT_EQ(0, status) {							\
		TH_LOG("%s", out);						\
	}									\
	EXPECT_EQ(NULL, strstr(out, "NO: "));					\
	for (at = out; (at = strstr(at, "  yes: ")); at++)			\
		yes++;								\
	EXPECT_LE(facts, yes);							\
	for (i = 0; i < ARRAY_SIZE(words); i++) {				\
		EXPECT_NE(NULL, strstr(out, words[i])) {			\
			TH_LOG("not said: %s", words[i]);			\
		}								\
	}									\
}

FIXTURE(example) { };
FIXTURE_SETUP(example) { }
FIXTURE_TEARDOWN(example) { }

EXAMPLE(q1_give_back, 8, "VMA: VA:0x", "PTE: VA:0x", "-> nothing", "DONTNEED")
EXAMPLE(q2_private_file, 14, "Filemap: ", "-> PA:0x", "-> nothing", "(private)")
EXAMPLE(q3_custom_handler, 9, "PTE: VA:0x", "page 2, fetch 4")
EXAMPLE(q4_failed_mremap, 9, "the map is where and what it was", "EEXIST")
EXAMPLE(q5_grow_file, 10, "reserved: 0 refaults", "past the end: 0 refaults",
	"in place: 0 refaults",
	"(shared)")
EXAMPLE(q6_write_protect, 3, "ENOMEM", "what stands before the hole is protected")

FIXTURE(examples) {
	int unused;
};

FIXTURE_SETUP(examples)
{
}

FIXTURE_TEARDOWN(examples)
{
}

/* As the README says that a program is built, and nothing more. A compiler is slow here. */
TEST_F_TIMEOUT(examples, each_compiles_by_itself, 200)
{
	char *command, *flags, *top, *sources, text[4096];
	struct dirent *e;
	size_t len;
	DIR *d;
	FILE *f;
	char program[] = "/tmp/ptf-example-XXXXXX";
	int compiled = 0;

	if (!access("/dev/ptefault", F_OK))
		SKIP(return, "the run without the module sees to it");
	if (system("command -v cc >/dev/null"))
		SKIP(return, "no compiler here");
	ASSERT_LT(0, asprintf(&top, "%s/../../..", folder()));
	ASSERT_LT(0, asprintf(&sources, "%s/user/examples", top));
	ASSERT_LT(0, asprintf(&flags, "-I%s/user/include -I%s/module/uapi -L%s/build/user", top,
			      top, top));
	d = opendir(sources);
	if (!d)
		SKIP(return, "no sources at %s", sources);
	close(mkstemp(program));
	while ((e = readdir(d))) {
		if (!strstr(e->d_name, ".c"))
			continue;
		ASSERT_LT(0, asprintf(&command, "cc -Wall -Werror %s/%s %s -lptefault -o %s 2>&1",
				      sources, e->d_name, flags, program));
		f = popen(command, "r");
		free(command);
		ASSERT_NE(NULL, f);
		len = fread(text, 1, sizeof(text) - 1, f);
		text[len] = 0;
		EXPECT_EQ(0, pclose(f)) {
			TH_LOG("%s: %s", e->d_name, text);
		}
		unlink(program);
		compiled++;
	}
	closedir(d);
	free(flags);
	free(sources);
	free(top);
	EXPECT_LE(6, compiled);
}

/* No example without its test. */
TEST(all_of_them_are_tested)
{
	static const char *const known[] = {
		"q1_give_back", "q2_private_file", "q3_custom_handler", "q4_failed_mremap",
		"q5_grow_file", "q6_write_protect",
	};
	struct dirent *e;
	DIR *d = opendir(folder());
	unsigned int i, n = 0;

	ASSERT_NE(NULL, d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		for (i = 0; i < ARRAY_SIZE(known); i++)
			if (!strcmp(known[i], e->d_name))
				break;
		EXPECT_LT(i, ARRAY_SIZE(known)) {
			TH_LOG("%s is not tested", e->d_name);
		}
		n++;
	}
	closedir(d);
	EXPECT_LE(5, n);
}

TEST_HARNESS_MAIN
