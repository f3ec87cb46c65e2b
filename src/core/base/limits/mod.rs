//! Every limit has its name here, why it is that number, and what happens at it.
//! Ceilings are facts of this program; [`Limits`] are an operator's settings below them.

#[cfg(feature = "accounts")]
mod accounts;
#[cfg(feature = "accounts")]
mod books;
mod machine;

use static_assertions::const_assert;

#[cfg(feature = "accounts")]
pub use accounts::*;
#[cfg(feature = "accounts")]
pub use books::*;
#[cfg(not(feature = "testing"))]
pub(crate) use machine::*;
#[cfg(feature = "testing")]
pub use machine::*;

/// Longest device id. Seen: 32-byte keys, 36-character UUIDs. Longer ones are refused.
pub const DEVICE_ID_BYTES_MAX: usize = 64;

/// Most peers any setting allows: 40 MiB of table.
pub const PEERS_CEILING: usize = 131_072;
/// Most signalling connections any setting allows.
pub const CONNECTIONS_CEILING: usize = 16_384;
/// Most relay sessions any setting allows.
pub const SESSIONS_CEILING: usize = 4_096;
/// Most legs of a relay, waiting or in sessions.
pub(crate) const LEGS_CEILING: usize = CONNECTIONS_CEILING + 2 * SESSIONS_CEILING;

