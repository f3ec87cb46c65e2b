//! A network of an emulator, between a guest and this machine.

/// Its words for qemu: the guest is `.15` and this machine `.2`, whose ports from `door - 1` on
/// lead to the guest's from `port - 1` on.
pub(crate) fn network_of(number: usize, door: u16, port: u16) -> String {
    let net = format!("10.0.{}", number + 2);
    let mut words = format!("user,id=n{number},net={net}.0/24,host={net}.2");
    words += &format!(",hostfwd=udp:127.0.0.1:{door}-{net}.15:{port}");
    for next in 0..=4 {
        let (here, there) = (door - 1 + next, port - 1 + next);
        words += &format!(",hostfwd=tcp:127.0.0.1:{here}-{net}.15:{there}");
    }
    words
}
