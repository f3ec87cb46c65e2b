//! Which ids may register, asked of the machine and of the binary: C81. What became of ids that
//! earlier versions stored stands in `ids_machine.rs` and tests/ctl.

use crate::both::{DEVICE, KEY, OPEN, Place, World, on_both};
use crate::say::{self, hex};

/// Ids that could be taken for markup, a command, a flag, a path, an address, a key and its value,
/// or for another id.
pub(crate) const HOSTILE: [&str; 18] = [
    "<img/src=\"x\"/onerror=alert(1)>",
    "$(reboot)",
    "--help",
    "../../etc",
    "12345\u{202e}678",
    "12345\u{200b}678",
    "\u{3164}\u{3164}\u{3164}",
    "\u{308}abcdef",
    "10.0.0.1",
    "0x7f000001",
    "017700000001",
    "0x7f.0.0.1",
    "１０.٠.٠.١",
    "fd00::1",
    "10.0.0.0/8",
    "x=1,from=2",
    "#123456",
    ".hidden",
];
const INVALID_ID_FORMAT: &str = "8201020805";

fn registers(world: &mut dyn World, id: &str) -> String {
    hex(&world.ask(Place::B, &say::register_pk(id, DEVICE, &KEY)))
}

#[test]
fn c081_an_id_that_reads_as_something_else_does_not_register() {
    on_both(OPEN, |world| {
        for id in HOSTILE {
            assert_eq!(registers(world, id), INVALID_ID_FORMAT, "{id:?}");
            assert_eq!(world.states(&[id]), [0], "{id:?}");
        }
    });
}

#[test]
fn c081_letters_and_digits_of_any_script_do() {
    on_both(OPEN, |world| {
        let plain = ["123456789", "1234567890", "host-name.example_2", "0x7f-name", "10.0.0.1a"];
        for id in plain.into_iter().chain(["Bu\u{308}ro-1", "क्षमा", "東京"]) {
            assert_eq!(registers(world, id), "820100", "{id:?}");
            assert_eq!(world.states(&[id]), [0x80], "{id:?}");
        }
    });
}