/// Largest payload on a signalling connection (C04): closes it.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// The same for one kind of message of those who are known: an online query for an address book of
/// 20,000 ids, of 16 characters each (C136). Its connection may hold as much from then on.
pub const ONLINE_BYTES_MAX: usize = 360 * 1024;
/// Largest first frame on the relay (C04): closes it.
pub const RELAY_FRAME_BYTES_MAX: usize = 4 * 1024;
/// Largest HTTP request that opens a WebSocket; browsers send the cookies of the host along.
pub const HANDSHAKE_BYTES_MAX: usize = 8 * 1024;
/// Bytes each connection may hold of messages that are not whole (C107): an online query of as many
/// ids as a stranger may ask for; nearly all others are below a tenth of it.
pub const HALF_READ_BYTES_FREE: usize = 3 * 1024;
/// The same of messages for it that it did not read yet: three punches.
pub const UNREAD_BYTES_FREE: usize = 1024;
/// Bytes each direction of a session may hold; it goes on with these when there is no more.
pub const DIRECTION_BYTES_FREE: usize = 4 * 1024;
/// Bytes one connection may hold beyond these: a whole frame, and room to read at its end.
pub const CONNECTION_BYTES_MAX: usize = FRAME_BYTES_MAX + 4 * 1024;
/// Bytes that all of them may hold together beyond these on a small router, and anywhere at least:
/// all connections at their worst at once add less than 4 MiB (C114).
pub const SHARED_BYTES_MIN: usize = 2 * 1024 * 1024;
/// What of that each purpose may take, in sixteenths, and what of it strangers may: messages of
/// signalling that are not whole, here. Whoever needs more is closed.
pub const HALF_READ_PARTS: [usize; 2] = [8, 2];
/// Messages of signalling that nobody reads. No client is sent long ones.
pub const UNREAD_PARTS: [usize; 2] = [2, 1];
/// What of the strangers' part of these one address (IPv6: a /64) may take, in quarters, and one
/// network (an IPv4 /24, an IPv6 /48), and of all half-read messages who is known there; of an
/// address that is a proxy's, no such part.
pub const SOURCE_QUARTERS: [usize; 2] = [2, 3];
/// Messages of sessions that came in fragments and go on as one frame, whose header must tell its
/// length, are held until they are whole (C108). Other messages pass without being held.
pub const GATHERED_PARTS: [usize; 2] = [8, 4];
/// Bytes of sessions whose receiver takes none; counted with those above. Without room a session
/// reads no more than it can pass on.
pub const STALLED_PARTS: [usize; 2] = [6, 2];
/// What strangers, deaf devices and sessions leave at least for half-read messages of those who are
/// known.
const KNOWN_PARTS_MIN: usize = 16 - HALF_READ_PARTS[1] - UNREAD_PARTS[0] - GATHERED_PARTS[0];
/// What one direction of a session may hold of a message in fragments; a longer one ends the
/// session (C108).
pub const GATHERED_BYTES_MAX: usize = 768 * 1024;
/// Largest datagram read; longer ones are cut by the kernel and dropped here.
pub const DATAGRAM_BYTES_MAX: usize = 1500;
/// What the kernel is asked to hold of datagrams that were not read yet, and as much of those not
/// yet sent; it counts some 800 bytes for a short one. Without the right to more it gives 208 KiB.
pub const DATAGRAM_QUEUE_BYTES: usize = 1024 * 1024;
/// Where the kernel has room for no more datagrams, an address is sent so many within
/// [`PRESSED_WINDOW_MS`]: neighbours that do not answer hold theirs for that long, and there are
/// at most 1,024 of them. Beyond, they are dropped and counted.
pub const PRESSED_SENDS_MAX: u16 = 2;
/// How long a neighbour is asked who it is.
pub const PRESSED_WINDOW_MS: u64 = 3_000;
/// That goes on until the kernel had room for so long.
pub const PRESSED_MS: u64 = 30_000;
/// Addresses counted for that, and link-local ones whose interface is remembered; the oldest gives
/// way.
pub const TARGETS_MAX: usize = 1_024;
/// Addresses of this machine at which devices register and are answered from; all are learnt anew
/// when there are more.
pub const OWN_ADDRESSES_MAX: usize = 32;
/// Addresses of our interfaces that are read; further ones are as unknown.
pub const OWN_ADDRESSES_READ_MAX: usize = 256;
/// They are read again when somebody dials, unless that was so short a while ago.
pub const OWN_ADDRESSES_READ_MS: u64 = 5_000;
/// Names that stand for relays: those of `--relay-servers` and of `--public`.
pub const RELAY_NAMES_MAX: usize = 33;
/// Messages that may wait for a machine; streams wait, datagrams are dropped and counted.
pub const INBOX_MAX: usize = 64;
/// Messages that may wait for one connection; one more closes it as a slow reader.
pub const OUTBOX_MAX: usize = 4;
/// What one message of somebody has a connection told at most: a pause, and an answer behind it.
pub const TOLD_AT_ONCE_MAX: usize = 2;
/// Datagrams read with one call: 12 KiB for them.
pub const DATAGRAMS_PER_READ: usize = 8;
/// Datagrams handled in one turn before streams get theirs.
pub const DATAGRAMS_PER_TURN: usize = 32;
/// A claim in a datagram waits so long for the connection that proves it, if the kernel has one.
pub const EARLY_MS: u64 = 50;
/// Claims that wait so; one more takes the place of the oldest, which is judged as it is.
pub const EARLY_MAX: usize = 16;
/// Messages of streams handled in one turn before datagrams get theirs again.
pub const STREAMS_PER_TURN: usize = 32;
/// Most changes grouped into one commit: as many as may wait. In a large table each change rewrites
/// a page of its own, until all are rewritten.
pub const BATCH_MAX: usize = SAVES_PENDING_MAX;
/// Two commits are this far apart at least, and changes gather meanwhile; one that comes alone is
/// committed at once (C150).
pub const COMMIT_GATHER_MS: u64 = 20;
/// The same when little is left of what may be written in a day: changes then share their commits,
/// of which each costs some 20 KiB. Below the 15 s after which clients ask again.
pub const COMMIT_GATHER_MS_MAX: u64 = 10_000;
/// What [`Limits::writes_a_day`] counts: a mebibyte.
pub const WRITES_UNIT_BYTES: u64 = 1024 * 1024;
/// Stack of the store thread.
pub const STORE_STACK_BYTES: usize = 256 * 1024;
/// Most registrations waiting for the store; one more is dropped, and the client asks again.
pub const SAVES_PENDING_MAX: usize = 1024;
/// Changes of accounts that wait for the store; one more is told to try again, clients where eight
/// less wait, and those who change much where 24 do.
pub const SAVES_WAITING_MAX: usize = 64;
/// Ids, addresses and networks in one list of an operator's: the longest takes 1.2 MiB, and that
/// of who is shut out 3.3 MiB; while a list is read again, the old and the new are there.
pub const LIST_ENTRIES_MAX: usize = 65_536;
/// Longest file of such a list: room for a comment behind each entry.
pub const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Devices that wait for an operator to approve them; one more takes the place of another.
#[cfg(feature = "accounts")]
pub const WAITING_MAX: usize = 256;
/// Of those, how many of one network (an IPv4 /24, an IPv6 /48).
#[cfg(feature = "accounts")]
pub const WAITING_PER_NETWORK: usize = 64;
/// And how many whose address may be forged.
#[cfg(feature = "accounts")]
pub const WAITING_UNPROVED: usize = 64;
/// Codes of `hbb ctl invite` that are good at a time; there are no more then.
#[cfg(feature = "accounts")]
pub const INVITES_MAX: usize = 64;
/// Devices that show one and wait for the store; one more is told to try again.
#[cfg(feature = "accounts")]
pub const DEPLOYS_WAITING_MAX: usize = 16;
/// For how long one may be good, in hours.
#[cfg(feature = "accounts")]
pub const INVITE_HOURS_MAX: u16 = 168;
/// Rules in the file of `--rules`; a longer one is refused whole, as with the next four.
#[cfg(feature = "accounts")]
pub const RULES_MAX: usize = 1_024;
/// Bytes of that file.
#[cfg(feature = "accounts")]
pub const RULES_BYTES_MAX: usize = 64 * 1024;
/// Groups and tags in it: a bit each.
#[cfg(feature = "accounts")]
pub const RULE_GROUPS_MAX: usize = 64;
/// Ids, networks and users that it names, in all: of who asks each id is looked up for each punch.
#[cfg(feature = "accounts")]
pub const RULE_MEMBERS_MAX: usize = 4_096;
/// Longest sentence for who is refused.
#[cfg(feature = "accounts")]
pub const SAY_BYTES_MAX: usize = 200;

