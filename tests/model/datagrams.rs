//! A stream over datagrams between two modelled clients, where real ones use KCP: it only proves
//! that the path is open both ways and carries much. Go-back-N, no congestion control.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::host::{PATIENCE, again};

const SEGMENT_BYTES: usize = 1200;
const WINDOW: usize = 40;
const RESEND: Duration = Duration::from_millis(60);
const KNOCK: Duration = Duration::from_millis(20);
/// How long a closed stream goes on answering: its last answer may be lost.
const LINGER: Duration = Duration::from_secs(1);

/// Knocks at the other end until it answers, as the one who connects does; None after `patience`.
pub(crate) fn call(socket: UdpSocket, patience: Duration) -> Option<UnixStream> {
    let start = Instant::now();
    socket.set_read_timeout(Some(KNOCK)).unwrap();
    while start.elapsed() < patience {
        // Refused while the other end is not there yet.
        let _ = socket.send(&segment((0, 0), &[]));
        if is_called(&socket) {
            return Some(carry(socket));
        }
    }
    None
}

/// Whether what comes next is more than the empty datagrams that open NATs, which are taken.
pub(crate) fn is_called(socket: &UdpSocket) -> bool {
    let mut buffer = [0; 8];
    while let Ok((len, _)) = again(|| socket.peek_from(&mut buffer)) {
        if len > 0 {
            return true;
        }
        let _ = again(|| socket.recv(&mut buffer));
    }
    false
}

/// Carries a stream over a connected socket, until either end is dropped.
pub(crate) fn carry(socket: UdpSocket) -> UnixStream {
    let (near, far) = UnixStream::pair().unwrap();
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    std::thread::spawn(move || Carrier::default().run(&socket, far));
    near
}

/// Number and acknowledgement, then the bytes; without bytes it only acknowledges.
fn segment((number, expected): (u32, u32), bytes: &[u8]) -> Vec<u8> {
    [&number.to_le_bytes()[..], &expected.to_le_bytes(), bytes].concat()
}

#[derive(Default)]
struct Carrier {
    /// Sent and not acknowledged, `first` being the number of the oldest.
    waiting: VecDeque<Vec<u8>>,
    first: u32,
    expected: u32,
}

impl Carrier {
    fn run(mut self, socket: &UdpSocket, mut stream: UnixStream) {
        let (mut sent, mut heard) = (Instant::now(), Instant::now());
        let mut buffer = [0; 1500];
        let mut open = true;
        // An end that is gone, or a path that is, leaves nothing to wait for.
        let lasts =
            |done: bool, heard: Instant| heard.elapsed() < if done { LINGER } else { PATIENCE };
        while lasts(!open && self.waiting.is_empty(), heard) {
            while open && self.waiting.len() < WINDOW {
                match recv(&stream, &mut buffer[..SEGMENT_BYTES], RecvFlags::DONTWAIT) {
                    Ok((len @ 1.., _)) => self.send_new(socket, &buffer[..len]),
                    Err(Errno::AGAIN) => break,
                    Ok(_) | Err(_) => open = false,
                }
                sent = Instant::now();
            }
            // Two that have closed do not keep each other awake.
            if sent.elapsed() > RESEND && (open || !self.waiting.is_empty()) {
                self.send_again(socket);
                sent = Instant::now();
            }
            while let Ok(len @ 8..) = again(|| socket.recv(&mut buffer)) {
                heard = Instant::now();
                if self.take(socket, &buffer[..len], &mut stream) {
                    break;
                }
            }
        }
    }

    fn send_new(&mut self, socket: &UdpSocket, bytes: &[u8]) {
        let number = self.first + u32::try_from(self.waiting.len()).unwrap();
        let _ = socket.send(&segment((number, self.expected), bytes));
        self.waiting.push_back(bytes.to_vec());
    }

    fn send_again(&self, socket: &UdpSocket) {
        let _ = socket.send(&segment((0, self.expected), &[]));
        for (number, bytes) in (self.first..).zip(&self.waiting) {
            let _ = socket.send(&segment((number, self.expected), bytes));
        }
    }

    /// Takes one segment in; true if it made room to send more.
    fn take(&mut self, socket: &UdpSocket, datagram: &[u8], stream: &mut UnixStream) -> bool {
        let number = |at: usize| u32::from_le_bytes(datagram[at..at + 4].try_into().unwrap());
        let acknowledged = number(4).saturating_sub(self.first);
        self.waiting.drain(..usize::try_from(acknowledged).unwrap().min(self.waiting.len()));
        self.first += acknowledged;
        if datagram.len() > 8 {
            if number(0) == self.expected {
                // Nobody reads any more: the rest is for nobody.
                let _ = stream.write_all(&datagram[8..]);
                self.expected += 1;
            }
            let _ = socket.send(&segment((0, self.expected), &[]));
        }
        acknowledged > 0
    }
}
