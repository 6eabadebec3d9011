// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program for the command's tests to work on: it touches the pages that it is
 * told to, one line of stdin at a time, and says what came of it.
 *
 *	victim		r N, w N: read or write page N of buf; s N: write(2) from it; q: quit;
 *			m FILE: of that file from now on, mapped shared; m: of buf again
 *	victim threads	four threads write 64 pages each, three times; exits with 7
 *	victim spin N	touches all of buf N times and tells its sum
 *
 * Built as a static program, so that its buf is where nm says.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 64
#define THREADS 4

/* Not in .bss, so that it is a mapping of the file. */
char buf[THREADS * PAGES * PAGE] __attribute__((aligned(PAGE))) = "x";

static sigjmp_buf back;
static char *area = buf;

static void on_signal(int sig)
{
	siglongjmp(back, sig);
}

/* noinline: a breakpoint is set here. */
__attribute__((noinline)) void touch(char what, int page)
{
	volatile char *p = area + page * PAGE;

	if (what == 'w')
		*p = 1;
	else
		(void)*p;
}

static const char *try(char what, int page)
{
	int sig = sigsetjmp(back, 1), fd;
	ssize_t n;

	if (sig)
		return sig == SIGBUS ? "SIGBUS" : "SIGSEGV";
	if (what == 's') {
		fd = open("/dev/shm/victim", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		n = write(fd, area + page * PAGE, 16);
		close(fd);
		unlink("/dev/shm/victim");
		return n == 16 ? "ok" : "error";
	}
	touch(what, page);
	return "ok";
}

static const char *map(const char *path)
{
	int fd;

	if (!*path) {
		area = buf;
		return "ok";
	}
	fd = open(path, O_RDWR | O_CLOEXEC);
	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (area != MAP_FAILED)
		return "ok";
	area = buf;
	return "error";
}

static void *worker(void *arg)
{
	long k = (long)arg;

	for (int round = 0; round < 3; round++)
		for (int i = 0; i < PAGES; i++)
			touch('w', k * PAGES + (i * 37 + k) % PAGES);
	return NULL;
}

/* noinline: a breakpoint is set here, too. */
__attribute__((noinline)) int work(void)
{
	pthread_t t[THREADS];

	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, worker, (void *)i))
			return 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	return 7;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	unsigned long sum = 0;
	char line[256];

	memset(buf, 1, sizeof(buf));
	if (argc > 1 && !strcmp(argv[1], "threads"))
		return work();
	if (argc > 2 && !strcmp(argv[1], "spin")) {
		for (long n = atol(argv[2]); n--;)
			for (size_t i = 0; i < sizeof(buf); i += 64)
				sum += buf[i]++;
		printf("%lu\n", sum);
		return 0;
	}
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	printf("buf %p\n", (void *)buf);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && line[0] != 'q') {
		line[strcspn(line, "\n")] = 0;
		puts(line[0] == 'm' ? map(line + 1 + (line[1] == ' ')) :
				      try(line[0], atoi(line + 1)));
		fflush(stdout);
	}
	return 0;
}