/// A WebSocket is open this long after its connection was, or it is closed.
pub const HANDSHAKE_MS: u64 = 10_000;
/// A console line is whole, and answered, within this time if it has no end of line.
pub const CONSOLE_MS: u64 = 1_000;
/// Longest console line.
pub const CONSOLE_BYTES_MAX: usize = 1024;
/// Longest request on the control socket: a command and its words.
pub const CONTROL_BYTES_MAX: usize = 512;
/// Whoever begins to say what to do at the control socket has done so within this time: the next
/// one waits so long.
pub const CONTROL_READ_MS: u64 = 1_000;
/// Operators who said nothing yet; the one that is silent longest gives way.
pub const CONTROL_SILENT_MAX: usize = 8;
/// What belongs to a command of an operator is there within this time.
#[cfg(feature = "accounts")]
pub const CONTROL_BRING_MS: u64 = 10_000;
/// Stack of the control thread: the buffers of a line and of a page of a list, a flags file read.
pub const CONTROL_STACK_BYTES: usize = 128 * 1024;
/// Peers listed before others get their turn.
pub const PEERS_PER_PAGE: usize = 512;
/// A silent connection is closed after this (C05, C66).
pub const IDLE_MS: u64 = 30_000;
/// A message is whole this long after its first byte, or the connection is closed (C102): the
/// longest takes a 3G line two seconds.
pub const MESSAGE_MS: u64 = 10_000;
/// An initiator that asks to be kept with a HealthCheck is kept this long (C102). We never ask for
/// one.
pub const HEALTH_CHECK_MS: u64 = 600_000;
/// A connection that is a peer's presence gets a heartbeat this often: below the keep-alive, and
/// below the 30 s some NATs forget after.
pub const HEARTBEAT_MS: u64 = 20_000;
/// A peer present on a connection is gone when nothing came for this long: two and a half
/// heartbeats (C28).
pub const HEARTBEAT_MISSED_MS: u64 = 50_000;
/// A connection silent for this long is offered the sealed channel: longer than any client that
/// speaks first takes to do so (protocol §4.8), well below the 18 s the others wait.
pub const OFFER_DELAY_MS: u64 = 250;
/// The same where one port serves all, since a leg of the relay must never be offered anything:
/// enough for one lost segment.
pub const OFFER_DELAY_SHARED_MS: u64 = 1_000;
/// An offer is made to all who come within this time: one signature a minute. It is good until the
/// next but one is made, this long at least; clients wait 18 s.
pub const OFFER_REUSE_MS: u64 = 60_000;
/// Key exchanges accepted in a second; a client asks again. Each costs an X25519 secret, 2 ms on
/// a slow router.
pub const EXCHANGES_PER_SECOND: u16 = 50;
/// Of those, how many for one source, an IPv4 address or an IPv6 /64 (C90).
pub const EXCHANGES_PER_SOURCE: u16 = 10;
/// And how many for one network, an IPv4 /24 or an IPv6 /48, of those where no device is known and
/// nobody showed the key lately (C90),
pub const EXCHANGES_PER_NETWORK: u16 = 15;
/// and for all of those.
pub const EXCHANGES_OF_STRANGERS: u16 = 25;
/// A client's half that comes when these are spent waits for its turn: looked for this often,
pub const EXCHANGE_TURN_MS: u64 = 250;
/// so many times, in which all connections of one address that nothing holds have theirs; then the
/// connection is closed, and the client asks again (C153).
pub const EXCHANGE_TURNS: u32 = 16;
/// Exchanges in a second that led to a call of the HTTP API and count for none of the above
/// (C129): where TCP P-2 is closed each client makes such a call for each of its heartbeats.
pub const CALLS_PER_SECOND: u16 = 40;
/// Of those, how many for one source: 150 clients behind it.
pub const CALLS_PER_SOURCE: u16 = 10;
/// And how many for one network of those of which nothing is known,
pub const CALLS_PER_NETWORK: u16 = 15;
/// and for all of those.
pub const CALLS_OF_STRANGERS: u16 = 20;
/// Exchanges one offer is good for, as each is remembered in 8 bytes (C89): a full rate for twice
/// as long as it is offered. Further ones are refused.
pub const EXCHANGES_PER_OFFER: usize = 10_800;
/// With two relays or more, each is tried this often.
pub const RELAY_CHECK_MS: u64 = 3_000;
/// A relay that does not answer in this time is not handed out.
pub const RELAY_CONNECT_MS: u64 = 3_000;
/// What a name stands for is asked again after this long, if somebody dials or the relay it names
/// is called: a line that gets another address is soon found again (C128).
pub const NAME_MS: u64 = 10_000;
/// Addresses kept of one name.
pub const NAME_ADDRESSES_MAX: usize = 8;
/// Stack of the thread that watches relays; resolving names takes most of it.
pub const WATCH_STACK_BYTES: usize = 128 * 1024;
/// Stack of a thread for sessions: the two buffers of a turn that converts messages, 132 KiB, and
/// what calls it.
pub const RELAY_STACK_BYTES: usize = 384 * 1024;
/// Most threads for sessions any setting allows.
pub const RELAY_THREADS_CEILING: usize = 64;
/// A target's address goes to its initiator so much later: the target listens there a moment after
/// it closed the connection on which it told it (C139). On loopback, where 92 of 100 come in time
/// for a target that takes no time at all and 45 for one that takes 2 ms, 99 do then.
pub const LISTENS_MS: u64 = 20;
/// A peer that takes no byte of an answer for this long is a slow reader.
pub const WRITE_MS: u64 = 10_000;
/// A pair in which neither direction moved for this long is closed, up to a tenth later (C69).
pub const SESSION_IDLE_MS: u64 = 30_000;
/// The same for tunnels (port forward, RDP), which are quiet by nature: the client allows an hour.
pub const TUNNEL_IDLE_MS: u64 = 3_700_000;
/// A connection on which nothing came for so many seconds is probed by the kernel (TCP keepalive),
pub const KEEPALIVE_IDLE_SECS: u64 = 40;
/// and again after so many,
pub const KEEPALIVE_INTERVAL_SECS: u64 = 15;
/// so often; then it is dead: within two minutes, and not for a line that is gone for one (C105).
pub const KEEPALIVE_PROBES: u32 = 5;

