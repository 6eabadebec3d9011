// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's init: the only program in the initial file system.
 *
 * It loads the modules that the initial file system brings, says hello on a
 * virtio serial port, and is told there what to do. It then makes the host's
 * files its root (read-only, a tmpfs laid over them), runs one COMMAND in it,
 * carries the streams, and at the end sees to it that everything the kernel
 * has to say is said before the runner pulls the plug.
 *
 * What it owns: the guest from the first process to the last. What it leaves
 * to vm-host.c: time limits, the kernel log, and what an exit status means.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm-wire.h"

/* One direction of COMMAND's standard streams. */
struct stream {
	int fd;			/* our end, -1 when it has ended */
	uint32_t type;		/* the message that carries it */
	size_t under_way;	/* sent, not yet taken by the host */
};

static struct guest {
	int port;
	struct utsname uts;

	/* from the START message */
	char *start;
	size_t start_len;
	char **argv, **envp;
	bool pty, err_apart, no_window;

	pid_t child;
	bool exited;
	int status;

	struct stream out, err;
	int in;			/* where standard input goes, -1 when closed */
	char *in_buf;		/* bytes for it that it has not taken yet */
	size_t in_have;
	bool in_eof;
} g = { .port = -1, .in = -1, .out.fd = -1, .err.fd = -1 };

/* ---- talking to the host ---- */

static void port_write(const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(g.port, p, len);

		if (n > 0) {
			p += n;
			len -= n;
		} else if (n < 0 && errno == EAGAIN) {
			struct pollfd pfd = { .fd = g.port, .events = POLLOUT };

			poll(&pfd, 1, -1);
		} else if (n < 0 && errno != EINTR) {
			/* The runner is gone and will end us with it. */
			pause();
		}
	}
}

static void send_msg(enum vmw_type type, const void *data, size_t len)
{
	static char buf[sizeof(struct vmw_header) + VMW_MAX];
	struct vmw_header h = { .type = type, .len = len };

	/* One write a message: each is a trip out of the guest. */
	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), data, len);
	port_write(buf, sizeof(h) + len);
}

static void vsend_text(enum vmw_type type, const char *fmt, va_list ap)
{
	char text[1024];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n >= (int)sizeof(text))
		n = sizeof(text) - 1;
	send_msg(type, text, n);
}

static __printf(1, 2) void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsend_text(VMW_SAY, fmt, ap);
	va_end(ap);
}

/* For what there is nobody to tell of when it fails. */
static void try_write(int fd, const char *text, size_t len)
{
	ssize_t n = write(fd, text, len);

	(void)n;
}

static __printf(1, 2) void log_line(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int fd, n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (n >= (int)sizeof(text))
		n = sizeof(text) - 1;
	try_write(fd, text, n);
	close(fd);
}

/* The guest can't be made: say why and wait for the runner to end it. */
static __noreturn __printf(1, 2) void fail(const char *fmt, ...)
{
	va_list ap;

	if (g.port >= 0) {
		va_start(ap, fmt);
		vsend_text(VMW_FAIL, fmt, ap);
		va_end(ap);
		for (;;)
			pause();
	}
	/* Without a port only the console is left, and a panic is heard. */
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	_exit(1);
}

/* ---- small helpers ---- */

/* A knob that this kernel lacks is not needed on it. */
static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	try_write(fd, text, strlen(text));
	close(fd);
}

static void mkdirs(const char *path)
{
	char *copy = strdup(path), *p;

	for (p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(copy, 0755);
		*p = '/';
	}
	mkdir(copy, 0755);
	free(copy);
}

/* The @n-th value of @key in the START message, or NULL. */
static const char *config_n(const char *key, int n)
{
	size_t klen = strlen(key);
	char *p, *end = g.start + g.start_len;

	for (p = g.start; p < end; p += strlen(p) + 1)
		if (!strncmp(p, key, klen) && p[klen] == '=' && !n--)
			return p + klen + 1;
	return NULL;
}

static const char *config(const char *key)
{
	return config_n(key, 0);
}

static bool config_flag(const char *key)
{
	const char *v = config(key);

	return v && !strcmp(v, "1");
}

static char **config_list(const char *key)
{
	char **list;
	int n = 0;

	while (config_n(key, n))
		n++;
	list = calloc(n + 1, sizeof(*list));
	for (n = 0; config_n(key, n); n++)
		list[n] = (char *)config_n(key, n);
	return list;
}

