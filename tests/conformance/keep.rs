//! What the real server knows of its devices after a stop: C91-C94.

use crate::loopback::{A_IP, B_IP, B1, DEVICE, Device, KEY, enforcing};
use crate::model::host::PATIENCE;
use crate::say::{self, hex};

const OK: &str = "820100";
const UUID_MISMATCH: &str = "8201020802";
const NEW_KEY: [u8; 32] = [0x22; 32];

#[test]
fn c093_where_a_device_moved_to_is_known_after_a_stop() {
    let mut server = enforcing();
    let register = |device: &Device, key| hex(&device.ask(&say::register_pk(B1, DEVICE, key)));
    assert_eq!(register(&Device::at(A_IP, &server), &KEY), OK);
    assert_eq!(register(&Device::at(B_IP, &server), &KEY), OK);
    server.terminate(PATIENCE);
    server.restart();
    assert_eq!(register(&Device::at(A_IP, &server), &NEW_KEY), UUID_MISMATCH);
    assert_eq!(register(&Device::at(B_IP, &server), &NEW_KEY), OK);
    server.wait_log("info peer-key-changed");
}
