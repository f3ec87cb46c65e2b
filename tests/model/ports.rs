//! Ports that no two tests take at once, in one process or in several.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// A port P that is free from P-2 to P+3, and of no other test as long as this process lives: it
/// holds a name for it, which the kernel gives once in a network namespace and takes back at the
/// end.
pub(crate) fn free_ports() -> u16 {
    // Below 32768, where the ports begin that the kernel gives to whoever asks for any.
    for port in (14_000..32_000).step_by(6) {
        let name = SocketAddr::from_abstract_name(format!("hbb-test-ports-{port}")).unwrap();
        let Ok(held) = UnixDatagram::bind_addr(&name) else { continue };
        let tcp = (port - 2..=port + 3).all(|port| {
            TcpListener::bind(("::", port)).is_ok()
                && TcpStream::connect(("127.0.0.1", port)).is_err()
        });
        if tcp && UdpSocket::bind(("::", port)).is_ok() {
            std::mem::forget(held);
            return port;
        }
    }
    panic!("no six free ports in a row");
}