/// Bytes a relay session copies at once. Half of it costs a fifth more time per byte, twice as
/// much gains nothing.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// A leg that has this much at once streams: its bytes pass through a pipe. Up to here copying
/// costs as much or less, and needs one call less to find that there is no more.
pub const STREAM_BYTES_MIN: usize = 16 * 1024;
/// Bytes in a pipe at most; a direction whose receiver stalls keeps no more than this. Twice as
/// much costs the same per byte, and an echo beside four bulk pairs then takes twice as long.
pub const PIPE_BYTES: usize = 128 * 1024;
/// Pipes lent to sessions at a time: for a moment while bytes flow, for longer while a receiver
/// stalls, 4 MiB in all then. When all are lent, further sessions copy.
pub const PIPES_MAX: usize = 32;
/// Chunks a direction of a session converts before others get their turn.
pub const CHUNKS_PER_TURN: usize = 4;
/// Bytes after which a direction of a session lets others have their turn.
pub const TURN_BYTES: usize = PIPE_BYTES;
/// A leg whose partner broke off is broken off this long after its last byte was sent, so that
/// it is there before.
pub const RESET_PAUSE_MS: u64 = 200;
/// Bytes kept of a parked leg, which are its own; a first handshake message is a few hundred.
pub const PARKED_BYTES_MAX: usize = HALF_READ_BYTES_FREE;
/// Pause after the kernel refused a connection for want of file descriptors.
pub const ACCEPT_PAUSE_MS: u64 = 100;
/// File descriptors needed besides connections and sessions: both ends of pipes, listeners,
/// store, reactor, log.
pub const FILES_SPARE: usize = 2 * PIPES_MAX + 32;
/// The same for each thread for sessions: its reactor, and a pipe where they are many.
pub const FILES_PER_THREAD: usize = 4;
/// Most file descriptors that any settings need.
pub const FILES_CEILING: usize = CONNECTIONS_CEILING
    + 2 * SESSIONS_CEILING
    + FILES_SPARE
    + FILES_PER_THREAD * RELAY_THREADS_CEILING;
