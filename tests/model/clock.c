/* Moves the clocks of a program that loads it first (LD_PRELOAD), by the seconds that stand in the
   file which HBB_CLOCK names: a number for the wall's clock, and one for those that count from the
   start of the machine. Futexes wait by the true clock. While a third number is not 0, the disk
   takes its time over each sync. Built by tests/model/clock.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WALL, SINCE_START, DISK_WAITS, NUMBERS };

static const volatile long long *ahead;
static int (*true_clock)(clockid_t, struct timespec *);
static long (*true_call)(long, ...);

__attribute__((constructor)) static void begin(void)
{
	const char *name = getenv("HBB_CLOCK");
	int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;

	*(void **)&true_clock = dlsym(RTLD_NEXT, "clock_gettime");
	*(void **)&true_call = dlsym(RTLD_NEXT, "syscall");
	if (file < 0)
		return;
	void *mapped = mmap(NULL, NUMBERS * sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
	close(file);
	if (mapped != MAP_FAILED)
		ahead = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *at)
{
	if (!true_clock)
		begin();
	int failed = true_clock(clock, at);
	if (failed || !ahead)
		return failed;
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		at->tv_sec += ahead[WALL];
		break;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_BOOTTIME:
		at->tv_sec += ahead[SINCE_START];
	}
	return 0;
}

int fdatasync(int file)
{
	while (ahead && ahead[DISK_WAITS])
		usleep(1000);
	return syscall(SYS_fdatasync, file);
}

long syscall(long number, ...)
{
	struct timespec until;
	long a[6];
	va_list rest;

	va_start(rest, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(rest, long);
	va_end(rest);
	if (!true_call)
		begin();
	if (ahead && number == SYS_futex && a[3] && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET) {
		until = *(const struct timespec *)a[3];
		until.tv_sec -= ahead[a[1] & FUTEX_CLOCK_REALTIME ? WALL : SINCE_START];
		if (until.tv_sec < 0)
			until.tv_sec = 0;
		a[3] = (long)&until;
	}
	return true_call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
