// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write a guest's initial file system: init, and the kernel modules that it
 * needs before it can reach the host's files.
 *
 *	vm-initrd OUT INIT DIR MODULE... -- MODULE...
 *
 * Those after the "--" are loaded while the guest goes on.
 * DIR is any folder with modules in it (/lib/modules/VERSION, or a kernel
 * build tree). A MODULE that is not found there is taken as built in. What a
 * module depends on is read from the module itself, so no modules.dep is
 * needed. Compressed modules are unpacked here, once, and not in each guest.
 */
#define _GNU_SOURCE
#include <err.h>
#include <ftw.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct module {
	char *name;		/* with underscores */
	char *path;
	bool done;
	struct module *next;
};

struct blob {
	char *data;
	size_t len;
};

static struct module *modules;
static FILE *out;
static char *order;
static size_t order_len;
static FILE *order_file;

static void underscores(char *s)
{
	for (; *s; s++)
		if (*s == '-')
			*s = '_';
}

static int note_file(const char *path, const struct stat *st, int type,
		     struct FTW *ftw)
{
	const char *name = path + ftw->base, *ko = strstr(name, ".ko");
	struct module *m;

	(void)st;
	if ((type != FTW_F && type != FTW_SL) || !ko ||
	    (strcmp(ko, ".ko") && strcmp(ko, ".ko.xz") &&
	     strcmp(ko, ".ko.zst") && strcmp(ko, ".ko.gz")))
		return 0;
	m = calloc(1, sizeof(*m));
	if (!m)
		err(1, "module list");
	m->name = strndup(name, ko - name);
	m->path = strdup(path);
	underscores(m->name);
	m->next = modules;
	modules = m;
	return 0;
}

static struct blob read_all(FILE *f, const char *path)
{
	struct blob b = { NULL, 0 };
	size_t room = 0, n;

	do {
		if (b.len == room) {
			room = room ? 2 * room : 1 << 20;
			b.data = realloc(b.data, room);
			if (!b.data)
				err(1, "%s", path);
		}
		n = fread(b.data + b.len, 1, room - b.len, f);
		b.len += n;
	} while (n);
	if (ferror(f))
		err(1, "%s", path);
	return b;
}

static struct blob read_module(const char *path)
{
	const char *dot = strrchr(path, '.');
	const char *tool = !strcmp(dot, ".xz") ? "xz" :
			   !strcmp(dot, ".zst") ? "zstd" :
			   !strcmp(dot, ".gz") ? "gzip" : NULL;
	char * const argv[] = { (char *)tool, "-dc", (char *)path, NULL };
	posix_spawn_file_actions_t fa;
	struct blob b;
	int fd[2], status;
	pid_t pid;
	FILE *f;

	if (!tool) {
		f = fopen(path, "re");
		if (!f)
			err(1, "%s", path);
		b = read_all(f, path);
		fclose(f);
		return b;
	}
	if (pipe(fd))
		err(1, "pipe");
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fd[1], 1);
	posix_spawn_file_actions_addclose(&fa, fd[0]);
	posix_spawn_file_actions_addclose(&fa, fd[1]);
	if (posix_spawnp(&pid, tool, &fa, NULL, argv, environ))
		errx(1, "%s can't be run", tool);
	posix_spawn_file_actions_destroy(&fa);
	close(fd[1]);
	f = fdopen(fd[0], "r");
	if (!f)
		err(1, "%s", path);
	b = read_all(f, path);
	fclose(f);
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "%s: %s failed", path, tool);
	return b;
}

static void pad(size_t len)
{
	static const char zeros[4];

	fwrite(zeros, 1, -len & 3, out);
}

static void entry(const char *name, mode_t mode, const void *data, size_t len,
		  unsigned int major, unsigned int minor)
{
	static unsigned int ino = 1;
	size_t head = 110 + strlen(name) + 1;

	fprintf(out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s%c",
		ino++, mode, 0, 0, 1, 0, (unsigned int)len, 0, 0, major, minor,
		(unsigned int)strlen(name) + 1, 0, name, 0);
	pad(head);
	fwrite(data, 1, len, out);
	pad(len);
}

static void add_module(const char *name)
{
	char file[256], *deps, *dep, *save;
	struct module *m;
	struct blob b;
	char *p;

	for (m = modules; m && strcmp(m->name, name); m = m->next)
		;
	if (!m || m->done)
		return;
	m->done = true;
	b = read_module(m->path);
	p = memmem(b.data, b.len, "\0depends=", 9);
	if (p) {
		deps = strdup(p + 9);
		for (dep = strtok_r(deps, ",", &save); dep;
		     dep = strtok_r(NULL, ",", &save)) {
			underscores(dep);
			add_module(dep);
		}
		free(deps);
	}
	fprintf(order_file, "%s.ko\n", m->name);
	snprintf(file, sizeof(file), "modules/%s.ko", m->name);
	entry(file, S_IFREG | 0644, b.data, b.len, 0, 0);
	free(b.data);
}

static void end_list(const char *name)
{
	fclose(order_file);
	entry(name, S_IFREG | 0644, order, order_len, 0, 0);
	order_file = open_memstream(&order, &order_len);
}

int main(int argc, char **argv)
{
	struct blob init;
	const char *list;
	FILE *f;
	int i;

	if (argc < 4)
		errx(2, "usage: vm-initrd OUT INIT DIR MODULE...");
	out = fopen(argv[1], "we");
	if (!out)
		err(1, "%s", argv[1]);
	f = fopen(argv[2], "re");
	if (!f)
		err(1, "%s", argv[2]);
	init = read_all(f, argv[2]);
	fclose(f);
	if (argv[3][0] && nftw(argv[3], note_file, 64, FTW_PHYS))
		err(1, "%s", argv[3]);
	order_file = open_memstream(&order, &order_len);
	entry("dev", S_IFDIR | 0755, "", 0, 0, 0);
	entry("dev/console", S_IFCHR | 0600, "", 0, 5, 1);
	entry("modules", S_IFDIR | 0755, "", 0, 0, 0);
	entry("init", S_IFREG | 0755, init.data, init.len, 0, 0);
	list = "modules/first";
	for (i = 4; i < argc; i++) {
		if (!strcmp(argv[i], "--")) {
			end_list(list);
			list = "modules/later";
			continue;
		}
		underscores(argv[i]);
		add_module(argv[i]);
	}
	end_list(list);
	entry("TRAILER!!!", 0, "", 0, 0, 0);
	if (fclose(out))
		err(1, "%s", argv[1]);
	return 0;
}
