//! Joined legs of which one or both speak WebSocket: stalls, breaks and ends, as of those that
//! speak frames. C65, C69, C70.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hbb::net::clock::Clock;
use hbb::net::conn::link::bytes::{ByteBudget, Purpose};
use hbb::net::conn::link::{Codec, TravellingLink};
use hbb::net::message::{SessionEnd, Traffic};
use hbb::net::reactor::block_on;
use hbb::net::session::idle::Bounds;
use hbb::net::session::pipe::PipePool;
use hbb::net::session::rate::RateLimits;
use hbb::net::session::{pair, websocket};
use hbb_core::base::conn::Transport::{self, Tcp, WebSocket};
use hbb_core::base::counters::DropReason::{Done, Idle, SendFailed};
use hbb_core::base::limits::DIRECTION_BYTES_FREE;
use hbb_core::base::rates::Rates;
use hbb_core::wire::websocket::Assembly;

use crate::chance::Chance;
use crate::model::host::again;
use crate::model::{wire, ws};
use crate::relay_pump::{NEVER_MS, connect, limited, receive_all, reset, unlimited};
use crate::relay_stream::fill;

/// What the two legs of a session speak.
const PAIRS: [[Transport; 2]; 3] = [[WebSocket, WebSocket], [WebSocket, Tcp], [Tcp, WebSocket]];
/// Of a message; goes in one fragment.
const MESSAGE_BYTES: usize = 40_000;

fn leg(transport: Transport) -> (TcpStream, TravellingLink) {
    let (peer, mut link) = connect();
    if transport == WebSocket {
        link.codec = Codec::WebSocket(Assembly::default());
    }
    (peer, link)
}

fn start(first: TravellingLink, second: TravellingLink, idle_ms: u64) -> JoinHandle<SessionEnd> {
    start_with([first, second], idle_ms, ByteBudget::default(), u64::MAX)
}

/// With this memory, at so many bytes a second.
fn start_with(
    [first, second]: [TravellingLink; 2],
    idle_ms: u64,
    bytes: ByteBudget,
    rate: u64,
) -> JoinHandle<SessionEnd> {
    thread::spawn(move || {
        let ended = block_on(async {
            let (first, second) = (first.watch().unwrap(), second.watch().unwrap());
            let bounds = Bounds { idle_ms, limit: &limited(rate), bytes: &bytes, known: true };
            websocket::join(*first, *second, bounds, Rc::default()).await
        });
        ended.unwrap()
    })
}

/// Two peers whose legs are joined.
fn session(
    [one, other]: [Transport; 2],
    idle_ms: u64,
) -> (TcpStream, TcpStream, JoinHandle<SessionEnd>) {
    let ((a, first), (b, second)) = (leg(one), leg(other));
    (a, b, start(first, second, idle_ms))
}

/// A message as its sender writes it.
fn said(transport: Transport, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match transport {
        Tcp => wire::send(&mut bytes, message).unwrap(),
        WebSocket => ws::send(&mut bytes, message).unwrap(),
    }
    bytes
}

/// A message as its receiver gets it.
fn heard(transport: Transport, message: &[u8]) -> Vec<u8> {
    match transport {
        Tcp => wire::frame(message),
        WebSocket => {
            let header = match u8::try_from(message.len()) {
                Ok(len @ ..126) => vec![0x82, len],
                _ => [&[0x82, 126], &u16::try_from(message.len()).unwrap().to_be_bytes()[..]]
                    .concat(),
            };
            [&header, message].concat()
        }
    }
}

/// What a leg hears last.
fn last_word(transport: Transport) -> &'static [u8] {
    match transport {
        Tcp => &[],
        WebSocket => &[0x88, 0x02, 0x03, 0xe8],
    }
}