/* ---- modules ---- */

static int load_module(const char *path, const char *args)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, args, 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* The builder of the initial file system has put them in a right order. */
static void load_boot_modules(const char *list)
{
	FILE *f = fopen(list, "re");
	char line[256], path[300];
	int ret;

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, sizeof(path), "/modules/%s", line);
		ret = load_module(path, "");
		if (ret && ret != -EEXIST)
			log_line("<4>ptefault-vm: %s: %s\n", line, strerror(-ret));
	}
	fclose(f);
}

/* ---- the port ---- */

static bool port_is_ours(const char *dev)
{
	char path[300], name[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", dev);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(name, sizeof(name), f))
		name[0] = '\0';
	fclose(f);
	name[strcspn(name, "\n")] = '\0';
	return !strcmp(name, VMW_PORT);
}

/* The name comes by a message of the device's own, a moment after probe. */
static void open_port(void)
{
	char path[300];
	struct dirent *e;
	DIR *d;
	int i;

	for (i = 0; i < 3000 && g.port < 0; i++) {
		d = opendir("/sys/class/virtio-ports");
		while (d && (e = readdir(d))) {
			if (!port_is_ours(e->d_name))
				continue;
			snprintf(path, sizeof(path), "/dev/%s", e->d_name);
			g.port = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		}
		if (d)
			closedir(d);
		if (g.port < 0)
			usleep(10000);
	}
	if (g.port < 0)
		fail("the virtio serial port did not appear");
}

static void port_read(void *data, size_t len)
{
	struct pollfd pfd = { .fd = g.port, .events = POLLIN };
	char *p = data;

	while (len) {
		ssize_t n = read(g.port, p, len);

		if (n > 0) {
			p += n;
			len -= n;
		} else if (n < 0 && errno == EAGAIN) {
			poll(&pfd, 1, -1);
		} else if (n == 0) {
			usleep(10000);	/* the other end is not there yet */
		}
	}
}

static void read_start(void)
{
	struct vmw_header h;

	do {
		port_read(&h, sizeof(h));
		g.start = malloc(h.len + 1);
		if (!g.start)
			fail("out of memory");
		port_read(g.start, h.len);
		if (h.type == VMW_PING)
			send_msg(VMW_PONG, "", 0);
	} while (h.type != VMW_START);
	g.start[h.len] = '\0';
	g.start_len = h.len;
	g.argv = config_list("arg");
	g.envp = config_list("env");
	g.pty = config_flag("pty");
	g.err_apart = config_flag("err_apart");
	g.no_window = config_flag("no_window");
}

/* ---- file systems ---- */

static void must_mount(const char *src, const char *dst, const char *type,
		       unsigned long flags, const char *data)
{
	if (mount(src, dst, type, flags, data))
		fail("mount %s (%s): %s", dst, type, strerror(errno));
}

/* For what not every kernel has. */
static void may_mount(const char *src, const char *dst, const char *type)
{
	mkdir(dst, 0755);
	mount(src, dst, type, 0, NULL);
}

/*
 * cache=loose is right for the root: nobody in the guest writes to it, and a
 * file that changes on the host during a run is the host's business. What the
 * guest writes to a shared folder must reach the host, so that is not cached.
 * A larger msize is slower: 6.1 clears that much memory for every request.
 */
static void mount_share(const char *tag, const char *dst, bool writable)
{
	const char *type = config("share");
	char opt[200] = "";

	if (!strcmp(type, "9p"))
		snprintf(opt, sizeof(opt),
			 "trans=virtio,version=9p2000.L,msize=65536,access=any,noxattr,cache=%s",
			 writable ? "mmap" : "loose");
	must_mount(tag, dst, type, writable ? 0 : MS_RDONLY, opt);
}

static void make_root(void)
{
	const char *moddir;
	char path[300];
	int i;

	mkdir("/lower", 0755);
	mkdir("/over", 0755);
	mkdir("/root", 0755);
	mount_share("root", "/lower", false);
	must_mount("tmpfs", "/over", "tmpfs", 0, "mode=755");
	mkdir("/over/upper", 0755);
	mkdir("/over/work", 0755);
	must_mount("overlay", "/root", "overlay", 0,
		   "lowerdir=/lower,upperdir=/over/upper,workdir=/over/work");

	mkdirs("/root/scratch");
	must_mount("/proc", "/root/proc", NULL, MS_MOVE, NULL);
	must_mount("/sys", "/root/sys", NULL, MS_MOVE, NULL);
	must_mount("/dev", "/root/dev", NULL, MS_MOVE, NULL);

	if (chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) ||
	    chroot(".") || chdir("/"))
		fail("change of root: %s", strerror(errno));

	mkdir("/dev/pts", 0755);
	must_mount("devpts", "/dev/pts", "devpts", 0,
		   "gid=5,mode=620,ptmxmode=666");
	mkdir("/dev/shm", 01777);
	must_mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "");
	may_mount("mqueue", "/dev/mqueue", "mqueue");
	may_mount("hugetlbfs", "/dev/hugepages", "hugetlbfs");
	may_mount("securityfs", "/sys/kernel/security", "securityfs");
	may_mount("debugfs", "/sys/kernel/debug", "debugfs");
	may_mount("tracefs", "/sys/kernel/tracing", "tracefs");
	may_mount("cgroup2", "/sys/fs/cgroup", "cgroup2");
	if (symlink("/proc/self/fd", "/dev/fd") ||
	    symlink("/proc/self/fd/0", "/dev/stdin") ||
	    symlink("/proc/self/fd/1", "/dev/stdout") ||
	    symlink("/proc/self/fd/2", "/dev/stderr"))
		fail("links in /dev: %s", strerror(errno));

	/* The guest kernel's modules, for modprobe and the kernel's own calls. */
	moddir = config("moddir");
	if (moddir) {
		snprintf(path, sizeof(path), "/lib/modules/%s", g.uts.release);
		mkdirs(path);
		must_mount(moddir, path, NULL, MS_BIND, NULL);
	}

	for (i = 0; config_n("out", i); i++) {
		snprintf(path, sizeof(path), "out%d", i);
		mkdirs(config_n("out", i));
		mount_share(path, config_n("out", i), true);
	}
}

