//! The system calls a serving process makes, and no others: seccomp answers every other one with
//! ENOSYS, for all threads, from then on. This is the one list. A feature that needs another call
//! adds it here; tests/confined.rs runs the features and names what is missing.

use libc::c_long;
use seccompiler::{apply_filter_all_threads, sock_filter};

/// What the kernel calls the machine this is built for, where the numbers below are known good.
const MACHINE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xc000_003e)
} else if cfg!(target_arch = "aarch64") {
    Some(0xc000_00b7)
} else if cfg!(target_arch = "arm") {
    Some(0x4000_0028)
} else {
    None
};

/// By one name on all of these; those of a busy server first.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm"))]
const EVERYWHERE: &[c_long] = &[
    libc::SYS_recvmmsg,
    libc::SYS_sendmsg,
    libc::SYS_splice,
    libc::SYS_epoll_pwait,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_epoll_ctl,
    libc::SYS_timerfd_settime,
    libc::SYS_ppoll,
    // Sockets, pipes and what waits for them.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_shutdown,
    libc::SYS_pipe2,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    libc::SYS_close,
    libc::SYS_epoll_create1,
    libc::SYS_eventfd2,
    libc::SYS_timerfd_create,
    // Files: the store, the lists, the socket of ctl, the resolver's.
    libc::SYS_openat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_faccessat,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_umask,
    // Memory, threads, time, signals, the end.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_tkill,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_geteuid,
    libc::SYS_getuid,
    libc::SYS_getegid,
    libc::SYS_getgid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_exit,
    libc::SYS_exit_group,
];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm")))]
const EVERYWHERE: &[c_long] = &[];

/// On machines of 64 bits.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const BY_WIDTH: &[c_long] = &[
    libc::SYS_mmap,
    libc::SYS_ftruncate,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_epoll_pwait2,
    libc::SYS_rseq,
    libc::SYS_faccessat2,
];
/// On those of 32 bits, where files and the clock have two widths. As qemu-arm's `-strace` shows
/// them of the program with musl in tests/e2e.rs and tests/ctl.rs.
#[cfg(target_arch = "arm")]
const BY_WIDTH: &[c_long] = &[
    libc::SYS_send,
    libc::SYS_recv,
    libc::SYS_mmap2,
    libc::SYS_ftruncate64,
    libc::SYS_fstat64,
    libc::SYS_fstatat64,
    libc::SYS_stat64,
    libc::SYS_lstat64,
    libc::SYS_fcntl64,
    libc::SYS__llseek,
    libc::SYS_getuid32,
    libc::SYS_geteuid32,
    libc::SYS_getgid32,
    libc::SYS_getegid32,
    CLOCK_GETRES_TIME64,
    CLOCK_GETTIME64,
    CLOCK_NANOSLEEP_TIME64,
    TIMERFD_SETTIME64,
    PPOLL_TIME64,
    RECVMMSG_TIME64,
    FUTEX_TIME64,
];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm")))]
const BY_WIDTH: &[c_long] = &[];

// The same on every machine of 32 bits; not every libc names them.
#[cfg(target_arch = "arm")]
const CLOCK_GETTIME64: c_long = 403;
#[cfg(target_arch = "arm")]
const CLOCK_GETRES_TIME64: c_long = 406;
#[cfg(target_arch = "arm")]
const CLOCK_NANOSLEEP_TIME64: c_long = 407;
#[cfg(target_arch = "arm")]
const TIMERFD_SETTIME64: c_long = 411;
#[cfg(target_arch = "arm")]
const PPOLL_TIME64: c_long = 414;
#[cfg(target_arch = "arm")]
const RECVMMSG_TIME64: c_long = 417;
#[cfg(target_arch = "arm")]
const FUTEX_TIME64: c_long = 422;

/// Old calls, which a libc makes where there are any.
#[cfg(any(target_arch = "x86_64", target_arch = "arm"))]
const OLD: &[c_long] = &[
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_pipe,
    libc::SYS_dup2,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_chmod,
];
#[cfg(not(any(target_arch = "x86_64", target_arch = "arm")))]
const OLD: &[c_long] = &[];

