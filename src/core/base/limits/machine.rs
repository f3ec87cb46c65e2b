//! Limits that the machines alone keep; the shell does not know them. The tests of the machines do.

use static_assertions::const_assert;

use super::{BATCH_MAX, SAVES_PENDING_MAX};

/// Deepest nesting of lists and objects in JSON that is read: twice what any client sends (C175).
pub const JSON_DEPTH_MAX: u32 = 16;
/// Longest peer id. The client's rule is 16 characters; 48 bytes holds 16 of any script in use.
pub const PEER_ID_BYTES_MAX: usize = 48;
/// Shortest peer id that may register (C16).
pub const PEER_ID_BYTES_MIN: usize = 6;
/// Fewest characters of an id a person chose (C33).
pub const CHOSEN_ID_CHARS_MIN: usize = 6;
/// Most characters of an id a person chose (C33).
pub const CHOSEN_ID_CHARS_MAX: usize = 16;
/// Longest relay token; clients use 36-character UUIDs. Longer ones close the leg.
pub const RELAY_TOKEN_BYTES_MAX: usize = 64;
/// Ids of one online query that are looked up before others get their turn: half a millisecond on a
/// slow router. A longer query goes on [`ONLINE_TURN_MS`] later (C137).
pub const ONLINE_IDS_PER_TURN: usize = 512;
/// See [`ONLINE_IDS_PER_TURN`]: 20,000 ids take 40 ms.
pub const ONLINE_TURN_MS: u64 = 1;
/// Ids of one online query: an address book. One with more is not answered, and its connection
/// closed (C112).
pub const ONLINE_IDS_MAX: u16 = 20_000;
/// Ids that one address (IPv4 address or IPv6 /64) may ask the presence of within
/// [`ONLINE_WINDOW_MS`] if a device of ours is there or it dialled a short while ago: the books of
/// three behind one NAT. All ids of nine digits take it a day.
pub const ONLINE_IDS_OF_KNOWN_MAX: u16 = 3 * ONLINE_IDS_MAX;
/// The same for other addresses. All ids of nine digits take one of them half a year.
pub const ONLINE_IDS_OF_STRANGER_MAX: u16 = 256;
/// The same for other addresses of one network (an IPv4 /24, an IPv6 /48),
pub const ONLINE_IDS_OF_NETWORK_MAX: u16 = 1_024;
/// and for all of them together.
pub const ONLINE_IDS_OF_STRANGERS_MAX: u16 = 4_096;
/// The window of these; clients ask every 6 s.
pub const ONLINE_WINDOW_MS: u64 = 5_000;
/// Most effects one input may have; a machine that needs more is wrong.
pub const EFFECTS_MAX: usize = 4;
/// Addresses a throttle remembers; the oldest is forgotten first.
pub const THROTTLED_MAX: usize = 512;
/// Devices whose other network is remembered (C83); the one that used it longest ago is forgotten
/// first, and is believed again once it echoes a nonce.
pub const ELSEWHERE_MAX: usize = 256;
/// Sources remembered as having passed the key check (C59); the oldest is forgotten first.
pub const GRANTS_MAX: usize = 1024;
/// Grants of one source (an IPv4 address, an IPv6 /64); a further one takes the place of its
/// oldest: more than people dial in [`GRANT_MS`] out of an office.
pub const GRANTS_PER_SOURCE: usize = 64;
/// The same of one network (an IPv4 /24, an IPv6 /48).
pub const GRANTS_PER_NETWORK: usize = 128;
/// Grants of all addresses where no device of ours is; the rest is for those where one is.
pub const GRANTS_OF_STRANGERS: usize = GRANTS_MAX / 4 * 3;
/// Addresses with a device of ours that are remembered: 150 KiB.
pub const KNOWN_ASKERS_MAX: usize = 4096;
/// How often a target is told within [`PUSH_WINDOW_MS`] that somebody at one source wants it: a
/// client that tries all paths and fails has it told nine times.
pub const PUSHES_PER_SOURCE: u16 = 40;
/// The same of one network.
pub const PUSHES_PER_NETWORK: u16 = 80;
/// The same of all addresses where no device of ours is.
pub const PUSHES_OF_STRANGERS: u16 = 160;
/// The same of all addresses where one is.
pub const PUSHES_OF_KNOWN: u16 = 160;
/// The same of all addresses that showed no key themselves, where one is asked for: once for those
/// where a device of ours is, once for others (C59): of four networks.
pub const PUSHES_UNGRANTED: u16 = 4 * PUSHES_UNGRANTED_PER_NETWORK;
/// The same of one network, so that no stranger uses up what is for all: a client asks three times.
pub const PUSHES_UNGRANTED_PER_NETWORK: u16 = 6;
/// The window of these, in milliseconds.
pub const PUSH_WINDOW_MS: u64 = 60_000;
/// Windows of pushes, three for each source and target: 330 KiB; the oldest is forgotten first.
pub const PUSHES_MAX: usize = 3072;
/// Longest name of a relay that is remembered as told to an initiator (C85): longer than any in
/// use. A longer one is passed on, and not taken from the initiator afterwards.
pub const RELAY_NAME_BYTES_MAX: usize = 128;
/// Addresses where an offer of a sealed channel was left unanswered (C121); the oldest is forgotten
/// first.
pub const DECLINED_MAX: usize = 256;
/// Addresses where the old one of two server keys was shown last (C156); the oldest is forgotten
/// first.
pub const ROTATION_ADDRESSES_MAX: usize = 1024;
/// Sessions about to meet at our relay, while the key changes (C157); the oldest is forgotten
/// first.
pub const MEETINGS_MAX: usize = 64;
/// So long whoever comes from there next is taken for the same client, which takes 17 s.
pub const DECLINED_MS: u64 = 30_000;
/// Peers that moved of late while they were present (C120); the one that did so least is forgotten
/// first.
pub const FLAPS_MAX: usize = 32;
/// So many moves in a row are no journey.
pub const FLAP_MOVES: u8 = 4;
/// Moves are in a row if they are no further apart; clients show their key every 15 s.
pub const FLAP_MS: u64 = 120_000;
/// How often each peer is reported.
pub const FLAP_TOLD_MS: u64 = 600_000;
/// Pairs of an address and an id that the console's lists are made of: 250 KiB, where there is a
/// console; the one seen longest ago is forgotten first (C161).
pub const CONSOLE_SEEN_MAX: usize = 2_048;
/// How long they are listed by address: a day.
pub const CONSOLE_SEEN_MS: u64 = 24 * 3_600_000;
/// How long they are listed as changes of an id's address.
pub const CONSOLE_CHANGES_MS: u64 = 360_000;
/// Dials that the console lists; the first is forgotten first: 64 KiB (C161).
pub const CONSOLE_DIALS_MAX: usize = 512;
/// The same dial is listed once in such a time,
pub const CONSOLE_DIAL_MS: u64 = 60_000;
/// if it is among so many of the last.
pub const CONSOLE_DIALS_COMPARED: usize = 30;
/// Lines of a list that the console shows at once.
pub const CONSOLE_LINES: usize = 10;
/// A peer is online for this long after it last registered (C23).
pub const ONLINE_MS: u64 = 30_000;
/// Whoever claims to be a phone that is here waits this long for the phone to speak up where it is;
/// a client asks again after three seconds (C87).
pub const CHALLENGE_MS: u64 = 2_000;
/// Claims that wait so; a further one is refused, and the client asks again.
pub const CHALLENGES_MAX: usize = 256;
/// A peer present on a connection is promised a sign of life this often; it gives up after one
/// and a half times that (C28).
pub const KEEP_ALIVE_SECS: u16 = 45;
/// A relay leg waits this long for its partner (C67).
pub const PARKED_MS: u64 = 30_000;
/// Ids kept for devices that an operator had forgotten; the one forgotten longest ago is let go of
/// first (C91).
pub const KEPT_MAX: usize = 1024;
/// How long each is kept.
pub const KEPT_MS: u64 = 24 * 3_600_000;
/// How long an operator's gift of an id may be taken (C92).
pub const GIVEN_MS: u64 = 600_000;
/// Devices that are asked to register after a start (C138): all that can be within the 15 s after
/// which each comes by itself.
pub const RECALLS_MAX: usize = 3_000;
/// The pause after [`EFFECTS_MAX`] of them: 200 a second.
pub const RECALL_PAUSE_MS: u64 = 20;
/// A punch nobody answered is forgotten after this.
pub const PUNCH_MS: u64 = 40_000;
/// A source that passed the key check for a target may ask for a relay to it this long (C59).
pub const GRANT_MS: u64 = 120_000;
/// Registrations accepted for one id within [`ID_WINDOW_MS`] (C19).
pub const REGISTRATIONS_PER_ID: u16 = 3;
/// The window of [`REGISTRATIONS_PER_ID`], in milliseconds (C19).
pub const ID_WINDOW_MS: u64 = 6_000;
/// The window of `Limits::registrations_per_source` (C20).
pub const SOURCE_WINDOW_MS: u64 = 60_000;
/// An address counts as known for this long after a device proved itself there or somebody showed
/// the key (C101). A device is heard from every few seconds.
pub const KNOWN_MS: u64 = 300_000;
/// In each span of so long, the first sign of life of a device renews what is known of its address:
/// two look-ups that the others go without.
pub(crate) const VOUCHED_MS: u64 = 60_000;
/// Known addresses remembered for each place for a connection; the oldest is forgotten first.
pub const KNOWN_PER_PLACE: usize = 4;
/// A relay leg is known if its token passed our signalling this long ago at most (C106).
pub const TOKEN_KNOWN_MS: u64 = 60_000;
/// Such tokens remembered; the oldest is forgotten first.
pub const TOKENS_KNOWN_MAX: usize = 1024;
/// Tokens remembered that came first on a leg refused for its key, where they passed our signalling
/// or there is none (C118); the oldest is forgotten first, and a leg that comes under it waits in
/// vain.
pub const TOKENS_REFUSED_MAX: usize = 256;
/// Tokens one address may have passed on within [`TOKEN_KNOWN_MS`], and one network; to a relay
/// alone, tokens of legs refused for their key.
pub const TOKENS_PER_ADDRESS: u16 = 64;
/// See [`TOKENS_PER_ADDRESS`].
pub const TOKENS_PER_NETWORK: u16 = 256;
/// The window of `Limits::newcomers_per_source`: a day.
pub const NEWCOMERS_WINDOW_MS: u64 = 24 * 3_600_000;
/// What a network (IPv4 /24, IPv6 /48) may do, in shares of one source.
pub const SHARES_PER_NETWORK: u16 = 4;
/// New ids that a TCP connection buys its source: a client opens two at its start, and one that
/// lost its id to a mismatch comes with another (C96).
pub const PROOF_IDS: u16 = 4;
/// How long a connection proves its source (C96).
pub const PROOF_MS: u64 = 60_000;
/// Sources of one network that may be proved at a time.
pub const PROVED_PER_NETWORK: u16 = 64;
/// One new id of each network is stored at once in such a time, however little is left to write
/// (C122): 24 commits of its own a day are half of what comes in on the smallest board.
pub const PROMPT_MS: u64 = 3_600_000;
/// New ids a minute that are stored though UDP alone tells where they come from: all sources
/// together, as any may be forged. Real clients open a connection first (C97).
pub const UNPROVED_NEWCOMERS: u16 = 32;
/// Such ids are stored while the table of peers is filled to less than one part of so many.
pub const UNPROVED_PART: usize = 2;
/// Ids that are not stored yet can be dialled; the oldest is forgotten first: 288 KiB (C97).
pub const PROVISIONAL_MAX: usize = 1024;
/// Signatures over keys of such ids in a second; a further dial is not answered.
pub const PROVISIONAL_SIGNATURES: u16 = 8;
/// New ids that may wait for the store, so that known devices and operators find room. Whoever is
/// let in waits for two commits at most, as one takes all that wait.
pub const NEWCOMERS_PENDING_MAX: usize = SAVES_PENDING_MAX / 2;
/// The same for sources that are not proved: they wait in nobody's way.
pub const UNPROVED_PENDING_MAX: usize = 32;
/// New keys and new names of one source within [`CHANGES_WINDOW_MS`] (C98).
pub const CHANGES_PER_SOURCE: u16 = 60;
/// The same of all proved sources: once for devices a day old or older, once for younger ones.
pub const CHANGES_IN_ALL: u16 = 240;
/// The same of all sources that are not proved.
pub const CHANGES_UNPROVED: u16 = 16;
/// The window of these, an hour.
pub const CHANGES_WINDOW_MS: u64 = 3_600_000;
/// A device registered this long ago is not held to what new ones used up, in seconds: a day.
pub const SETTLED_SECS: u64 = 24 * 3_600;
/// Asks that further ones may belong to, as many of those that were refused, connections that may
/// be answered, and sessions about to meet at our relay; the oldest is forgotten first (C188).
#[cfg(feature = "accounts")]
pub const ASKS_OPEN_MAX: usize = 512;
/// An initiator that asks for the same target again within this time, though it was told a path,
/// tries another way: clients try several at once.
#[cfg(feature = "accounts")]
pub const ASK_AGAIN_MS: u64 = 5_000;
/// The same of one that was told no path yet, or asks for the relay: clients try a path for 18 s,
/// then the relay three times.
#[cfg(feature = "accounts")]
pub const RELAY_ASK_AGAIN_MS: u64 = 60_000;
/// A connection that a target reports belongs to the last ask for it, if that is no older.
#[cfg(feature = "accounts")]
pub const REPORT_JOINS_MS: u64 = 120_000;
/// Outcomes that are told of at once after one step; the rest is in the memory alone.
#[cfg(feature = "accounts")]
pub const CONNECTIONS_TOLD_MAX: usize = 64;
/// Outcomes that are told of within an hour, of one network and in all: of those who are trusted,
/// of others who were served, of others who were not. Of the last two a day's lines take less of a
/// file than comes in within a day by the default of `--writes-per-day`.
#[cfg(feature = "accounts")]
pub const TOLD_AN_HOUR: [[u16; 2]; 3] = [[600, 6_000], [30, 120], [16, 32]];

// A turn leaves no byte of the answer half filled.
const_assert!(ONLINE_IDS_PER_TURN.is_multiple_of(8));
const_assert!(UNPROVED_PENDING_MAX < NEWCOMERS_PENDING_MAX);
const_assert!(SAVES_PENDING_MAX <= BATCH_MAX);
// A peer that is here was heard in each span, so that few of them need be told apart.
const_assert!(ONLINE_MS < VOUCHED_MS && 2 * VOUCHED_MS < KNOWN_MS);