/*
 * The block device whose serial number is @serial, into @dev. The disks come
 * up while the modules load, in any order.
 */
static bool find_disk(const char *serial, char *dev, size_t size)
{
	char path[300], found[64];
	struct dirent *e;
	FILE *f;
	DIR *d;
	int i;

	for (i = 0; i < 500; i++) {
		d = opendir("/sys/block");
		while (d && (e = readdir(d))) {
			snprintf(path, sizeof(path), "/sys/block/%s/serial",
				 e->d_name);
			f = fopen(path, "re");
			if (!f)
				continue;
			if (!fgets(found, sizeof(found), f))
				found[0] = '\0';
			fclose(f);
			found[strcspn(found, "\n")] = '\0';
			if (strcmp(found, serial))
				continue;
			snprintf(dev, size, "/dev/%s", e->d_name);
			closedir(d);
			return true;
		}
		if (d)
			closedir(d);
		usleep(10000);
	}
	return false;
}

/* What mkswap would write, for a fresh disk of zeros. */
static void make_swap(const char *dev)
{
	int fd = open(dev, O_RDWR | O_CLOEXEC);
	char page[4096] = "";
	uint32_t info[3];
	off_t size;

	if (fd < 0)
		fail("%s: %s", dev, strerror(errno));
	size = lseek(fd, 0, SEEK_END);
	info[0] = 1;				/* version */
	info[1] = size / sizeof(page) - 1;	/* last page */
	info[2] = 0;				/* bad pages */
	memcpy(page + 1024, info, sizeof(info));
	memcpy(page + sizeof(page) - 10, "SWAPSPACE2", 10);
	if (pwrite(fd, page, sizeof(page), 0) != sizeof(page) || fsync(fd))
		fail("%s: %s", dev, strerror(errno));
	close(fd);
	if (swapon(dev, 0))
		fail("swapon %s: %s", dev, strerror(errno));
}

static void make_disks(void)
{
	char dev[300];

	if (config_flag("scratch")) {
		if (!find_disk("scratch", dev, sizeof(dev)))
			fail("the disk for /scratch did not appear");
		must_mount(dev, "/scratch", "ext4", 0, "noinit_itable");
	}
	if (config_flag("swap")) {
		if (!find_disk("swap", dev, sizeof(dev)))
			fail("the disk for swap did not appear");
		make_swap(dev);
	}
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (!ioctl(fd, SIOCGIFFLAGS, &ifr)) {
		ifr.ifr_flags |= IFF_UP;
		ioctl(fd, SIOCSIFFLAGS, &ifr);
	}
	close(fd);
}