/// Where nearly none may be open, so many connections and sessions are allowed all the same (C117).
pub const FEWEST_PLACES: [usize; 2] = [8, 2];
/// The file of the log of connections becomes the one before at this length (C191).
#[cfg(feature = "accounts")]
pub const CONNECTION_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Its lines are appended so long after the first of them that waits, or when there are
#[cfg(feature = "accounts")]
pub const CONNECTION_GROUP_MS: u64 = 300_000;
/// so many bytes of them.
#[cfg(feature = "accounts")]
pub const CONNECTION_GROUP_BYTES: usize = 32 * 1024;
/// Lines that wait for the thread that writes them; further ones are counted.
#[cfg(feature = "accounts")]
pub const CONNECTION_LINES_WAITING_MAX: usize = 256;
/// Its stack.
#[cfg(feature = "accounts")]
pub const CONNECTION_STACK_BYTES: usize = 64 * 1024;

const_assert!(RELAY_FRAME_BYTES_MAX <= FRAME_BYTES_MAX);
// A tag and a length of one byte each stand before an id.
const_assert!(ONLINE_IDS_MAX as usize * (2 + CHOSEN_ID_CHARS_MAX) <= ONLINE_BYTES_MAX - 64);
const_assert!(Limits::SMALL_ROUTER.shared_bytes() == SHARED_BYTES_MIN);
// A query of an address book among them, and room to read at its end.
const_assert!(
    ONLINE_BYTES_MAX + CONNECTION_BYTES_MAX - FRAME_BYTES_MAX
        <= SHARED_BYTES_MIN / 16 * KNOWN_PARTS_MIN
);
const_assert!(GATHERED_BYTES_MAX <= SHARED_BYTES_MIN / 16 * GATHERED_PARTS[0]);
const_assert!(EFFECTS_MAX <= INBOX_MAX);
const_assert!(STREAM_BYTES_MIN <= CHUNK_BYTES && CHUNK_BYTES <= PIPE_BYTES);
const_assert!(PUNCH_MS > ONLINE_MS);
const_assert!(EXCHANGES_PER_SOURCE < EXCHANGES_PER_NETWORK);
const_assert!(EXCHANGES_PER_NETWORK < EXCHANGES_OF_STRANGERS);
const_assert!(EXCHANGES_OF_STRANGERS < EXCHANGES_PER_SECOND);
const_assert!(
    EXCHANGES_PER_OFFER as u64
        >= 2 * (EXCHANGES_PER_SECOND + CALLS_PER_SECOND) as u64 * OFFER_REUSE_MS / 1_000
);
const_assert!(KEEPALIVE_IDLE_SECS + KEEPALIVE_INTERVAL_SECS * KEEPALIVE_PROBES as u64 <= 120);
const_assert!(HEARTBEAT_MS < KEEP_ALIVE_SECS as u64 * 1000);

