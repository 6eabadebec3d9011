// SPDX-License-Identifier: GPL-2.0-only
/*
 * Not a test of anything but the suite itself: in "complains" the kernel is
 * made to complain, and the fixture has to notice; "quiet" has to pass.
 * test_suite.sh runs it and expects both.
 */
#include "ptf_test.h"

#include "modules/ptftest.h"

FIXTURE(suite) {
	int fd;
	struct ptf_log log;
};

FIXTURE_SETUP(suite)
{
	self->fd = ptf_setup(_metadata, &self->log);
}

PTF_TEARDOWN(suite)

static int complain(int what)
{
	int fd = open(PTFTEST_DEV, O_RDWR | O_CLOEXEC);

	return ioctl(fd, PTFTEST_WARN, what);
}

TEST_F(suite, quiet)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	/* Words that sound bad and are none. */
	EXPECT_EQ(28, write(fd, "<6>debug: a call, a warning\n", 28));
	close(fd);
}

TEST_F(suite, warns)
{
	EXPECT_EQ(0, complain(0));
}

TEST_F(suite, locks)
{
	EXPECT_EQ(0, complain(1));
}

TEST_F(suite, taints)
{
	EXPECT_EQ(0, complain(2));
}

TEST_F(suite, crashes)
{
	volatile int *volatile nowhere = NULL;

	*nowhere = 0;
}

TEST_F(suite, skips)
{
	SKIP(return, "because it says so");
}

TEST_HARNESS_MAIN