/// So many megabytes of messages, as the one writes and the other gets them.
fn stream([from, to]: [Transport; 2], megabytes: usize) -> (Vec<u8>, Vec<u8>) {
    let messages = (0..25).map(|seed| Chance::new(seed).bytes(MESSAGE_BYTES));
    let pairs = messages.map(|message| (said(from, &message), heard(to, &message)));
    let (said, heard): (Vec<_>, Vec<_>) = pairs.unzip();
    (said.concat().repeat(megabytes), heard.concat().repeat(megabytes))
}

/// All that comes, and what ended it if that was a break.
fn until_end(peer: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let (mut got, mut buffer) = (Vec::new(), vec![0; 50_000]);
    loop {
        match again(|| peer.read(&mut buffer)) {
            Ok(0) => return (got, None),
            Ok(len) => got.extend_from_slice(&buffer[..len]),
            Err(error) => return (got, Some(error.kind())),
        }
    }
}

/// What the task of a session keeps, on machines of 64 bits; elsewhere it is less. Tables and what
/// the executor adds come to about a kilobyte.
#[test]
fn c154_an_idle_session_holds_no_buffer() {
    let legs = [(); 4].map(|()| connect());
    let sizes = block_on(async {
        let [first, second, third, fourth] = legs.map(|(_peer, leg)| leg.watch().unwrap());
        let (bytes, limit, pipes) = (ByteBudget::default(), unlimited(), PipePool::new(0));
        let bounds = Bounds { idle_ms: NEVER_MS, limit: &limit, bytes: &bytes, known: true };
        let frames = pair::join(first.into(), second.into(), bounds, &pipes);
        let messages = websocket::join(*third, *fourth, bounds, Rc::default());
        [size_of_val(&frames), size_of_val(&messages)]
    });
    let [frames, messages] = sizes.unwrap();
    assert!(frames <= 464 && messages <= 1008, "{frames} and {messages} bytes");
}