/// Settings below the ceilings; `board/*.toml` gives each class of board its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Registered peers; further new ids are refused with the protocol's server error.
    pub peers: usize,
    /// Signalling and parked connections together; accepting pauses when all are in use.
    pub connections: usize,
    /// Relay sessions; a further pair is refused by closing both legs.
    pub sessions: usize,
    /// Parked relay legs of one source; one more closes the oldest of them.
    pub parked_per_source: usize,
    /// RegisterPk accepted from one source (IPv4 address or IPv6 /64) in a minute (C20), but for
    /// those of devices that are known (C95).
    pub registrations_per_source: u16,
    /// New ids accepted from one source in a day.
    pub newcomers_per_source: u16,
    /// What the store may write in a day, in [`WRITES_UNIT_BYTES`]; beyond it the client is asked
    /// to come again. 0 for no limit. Flash wears out; strangers shall not decide how fast.
    pub writes_a_day: u16,
    /// When `peers` are registered, one that has been away for this many days is forgotten for a
    /// new one. 0 never: whoever takes its id would be taken for it.
    pub forget_after_days: u16,
}

impl Limits {
    /// The smallest board we know: a router with 64 MB of memory.
    const SMALL_ROUTER: Self = Self {
        peers: 1_024,
        connections: 256,
        sessions: 32,
        parked_per_source: 16,
        registrations_per_source: 32,
        newcomers_per_source: 300,
        writes_a_day: 8,
        forget_after_days: 0,
    };

    /// Bytes that all connections and sessions may hold together beyond what each has of its own:
    /// a small router's, and in proportion where there may be more of them (C114).
    pub const fn shared_bytes(&self) -> usize {
        let bytes = self.connections * 4 * 1024 + self.sessions * 32 * 1024;
        if bytes < SHARED_BYTES_MIN { SHARED_BYTES_MIN } else { bytes }
    }

    /// File descriptors that all connections and sessions take.
    pub const fn files(&self) -> usize {
        self.connections + 2 * self.sessions
    }

    /// The same with as many connections and sessions, in proportion, as `files` descriptors are
    /// enough for, but for [`FEWEST_PLACES`] (C117).
    pub const fn within_files(self, files: usize) -> Self {
        const fn part(of: usize, [files, all]: [usize; 2], fewest: usize) -> usize {
            let part = of * files / all;
            if part >= fewest {
                part
            } else if of < fewest {
                of
            } else {
                fewest
            }
        }
        let ratio = [files, self.files()];
        if ratio[1] <= files {
            return self;
        }
        let [connections, sessions] = FEWEST_PLACES;
        Self {
            connections: part(self.connections, ratio, connections),
            sessions: part(self.sessions, ratio, sessions),
            ..self
        }
    }

    /// Entries of the log of connections: a quarter of the devices, 256 at least and 8,192 at most,
    /// of some 200 bytes each (C188).
    #[cfg(feature = "accounts")]
    pub fn connections_kept(&self) -> usize {
        (self.peers / 4).clamp(256, 8_192)
    }

    /// `forget_after_days` in milliseconds; None if no peer is ever forgotten for another.
    pub const fn forget_after_ms(&self) -> Option<u64> {
        match self.forget_after_days {
            0 => None,
            days => Some(days as u64 * 24 * 3_600_000),
        }
    }
}

/// How many of the places for connections one address or network may hold, and all newcomers
/// together (C101).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Tied to nothing, of one IPv4 address or IPv6 /64: an eighth; its own oldest gives way.
    pub address: usize,
    /// Tied to nothing, of one IPv4 /24 or IPv6 /48: a quarter; the oldest of its greediest
    /// address gives way.
    pub network: usize,
    /// Tied to nothing, of all who are not known: three quarters; the oldest of the greediest
    /// gives way.
    pub newcomers: usize,
    /// Tied to a device or a grant, of one address or network: three eighths; further ones stay
    /// tied to nothing.
    pub tied: usize,
    /// The same where one more is of a device a day old (C147): three quarters.
    pub settled: usize,
}

impl Shares {
    /// The shares of so many places.
    pub const fn of(places: usize) -> Self {
        const fn at_least(number: usize, least: usize) -> usize {
            if number < least { least } else { number }
        }
        Self {
            address: at_least(places / 8, 4),
            network: at_least(places / 4, 8),
            newcomers: places - places / 4,
            tied: at_least(places / 8 * 3, 4),
            settled: places - places / 4,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::SMALL_ROUTER
    }
}