/// ARM's own: the thread's pointer, and the cache of what was written as code.
#[cfg(target_arch = "arm")]
const OWN: &[c_long] = &[0x000f_0002, 0x000f_0005];
#[cfg(target_arch = "x86_64")]
const OWN: &[c_long] = &[libc::SYS_accept, libc::SYS_arch_prctl];
// It has no such call; nothing is filtered there.
#[cfg(target_arch = "x86")]
const OWN: &[c_long] = &[];
#[cfg(not(any(target_arch = "x86_64", target_arch = "arm", target_arch = "x86")))]
const OWN: &[c_long] = &[libc::SYS_accept];

const LOAD: u16 = 0x20;
const IS: u16 = 0x15;
const HAS: u16 = 0x45;
const RETURN: u16 = 0x06;
/// Where the number, the machine and the first argument's low half are. All machines above are
/// little-endian.
const NUMBER_AT: u32 = 0;
const MACHINE_AT: u32 = 4;
const ARGUMENT_AT: u32 = 16;
const ALLOW: u32 = 0x7fff_0000;
/// Whoever probes for a newer call falls back to an older one.
const NO_SUCH_CALL: u32 = 0x0005_0000 | libc::ENOSYS.unsigned_abs();

/// From now on all threads make the calls of the list and no others. False where the kernel or the
/// machine has no such thing; then all is as before.
pub(super) fn only_listed() -> bool {
    MACHINE.and_then(program).is_some_and(|program| apply_filter_all_threads(&program).is_ok())
}

/// Whether a test wants to see what comes of a list without this call.
#[cfg(feature = "testing")]
#[expect(clippy::disallowed_methods, reason = "in no build but for tests")]
fn is_left_out(call: c_long) -> bool {
    std::env::var("HBB_TESTING_WITHOUT_CALL").is_ok_and(|number| number == call.to_string())
}

/// The list as the kernel reads it; None if a number is none.
fn program(machine: u32) -> Option<Vec<sock_filter>> {
    let step = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    let unless = |code, k, jf| sock_filter { code, jt: 0, jf, k };
    let mut program = vec![
        step(LOAD, MACHINE_AT),
        sock_filter { code: IS, jt: 1, jf: 0, k: machine },
        step(RETURN, NO_SUCH_CALL),
        step(LOAD, NUMBER_AT),
    ];
    for call in [EVERYWHERE, BY_WIDTH, OLD, OWN].into_iter().flatten() {
        #[cfg(feature = "testing")]
        if is_left_out(*call) {
            continue;
        }
        program.push(unless(IS, u32::try_from(*call).ok()?, 1));
        program.push(step(RETURN, ALLOW));
    }
    // A thread may be started, a process may not. What `clone3` is told cannot be seen, and a libc
    // falls back. Threads that have just started name themselves.
    let guarded = [
        (libc::SYS_clone, HAS, libc::CLONE_THREAD.unsigned_abs()),
        (libc::SYS_prctl, IS, libc::PR_SET_NAME.unsigned_abs()),
    ];
    for (call, test, value) in guarded {
        program.push(unless(IS, u32::try_from(call).ok()?, 4));
        program.push(step(LOAD, ARGUMENT_AT));
        program.push(unless(test, value, 1));
        program.push(step(RETURN, ALLOW));
        program.push(step(RETURN, NO_SUCH_CALL));
    }
    program.push(step(RETURN, NO_SUCH_CALL));
    Some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_listed_twice_and_none_that_starts_another_program() {
        let mut all = [EVERYWHERE, BY_WIDTH, OLD, OWN].concat();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        let never = [libc::SYS_execve, libc::SYS_ptrace, libc::SYS_setuid, libc::SYS_mount];
        assert!(never.iter().all(|call| !all.contains(call)));
        assert!(program(1).unwrap().len() < 512);
    }
}
