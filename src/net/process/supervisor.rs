//! Tells a supervisor that speaks systemd's protocol (`NOTIFY_SOCKET`, see sd_notify(3)) when we
//! serve, reload and stop, and that the main loop still turns. Without that variable nothing is
//! opened, sent or waited for. A message that cannot be sent is lost: it must not stop a server.
//! Checks: tests/notify.rs.

use std::env::var_os;
use std::ffi::OsString;
use std::future::pending;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::process;
use std::time::Duration;

use rustix::io::Result;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with,
};

use crate::net::clock::monotonic_us;
use crate::net::reactor::Timer;

/// Who started us, if it wants to be told.
pub(crate) struct Supervisor {
    place: Option<(OwnedFd, SocketAddrUnix)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// What the environment names. It is asked here and nowhere else: these variables are not
    /// settings of ours, but how the supervisor reaches the process it started.
    pub(crate) fn find() -> Self {
        let place = var_os("NOTIFY_SOCKET").and_then(|name| open(name.as_bytes()).ok());
        let watchdog = watchdog(var_os("WATCHDOG_USEC"), var_os("WATCHDOG_PID"));
        Self { place, watchdog }
    }

    /// Every port is open.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// A reload began; [`Self::ready`] says when it is in force or refused.
    pub(crate) fn reloading(&self) {
        if self.place.is_some() {
            self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_us()));
        }
    }

    /// The end was asked for.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Says that the loop this runs on turns, twice in the time the supervisor waits for it.
    pub(crate) async fn beat(&self) {
        while let (Some(_), Some(every)) = (&self.place, self.watchdog) {
            self.tell("WATCHDOG=1");
            Timer::after(every).await;
        }
        pending().await
    }

    /// Addressed anew each time, so that a supervisor that restarts is found again.
    fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.place {
            let _ = sendto(socket, state.as_bytes(), SendFlags::NOSIGNAL, address);
        }
    }
}

/// A path, or a name of the abstract kind behind an `@`.
fn open(name: &[u8]) -> Result<(OwnedFd, SocketAddrUnix)> {
    let address = match name {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name),
        _ => SocketAddrUnix::new(name),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok((socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?, address?))
}

/// Half of the time the supervisor waits, unless it waits for another process.
fn watchdog(wait_us: Option<OsString>, pid: Option<OsString>) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    if pid.is_some_and(|pid| number(pid) != Some(process::id().into())) {
        return None;
    }
    let half = number(wait_us?)? / 2;
    (half > 0).then(|| Duration::from_micros(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_half_of_what_is_asked_of_this_process() {
        let asked = |wait: &str, pid: Option<u32>| {
            watchdog(Some(wait.into()), pid.map(|pid| pid.to_string().into()))
        };
        let half = Some(Duration::from_millis(500));
        assert_eq!(asked("1000000", None), half);
        assert_eq!(asked("1000000", Some(process::id())), half);
        assert_eq!(asked("1000000", Some(1)), None);
        for nonsense in ["", "0", "1", "-5", "soon"] {
            assert_eq!(asked(nonsense, None), None, "{nonsense}");
        }
        assert_eq!(watchdog(None, None), None);
    }
}