#[test]
fn c069_a_receiver_that_takes_no_message_ends_its_pair() {
    for pair in PAIRS {
        let ([one, other], (ahead, _)) = (pair, stream(pair, 20));
        let (mut a, mut b, joined) = session(pair, 1_000);
        let clock = Clock::start();
        fill(&mut a, &ahead);
        // Though the other direction is busy all the time.
        let (word, heard) = (said(other, b"x"), heard(one, b"x"));
        while !joined.is_finished() && clock.now().as_millis() < 5_000 {
            if b.write_all(&word).is_err() || a.read_exact(&mut vec![0; heard.len()]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let took = clock.now().as_millis();
        drop((a, b));
        assert_eq!(joined.join().unwrap().reason, Idle);
        assert!((1_000..2_500).contains(&took), "{pair:?}: {took} ms");
    }
}

#[test]
fn c069_messages_that_wait_for_their_rate_are_not_idle() {
    for pair in PAIRS {
        let ((mut a, first), (mut b, second)) = (leg(pair[0]), leg(pair[1]));
        // What a turn moves where the rate is high would be paid for in half a second.
        let joined = start_with([first, second], 300, ByteBudget::default(), 512 * 1024);
        let (ahead, expected) = stream(pair, 1);
        let rest = thread::spawn(move || {
            a.write_all(&ahead).unwrap();
            a
        });
        let mut got = vec![0; expected.len()];
        b.read_exact(&mut got).unwrap();
        assert!(got == expected, "{pair:?}: other messages than were sent");
        drop((rest.join().unwrap(), b));
        assert_eq!(joined.join().unwrap().reason, Done);
    }
}

/// What a leg may send at length that goes no further: text, pongs and empty messages.
fn idle_talk(transport: Transport) -> Vec<u8> {
    let text = [&[0x81, 0xfe, 0x03, 0xe8, 0, 0, 0, 0][..], &[b'x'; 1000]].concat();
    let others = [0x8a, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0];
    match transport {
        Tcp => vec![0; 100_000],
        WebSocket => [&text[..], &others].concat().repeat(100),
    }
}

#[test]
fn c072_what_goes_no_further_is_charged_too() {
    for pair in PAIRS {
        let traffic = Arc::<Traffic>::default();
        let limit = || {
            let rates =
                RateLimits::new(Clock::start(), Box::leak(Box::default()), Rates::default());
            rates.session(Arc::clone(&traffic))
        };
        let ((mut a, first), (mut b, second)) = (leg(pair[0]), leg(pair[1]));
        let [ahead, behind] = pair.map(idle_talk);
        let talk = thread::spawn(move || {
            a.write_all(&[&ahead[..], &said(pair[0], b"end")].concat()).unwrap();
            let mut got = heard(pair[1], b"no!");
            b.read_exact(&mut got).unwrap();
            assert_eq!(got, heard(pair[1], b"end"), "{pair:?}");
            // Behind the end of the other side it is dropped.
            match pair[0] {
                Tcp => a.shutdown(Shutdown::Write).unwrap(),
                WebSocket => a.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).unwrap(),
            }
            assert_eq!(until_end(&mut b), (last_word(pair[1]).to_vec(), None));
            b.write_all(&behind).unwrap();
            drop(b);
            ahead.len() + behind.len()
        });
        let ended = block_on(async {
            let (first, second) = (first.watch().unwrap(), second.watch().unwrap());
            let (limit, bytes) = (&limit(), &ByteBudget::default());
            let bounds = Bounds { idle_ms: NEVER_MS, limit, bytes, known: true };
            websocket::join(*first, *second, bounds, Rc::default()).await
        });
        assert_eq!(ended.unwrap().reason, Done);
        let said = talk.join().unwrap();
        assert!(traffic.bytes() >= said as u64, "{pair:?}: {} of {said}", traffic.bytes());
    }
}

#[test]
fn c114_messages_pass_where_memory_is_short() {
    for pair in PAIRS {
        let bytes = ByteBudget::default();
        let short = bytes.room(Purpose::Stalled, true);
        bytes.redraw(Purpose::Stalled, 0, short);
        let ((mut a, first), (mut b, second)) = (leg(pair[0]), leg(pair[1]));
        let joined = start_with([first, second], NEVER_MS, bytes.clone(), u64::MAX);
        let (ahead, expected) = stream(pair, 20);
        let sent = fill(&mut a, &ahead);
        bytes.redraw(Purpose::Stalled, short, 0);
        let held = short - bytes.room(Purpose::Stalled, true);
        assert!(held <= DIRECTION_BYTES_FREE, "{pair:?}: {held} bytes beyond its own");
        bytes.redraw(Purpose::Stalled, 0, short);
        let rest = thread::spawn(move || {
            a.write_all(&ahead[sent..]).unwrap();
            a
        });
        let mut got = vec![0; expected.len()];
        b.read_exact(&mut got).unwrap();
        assert!(got == expected, "{pair:?}: other messages than were sent");
        drop((rest.join().unwrap(), b));
        joined.join().unwrap();
    }
}

#[test]
fn c065_a_leg_that_takes_no_message_stops_only_its_own_direction() {
    for pair in PAIRS {
        let (mut a, mut b, joined) = session(pair, NEVER_MS);
        let [one, other] = pair;
        let (ahead, expected) = stream(pair, 20);
        let sent = fill(&mut a, &ahead);
        assert!(sent < ahead.len(), "it stalls");
        let (back, at_a) = stream([other, one], 4);
        let sender = thread::spawn(move || {
            b.write_all(&back).unwrap();
            b
        });
        let mut got = vec![0; at_a.len()];
        a.read_exact(&mut got).unwrap();
        assert!(got == at_a, "{pair:?}: the way back");
        let b = sender.join().unwrap();
        let at_b = receive_all(&b);
        a.write_all(&ahead[sent..]).unwrap();
        a.shutdown(Shutdown::Write).unwrap();
        b.shutdown(Shutdown::Write).unwrap();
        let got = at_b.join().unwrap();
        assert!(got.starts_with(&expected), "{pair:?}: what was stalled");
        assert_eq!(&got[expected.len()..], last_word(other));
        let ended = joined.join().unwrap();
        let bytes = got.len() + at_a.len() + last_word(one).len();
        assert_eq!((ended.bytes, ended.reason), (bytes as u64, Done));
    }
}

#[test]
fn c070_a_break_passes_on_behind_the_last_message() {
    for pair in PAIRS {
        let (mut a, mut b, joined) = session(pair, NEVER_MS);
        a.write_all(&said(pair[0], b"first")).unwrap();
        thread::sleep(Duration::from_millis(50));
        reset(a);
        let (got, end) = until_end(&mut b);
        assert!(got == heard(pair[1], b"first"), "{pair:?}: {got:?}");
        assert_eq!(end, Some(ErrorKind::ConnectionReset), "{pair:?}");
        assert_eq!(joined.join().unwrap().reason, SendFailed);
    }
}

#[test]
fn c070_a_break_comes_behind_all_messages_that_were_taken() {
    for pair in PAIRS {
        let (mut a, mut b, joined) = session(pair, NEVER_MS);
        let (ahead, expected) = stream(pair, 20);
        fill(&mut a, &ahead);
        reset(a);
        thread::sleep(Duration::from_millis(100));
        let (got, end) = until_end(&mut b);
        assert_eq!(end, Some(ErrorKind::ConnectionReset), "{pair:?}");
        assert!(expected.starts_with(&got) && got.len() > 100_000, "{pair:?}: {}", got.len());
        let ended = joined.join().unwrap();
        assert_eq!((ended.bytes, ended.reason), (got.len() as u64, SendFailed));
    }
}

#[test]
fn c070_last_messages_of_a_leg_that_breaks_arrive() {
    for pair in PAIRS {
        let ([one, other], (mut a, first), (mut b, second)) = (pair, leg(pair[0]), leg(pair[1]));
        b.write_all(&said(other, b"closed by user")).unwrap();
        reset(b);
        a.write_all(&said(one, &[1; 1000])).unwrap();
        thread::sleep(Duration::from_millis(50));
        // The first write finds the second leg broken while its last words are unread; their
        // reader is told of an end.
        let joined = start(first, second, NEVER_MS);
        let (got, end) = until_end(&mut a);
        assert!(got == heard(one, b"closed by user"), "{pair:?}: {got:?}");
        assert_eq!(end, Some(ErrorKind::ConnectionReset), "{pair:?}");
        assert_eq!(joined.join().unwrap().reason, SendFailed);
    }
}

#[test]
fn c070_who_leaves_without_reading_our_last_word_is_no_break() {
    for pair in PAIRS {
        let (mut a, mut b, joined) = session(pair, NEVER_MS);
        b.shutdown(Shutdown::Write).unwrap();
        thread::sleep(Duration::from_millis(100));
        a.write_all(&said(pair[0], b"last")).unwrap();
        thread::sleep(Duration::from_millis(50));
        reset(a);
        let expected = [&heard(pair[1], b"last"), last_word(pair[1])].concat();
        assert_eq!(until_end(&mut b), (expected, None), "{pair:?}");
        assert_eq!(joined.join().unwrap().reason, Done);
    }
}

#[test]
fn c070_a_websocket_that_closed_may_break_off() {
    for pair in [[WebSocket, WebSocket], [WebSocket, Tcp]] {
        let ([one, other], (mut a, first), (mut b, second)) = (pair, leg(pair[0]), leg(pair[1]));
        // Its close, behind which nothing counts, nor what it is sent then.
        a.write_all(&[0x88, 0x80, 0, 0, 0, 0]).unwrap();
        b.write_all(&said(other, b"too late")).unwrap();
        reset(a);
        thread::sleep(Duration::from_millis(50));
        let joined = start(first, second, NEVER_MS);
        assert_eq!(until_end(&mut b), (last_word(other).to_vec(), None), "{one:?}, {other:?}");
        assert_eq!(joined.join().unwrap().reason, Done);
        // A reset that follows an end shows nowhere else.
        assert!(b.take_error().unwrap().is_none(), "{one:?}, {other:?}");
    }
}