/* ---- COMMAND ---- */

static void make_pipe(int fd[2])
{
	if (pipe2(fd, O_CLOEXEC))
		fail("pipe: %s", strerror(errno));
}

static void set_winsize(int fd, const uint16_t *size)
{
	struct winsize ws = { .ws_row = size[0], .ws_col = size[1] };

	ioctl(fd, TIOCSWINSZ, &ws);
}

/* Runs in the child. What it is left with is what a login would give it. */
static __noreturn void exec_command(int in, int out, int err)
{
	const char *path, *cwd = config("cwd"), *mask = config("umask");
	sigset_t none;
	int code;

	setsid();
	if (g.pty)
		ioctl(in, TIOCSCTTY, 0);
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	write_file("/proc/self/oom_score_adj", "0");
	if (mask)
		umask(strtol(mask, NULL, 8));
	if (cwd && chdir(cwd))
		dprintf(2, "vm: %s: %s\n", cwd, strerror(errno));
	environ = g.envp;
	path = g.argv[0];
	execvp(path, g.argv);
	code = errno == ENOENT ? 127 : 126;
	dprintf(2, "vm: %s: %s\n", path, strerror(errno));
	_exit(code);
}

static void start_command(void)
{
	int in[2], out[2], err[2];
	const char *size;
	char name[64];
	int n;

	if (g.pty) {
		out[0] = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (out[0] < 0 || grantpt(out[0]) || unlockpt(out[0]) ||
		    ioctl(out[0], TIOCGPTN, &n))
			fail("pty: %s", strerror(errno));
		snprintf(name, sizeof(name), "/dev/pts/%d", n);
		out[1] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (out[1] < 0)
			fail("%s: %s", name, strerror(errno));
		size = config("winsize");
		if (size) {
			uint16_t rc[2] = { 24, 80 };

			if (sscanf(size, "%hux%hu", &rc[0], &rc[1]) == 2)
				set_winsize(out[0], rc);
		}
		in[0] = out[1];
		in[1] = fcntl(out[0], F_DUPFD_CLOEXEC, 0);
	} else {
		make_pipe(in);
		make_pipe(out);
	}
	if (g.err_apart)
		make_pipe(err);
	else
		err[1] = out[1];

	g.child = fork();
	if (g.child < 0)
		fail("fork: %s", strerror(errno));
	if (!g.child)
		exec_command(in[0], out[1], err[1]);

	if (!g.pty)
		close(in[0]);
	close(out[1]);
	if (g.err_apart) {
		close(err[1]);
		g.err.fd = err[0];
		fcntl(g.err.fd, F_SETFL, O_NONBLOCK);
	}
	g.in = in[1];
	g.out.fd = out[0];
	fcntl(g.in, F_SETFL, O_NONBLOCK);
	fcntl(g.out.fd, F_SETFL, O_NONBLOCK);
	g.out.type = VMW_OUT;
	g.err.type = VMW_ERR;
	g.in_buf = malloc(VMW_WINDOW + VMW_MAX);
	if (!g.in_buf)
		fail("out of memory");
}

/* ---- the streams ---- */

/* COMMAND's next write gets SIGPIPE or EPIPE, as it would on the host. */
static void close_out(struct stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->under_way = 0;
}

static bool window_open(void)
{
	return g.no_window || (g.out.under_way < VMW_WINDOW &&
			       g.err.under_way < VMW_WINDOW);
}

/* False when there is nothing more to carry for now. */
static bool carry_out(struct stream *s)
{
	static char buf[VMW_MAX];
	size_t room = VMW_WINDOW - s->under_way;
	ssize_t n;

	if (s->fd < 0 || (!g.no_window && s->under_way >= VMW_WINDOW))
		return false;
	if (g.no_window || room > sizeof(buf))
		room = sizeof(buf);
	n = read(s->fd, buf, room);
	if (n > 0) {
		send_msg(s->type, buf, n);
		if (!g.no_window)
			s->under_way += n;
		return true;
	}
	/* A pty whose other side is closed says EIO, not end of file. */
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(s->fd);
		s->fd = -1;
		s->under_way = 0;
	}
	return false;
}

