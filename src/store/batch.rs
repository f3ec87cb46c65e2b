//! The entries of a journal: how they and their batches lie in the file. It must not know which of
//! them count.
//!
//! Batch: `+`, length of the entries (3 bytes, little-endian), checksum (8 bytes, of the batch's
//! place in the file and the entries), entries. Entry: lengths of id and record (1 byte each), id,
//! record (`record.rs`); no record: the id is gone.

use std::fs::File;
use std::hash::Hasher as _;
use std::io::{BufReader, ErrorKind, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use siphasher::sip::SipHasher13;

use super::Error;
use super::record::RECORD_BYTES_MAX;
use crate::base::limits::{BATCH_MAX, PEER_ID_BYTES_MAX};

/// How every batch begins.
const MARK: u8 = b'+';
const HEAD_BYTES: usize = 12;
/// Longest entries of a batch.
pub(super) const ENTRIES_BYTES_MAX: usize = 64 * 1024;
/// Longest entries of a change: a rename is two.
pub(super) const CHANGE_BYTES_MAX: usize = 2 * (2 + PEER_ID_BYTES_MAX) + RECORD_BYTES_MAX;

static_assertions::const_assert!(BATCH_MAX * CHANGE_BYTES_MAX <= ENTRIES_BYTES_MAX);

/// What is done with each entry: id and record.
pub(super) type Each<'a> = &'a mut dyn FnMut(&str, &[u8]) -> Result<(), Error>;

/// Adds an entry to those of a batch.
pub(super) fn put(entries: &mut Vec<u8>, id: &str, record: &[u8]) -> Result<(), Error> {
    for len in [id.len(), record.len()] {
        entries.push(u8::try_from(len).map_err(|_| too_long())?);
    }
    entries.extend(id.as_bytes());
    entries.extend(record);
    Ok(())
}

const fn too_long() -> Error {
    Error::Io(ErrorKind::FileTooLarge)
}

/// Writes a batch at `at`; gives its bytes.
pub(super) fn append(file: &File, at: u64, entries: &[u8]) -> Result<u64, Error> {
    let len = u32::try_from(entries.len()).ok().filter(|_| entries.len() <= ENTRIES_BYTES_MAX);
    let [low, middle, high, _] = len.ok_or_else(too_long)?.to_le_bytes();
    let head = [MARK, low, middle, high];
    let batch = [&head[..], &checksum(at, entries), entries].concat();
    file.write_all_at(&batch, at)?;
    Ok(batch.len() as u64)
}

/// Of another place, so that no device can register what is taken for a batch.
fn checksum(at: u64, entries: &[u8]) -> [u8; 8] {
    let mut hasher = SipHasher13::new_with_keys(at, 0);
    hasher.write(entries);
    hasher.finish().to_le_bytes()
}

/// Gives every entry from `at` to the first batch that is not whole before `end`; where that is.
pub(super) fn batches(
    mut file: &File,
    mut at: u64,
    end: u64,
    each: Each<'_>,
) -> Result<u64, Error> {
    file.seek(SeekFrom::Start(at))?;
    let mut reader = BufReader::with_capacity(4096, file).take(end.saturating_sub(at));
    let mut entries = Vec::new();
    while read_batch(&mut reader, at, &mut entries)? {
        each_entry(&entries, each)?;
        at += (HEAD_BYTES + entries.len()) as u64;
    }
    Ok(at)
}

/// Reads the batch at `at` into `entries`; false if there is none, or not all of it.
fn read_batch(reader: &mut impl Read, at: u64, entries: &mut Vec<u8>) -> Result<bool, Error> {
    let mut head = [0; HEAD_BYTES];
    if !filled(reader, &mut head)? {
        return Ok(false);
    }
    let [mark, low, middle, high, sum @ ..] = head;
    let len = u32::from_le_bytes([low, middle, high, 0]) as usize;
    if mark != MARK || len > ENTRIES_BYTES_MAX {
        return Ok(false);
    }
    entries.resize(len, 0);
    Ok(filled(reader, entries)? && checksum(at, entries) == sum)
}

fn filled(reader: &mut impl Read, bytes: &mut [u8]) -> Result<bool, Error> {
    match reader.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn each_entry(mut bytes: &[u8], each: Each<'_>) -> Result<(), Error> {
    while let [id, record, rest @ ..] = bytes {
        let parted = rest.split_at_checked(usize::from(*id));
        let (id, rest) = parted.ok_or(Error::Damaged)?;
        let parted = rest.split_at_checked(usize::from(*record));
        let (record, rest) = parted.ok_or(Error::Damaged)?;
        each(core::str::from_utf8(id).map_err(|_| Error::Damaged)?, record)?;
        bytes = rest;
    }
    if bytes.is_empty() { Ok(()) } else { Err(Error::Damaged) }
}

/// Whether a whole batch begins somewhere behind `end`: then what lies there is no last batch that
/// a power cut left, and cutting it off would lose what was acknowledged.
pub(super) fn goes_on(mut file: &File, end: u64) -> Result<bool, Error> {
    let mut rest = Vec::new();
    file.seek(SeekFrom::Start(end))?;
    let most = (HEAD_BYTES + ENTRIES_BYTES_MAX) as u64;
    if file.take(most + 1).read_to_end(&mut rest)? as u64 > most {
        return Ok(true);
    }
    let mut entries = Vec::new();
    for (skipped, _) in rest.iter().enumerate().filter(|(_, byte)| **byte == MARK) {
        let mut from = rest.get(skipped..).unwrap_or_default();
        if read_batch(&mut from, end + skipped as u64, &mut entries)? {
            return Ok(true);
        }
    }
    Ok(false)
}
