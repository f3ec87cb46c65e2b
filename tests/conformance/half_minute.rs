//! What takes half a minute, all of it at once against one server: C05, C19, C23, C66, C67, C69,
//! C102.
//! Whichever of these tests comes first runs them all; each then gives its own verdict.

use std::any::Any;
use std::ops::Range;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::loopback::{
    B1, Caller, DEVICE, Device, KEY, dial, is_online, main_port, nat_port, relay_port,
};
use crate::model::server::Server;
use crate::relay_socket::{first, is_pair, leg, passes};
use crate::say::{self, Body, hex};
use crate::websocket::{WebSocket, ws_port};

/// The name a test calls its wait by, and the wait.
type Wait = (&'static str, fn(&Server));

const WAITS: [Wait; 10] = [
    ("silence", silent_connections_are_closed),
    ("four", fourth_registration),
    ("offline", offline_after_30_s),
    ("speechless", speechless_legs_are_closed),
    ("late", partner_after_25_s),
    ("too late", partner_after_31_s),
    ("idle", idle_pair_is_closed),
    ("tunnel", idle_tunnel_and_busy_pair_stay),
    ("dribble", dribbled_messages_are_closed),
    ("pings", pings_keep_nobody),
];

/// Runs all of them unless that was done, and fails as the one called `name` did.
#[track_caller]
fn waited(name: &str) {
    static VERDICTS: OnceLock<Vec<Option<String>>> = OnceLock::new();
    let verdicts = VERDICTS.get_or_init(|| {
        let server = Server::start(&["--key=", "--registrations-per-minute", "1000"]);
        thread::scope(|scope| {
            let start = |(_, wait): Wait| {
                scope.spawn({
                    let server = &server;
                    move || wait(server)
                })
            };
            let waits = WAITS.map(start);
            waits.into_iter().map(|wait| wait.join().err().map(|why| words(&*why))).collect()
        })
    });
    let index = WAITS.iter().position(|(known, _)| *known == name).unwrap();
    if let Some(why) = &verdicts[index] {
        panic!("{why}");
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into())).unwrap_or_default()
}

/// Time since it was made.
pub(crate) struct Watch(Instant);

impl Watch {
    #[allow(clippy::disallowed_methods, reason = "these tests are about time")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn secs(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// Sleeps until it shows this.
    fn wait(&self, secs: f64) {
        thread::sleep(Duration::from_secs_f64((secs - self.secs()).max(0.0)));
    }

    /// The connections are closed within this time; what each of them heard before.
    #[track_caller]
    fn closed<const N: usize>(&self, callers: [Caller; N], within: Range<f64>) -> [Vec<u8>; N] {
        callers.map(|mut caller| {
            caller.0.set_read_timeout(Some(Duration::from_secs(45))).unwrap();
            let heard = caller.rest();
            assert!(within.contains(&self.secs()), "closed after {} s", self.secs());
            heard
        })
    }
}

#[test]
fn c005_silent_connections_are_closed_after_30_s() {
    waited("silence");
}

fn silent_connections_are_closed(server: &Server) {
    let watch = Watch::start();
    let main = Caller::from("127.0.5.1", main_port(server));
    let nat = Caller::from("127.0.5.1", nat_port(server));
    let [main, nat] = watch.closed([main, nat], 29.0..33.0);
    assert!(nat.is_empty(), "a word on P-1");
    if let Some(len) = main.first() {
        // On P the server may offer a key meanwhile, once.
        assert_eq!(len & 3, 1, "{}", hex(&main));
        assert!(matches!(say::read(&main[2..]), Body::KeyExchange(_)), "{}", hex(&main));
    }
}

#[test]
fn c102_a_message_that_dribbles_in_is_closed_10_s_after_it_began() {
    waited("dribble");
}

fn dribbled_messages_are_closed(server: &Server) {
    let watch = Watch::start();
    let mut half = Caller::from("127.0.5.9", nat_port(server));
    half.say_raw(b"\xff");
    let mut frames = Caller::from("127.0.5.9", main_port(server));
    let mut fragments = WebSocket::at("127.0.5.9", ws_port(server));
    frames.say_raw(&[0xa1, 0x0f]);
    fragments.0.say_raw(&[0x02, 0x80, 0, 0, 0, 0]);
    // Fragments without end, a ping between them.
    for _ in 0..4 {
        thread::sleep(Duration::from_secs(2));
        frames.say_raw(&[0xba]);
        fragments.0.say_raw(&[0x00, 0x80, 0, 0, 0, 0, 0x89, 0x80, 0, 0, 0, 0]);
    }
    watch.closed([half, frames, fragments.0], 9.5..13.0);
}

#[test]
fn c102_pings_and_empty_messages_keep_nobody_but_a_device() {
    waited("pings");
}