static void close_in(void)
{
	char eof = 4;

	/* The line discipline turns this into an end of file. */
	if (g.pty)
		try_write(g.in, &eof, 1);
	close(g.in);
	g.in = -1;
}

static void carry_in(void)
{
	uint32_t taken;
	ssize_t n;

	if (g.in >= 0 && g.in_have) {
		n = write(g.in, g.in_buf, g.in_have);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			close(g.in);
			g.in = -1;
		}
		if (n > 0) {
			taken = n;
			g.in_have -= n;
			memmove(g.in_buf, g.in_buf + n, g.in_have);
			send_msg(VMW_IN_DONE, &taken, sizeof(taken));
		}
	}
	/* COMMAND has closed its end: take the rest and drop it. */
	if (g.in < 0 && g.in_have) {
		taken = g.in_have;
		g.in_have = 0;
		send_msg(VMW_IN_DONE, &taken, sizeof(taken));
	}
	if (g.in >= 0 && g.in_eof && !g.in_have)
		close_in();
}

/* An answer may still come for a stream that has ended. */
static void taken_out(struct stream *s, uint32_t count)
{
	s->under_way -= count < s->under_way ? count : s->under_way;
}

static void handle_msg(uint32_t type, const void *data, uint32_t len)
{
	uint32_t count;
	int32_t sig;

	switch (type) {
	case VMW_IN:
		memcpy(g.in_buf + g.in_have, data, len);
		g.in_have += len;
		break;
	case VMW_IN_EOF:
		g.in_eof = true;
		break;
	case VMW_OUT_DONE:
		memcpy(&count, data, sizeof(count));
		taken_out(&g.out, count);
		break;
	case VMW_ERR_DONE:
		memcpy(&count, data, sizeof(count));
		taken_out(&g.err, count);
		break;
	case VMW_OUT_CLOSED:
		close_out(&g.out);
		break;
	case VMW_ERR_CLOSED:
		close_out(&g.err);
		break;
	case VMW_SIGNAL:
		memcpy(&sig, data, sizeof(sig));
		if (!g.exited)
			kill(-g.child, sig);
		break;
	case VMW_WINSIZE:
		if (g.pty && g.out.fd >= 0)
			set_winsize(g.out.fd, data);
		break;
	case VMW_PING:
		send_msg(VMW_PONG, "", 0);
		break;
	}
}

static void read_port(void)
{
	static char buf[2 * (sizeof(struct vmw_header) + VMW_MAX)];
	static size_t have;
	struct vmw_header h;
	size_t at = 0;
	ssize_t n;

	n = read(g.port, buf + have, sizeof(buf) - have);
	if (n <= 0)
		return;
	have += n;
	while (have - at >= sizeof(h)) {
		memcpy(&h, buf + at, sizeof(h));
		if (have - at < sizeof(h) + h.len)
			break;
		handle_msg(h.type, buf + at + sizeof(h), h.len);
		at += sizeof(h) + h.len;
	}
	have -= at;
	memmove(buf, buf + at, have);
}

/* Init inherits every orphan, so there is more to reap than COMMAND. */
static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != g.child)
			continue;
		g.exited = true;
		g.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
						 WEXITSTATUS(status);
	}
}

static void run_command(int sigfd)
{
	struct signalfd_siginfo info;
	bool more = false;

	for (;;) {
		struct pollfd p[5] = {
			{ .fd = g.port, .events = POLLIN },
			{ .fd = sigfd, .events = POLLIN },
			{ .fd = -1 }, { .fd = -1 }, { .fd = -1 },
		};

		if (g.no_window || g.out.under_way < VMW_WINDOW)
			p[2] = (struct pollfd){ g.out.fd, POLLIN, 0 };
		if (g.no_window || g.err.under_way < VMW_WINDOW)
			p[3] = (struct pollfd){ g.err.fd, POLLIN, 0 };
		if (g.in_have)
			p[4] = (struct pollfd){ g.in, POLLOUT, 0 };
		poll(p, 5, more || (g.exited && window_open()) ? 0 : -1);

		if (p[0].revents)
			read_port();
		if (p[1].revents) {
			while (read(sigfd, &info, sizeof(info)) > 0)
				;
			reap();
		}
		more = carry_out(&g.out);
		more |= carry_out(&g.err);
		carry_in();

		/*
		 * All that COMMAND wrote is in the pipes when it has exited.
		 * What its left-over children may still write is not waited
		 * for.
		 */
		if (g.exited && !more && window_open())
			break;
	}
}