fn pings_keep_nobody(server: &Server) {
    let watch = Watch::start();
    let mut pings = WebSocket::at("127.0.5.10", ws_port(server));
    let mut empty = Caller::from("127.0.5.10", nat_port(server));
    let mut device = WebSocket::at("127.0.5.10", ws_port(server));
    drop(device.ask(&say::register_pk("pinging", DEVICE, &KEY)));
    for turn in 1..7 {
        watch.wait(4.0 * f64::from(turn));
        for web in [&mut pings, &mut device] {
            web.0.say_raw(&[0x89, 0x80, 0, 0, 0, 0]);
        }
        empty.say_raw(&[0]);
    }
    watch.closed([pings.0, empty], 29.0..33.0);
    assert!(is_online(server, "pinging"));
}

#[test]
fn c019_the_fourth_registration_within_6_s_is_too_frequent() {
    waited("four");
}

fn fourth_registration(server: &Server) {
    let device = Device::at("127.0.5.2", server);
    let registers = || hex(&device.ask(&say::register_pk("fourth1", DEVICE, &KEY)));
    let first = Watch::start();
    assert_eq!([registers(), registers(), registers()], ["820100"; 3]);
    let third = Watch::start();
    while registers() != "820100" {
        assert!(third.secs() < 6.5, "still too frequent {} s later", third.secs());
        thread::sleep(Duration::from_millis(250));
    }
    assert!(first.secs() >= 5.9, "a fourth one after {} s", first.secs());
}

#[test]
fn c023_offline_30_s_after_the_last_registration() {
    waited("offline");
}

fn offline_after_30_s(server: &Server) {
    let device = Device::enrolled("127.0.5.3", server, B1);
    let sent = Watch::start();
    assert_eq!(device.keeps(B1), "3a00");
    let kept = Watch::start();
    sent.wait(28.9);
    let mut seen = 0.0;
    while is_online(server, B1) {
        seen = sent.secs();
        assert!(kept.secs() < 31.0, "online {} s later", kept.secs());
        thread::sleep(Duration::from_millis(50));
    }
    assert!(sent.secs() >= 30.0, "offline {} s later", sent.secs());
    assert!(seen >= 29.0, "not seen later than {seen} s");
    assert_eq!(dial(server, B1), "5a021802");
}

#[test]
fn c066_legs_without_a_first_frame_are_closed_after_30_s() {
    waited("speechless");
}

fn speechless_legs_are_closed(server: &Server) {
    let watch = Watch::start();
    let silent = Caller::from("127.0.5.4", relay_port(server));
    let mut half = Caller::from("127.0.5.4", relay_port(server));
    half.say_raw(&first("half a frame", |_| ())[..8]);
    let heard = watch.closed([silent, half], 29.0..33.0);
    assert_eq!(heard.concat(), []);
}

#[test]
fn c067_a_partner_after_25_s_pairs() {
    waited("late");
}

fn partner_after_25_s(server: &Server) {
    let watch = Watch::start();
    let mut early = leg("127.0.5.5", relay_port(server), "late");
    watch.wait(25.0);
    let mut late = leg("127.0.5.6", relay_port(server), "late");
    is_pair(&mut early, &mut late);
}

#[test]
fn c067_a_partner_after_31_s_waits_for_another() {
    waited("too late");
}

fn partner_after_31_s(server: &Server) {
    let watch = Watch::start();
    let early = leg("127.0.5.7", relay_port(server), "too late");
    watch.wait(31.0);
    let mut late = leg("127.0.5.8", relay_port(server), "too late");
    assert_eq!(watch.closed([early], 29.0..33.0), [[]]);
    let mut later = leg("127.0.5.7", relay_port(server), "too late");
    is_pair(&mut late, &mut later);
}

#[test]
fn c069_an_idle_pair_is_closed_after_30_to_34_s() {
    waited("idle");
}

fn idle_pair_is_closed(server: &Server) {
    let [mut one, mut two] =
        ["127.0.5.9", "127.0.5.10"].map(|ip| leg(ip, relay_port(server), "idle"));
    is_pair(&mut one, &mut two);
    let heard = Watch::start().closed([one, two], 29.5..34.5);
    assert_eq!(heard.concat(), []);
}

#[test]
fn c069_an_idle_tunnel_and_a_pair_busy_one_way_stay() {
    waited("tunnel");
}

fn idle_tunnel_and_busy_pair_stay(server: &Server) {
    let relay = relay_port(server);
    let mut initiator = Caller::from("127.0.5.11", relay);
    initiator.say_raw(&first("tunnel", |wish| wish.conn_type = 2));
    let mut target = leg("127.0.5.12", relay, "tunnel");
    let [mut one, mut two] = ["127.0.5.13", "127.0.5.14"].map(|ip| leg(ip, relay, "busy"));
    is_pair(&mut initiator, &mut target);
    let watch = Watch::start();
    for turn in 0..=7_u8 {
        watch.wait(5.0 * f64::from(turn));
        passes(&mut one, &mut two, &[turn]);
    }
    is_pair(&mut initiator, &mut target);
    is_pair(&mut one, &mut two);
}