/* ---- the end ---- */

/*
 * Kill what COMMAND left and wait until its memory is torn down, since that
 * is when the kernel notices wrong counters and bad pages.
 */
static void clear_up(void)
{
	int i;

	kill(-1, SIGKILL);
	for (i = 0; i < 1000; i++) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0 && errno == ECHILD)
			break;
		if (pid == 0)
			usleep(10000);
	}
	if (i == 1000)
		say("some processes could not be killed");
	for (i = 0; config_n("out", i); i++) {
		int fd = open(config_n("out", i), O_RDONLY | O_CLOEXEC);

		if (fd >= 0 && syncfs(fd))
			say("%s: %s", config_n("out", i), strerror(errno));
		close(fd);
	}
}

/*
 * Two scans, because an object has to look lost twice and be some seconds old.
 * What is found goes into the kernel log, where the runner sees it.
 */
static void look_for_leaks(void)
{
	static const char path[] = "/sys/kernel/debug/kmemleak";
	char line[256];
	int left = 60;
	FILE *f;

	sleep(6);
	write_file(path, "scan");
	sleep(6);
	write_file(path, "scan");
	f = fopen(path, "re");
	if (!f) {
		say("this kernel has no kmemleak");
		return;
	}
	while (left-- && fgets(line, sizeof(line), f))
		log_line("<4>kmemleak: %s", line);
	fclose(f);
}

static int32_t read_taint(void)
{
	FILE *f = fopen("/proc/sys/kernel/tainted", "re");
	int32_t taint = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%d", &taint) != 1)
		taint = 0;
	fclose(f);
	return taint;
}

int main(void)
{
	struct sched_param prio = { .sched_priority = 1 };
	struct rlimit files = { .rlim_cur = 1024, .rlim_max = 1048576 };
	int32_t end[2];
	sigset_t set;
	int sigfd, ret, i;
	const char *settle;
	pid_t loader;

	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, "mode=755");
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);

	reboot(RB_DISABLE_CAD);

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigfd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	setrlimit(RLIMIT_NOFILE, &files);
	uname(&g.uts);

	load_boot_modules("/modules/first");
	/* The rest is for /scratch, and takes the other CPU a while. */
	loader = fork();
	if (!loader) {
		load_boot_modules("/modules/later");
		_exit(0);
	}
	open_port();
	send_msg(VMW_HELLO, g.uts.release, strlen(g.uts.release));
	read_start();

	make_root();
	if (loader > 0)
		waitpid(loader, NULL, 0);
	make_disks();
	loopback_up();
	if (sethostname("ptefault", 8))
		say("sethostname: %s", strerror(errno));
	for (i = 0; config_n("module", i); i++) {
		ret = load_module(config_n("module", i), "");
		if (ret)
			fail("%s: %s", config_n("module", i), strerror(-ret));
	}
	/* What the boot has lost is not COMMAND's doing. */
	if (config_flag("kmemleak"))
		write_file("/sys/kernel/debug/kmemleak", "clear");
	settle = config("settle");
	if (settle)
		usleep(strtoul(settle, NULL, 10) * 1000);

	/*
	 * The runner asks every few seconds whether we live. Answer also when
	 * COMMAND has taken all memory and every CPU.
	 */
	write_file("/proc/self/oom_score_adj", "-1000");
	mlockall(MCL_CURRENT | MCL_FUTURE);
	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &prio);

	send_msg(VMW_READY, "", 0);
	start_command();
	run_command(sigfd);
	clear_up();
	if (config_flag("kmemleak"))
		look_for_leaks();

	end[0] = g.status;
	end[1] = read_taint();
	send_msg(VMW_EXIT, end, sizeof(end));
	/* Let what was put off (RCU callbacks, works) run and complain. */
	usleep(50000);
	log_line("<4>ptefault-vm: end %s\n", config("nonce"));
	send_msg(VMW_DONE, "", 0);
	for (;;)
		pause();
}
