//! Address books on their way to the store, and what that costs flash. C179.

use std::fs;

use hbb::store;
use hbb_core::accounts::books::BookCommand;
use hbb_core::accounts::{Accounts, Command, Effect, Effects, Input};
use hbb_core::base::conn::SaveOutcome;
use hbb_core::base::limits::AccountLimits;
use hbb_core::base::peer::Change;
use hbb_core::base::table::Seed;
use hbb_core::base::time::Time;

/// A book as it is stored, without entries.
const BOOK: (&[u8], &[u8]) =
    (b"b0000", br#"{"owner":"alice","name":"","note":"","shares":{},"tags":[]}"#);

fn table(count: usize) -> String {
    let row = |id: usize| {
        format!(
            "{},Reception {id},office;floor 1,DESKTOP-{id},Windows,reception-{id}\n",
            10_000 + id
        )
    };
    let rows: String = (0..count).map(row).collect();
    ["id,alias,tags,hostname,platform,username\n", &rows].concat()
}

/// The one change that taking in a table asks the store for.
fn change(accounts: &mut Accounts, table: String) -> Change {
    let mut effects = Effects::new();
    let import = Command::Book(BookCommand::Import("0000".into(), table, false));
    accounts.handle(Time::START, Input::Asked(import), &mut effects);
    let Some(Effect::Save { ticket, rows, .. }) = effects.pop_front() else { panic!("no rows") };
    assert!(effects.is_empty(), "told before it is durable, or in several commits");
    accounts.handle(Time::START, Input::Saved(ticket, SaveOutcome::Durable), &mut effects);
    assert!(matches!(effects.pop_front(), Some(Effect::Told(_))));
    Change::Rows(rows)
}

#[test]
fn c179_a_book_of_five_thousand_entries_is_one_commit_and_an_edit_some_pages() {
    let folder = std::env::temp_dir().join(format!("hbb-books-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("hbb.store");
    let mut store = store::open(&path).unwrap();
    let new = || {
        let mut accounts = Accounts::new(AccountLimits::default(), Seed(1, 2), [7; 32]);
        assert!(accounts.load(BOOK.0, Some(BOOK.1)));
        accounts
    };
    let mut accounts = new();
    let mut cost = |change: Change| {
        let before = store.written();
        store.commit(&[change]).unwrap();
        store.written() - before
    };
    let whole = cost(change(&mut accounts, table(5_000)));
    let edit = cost(change(&mut accounts, "id,alias\n12345,Gate\n".into()));
    println!("5,000 entries: {whole} bytes; an edit: {edit} bytes");
    assert!(whole < 3 << 20, "{whole} bytes");
    assert!(edit < 64 << 10, "{edit} bytes");

    // What is stored is what was there.
    drop(store);
    let mut again = new();
    let (mut entries, mut told) = (0, Effects::new());
    let mut take = |key: &[u8], value: &[u8]| entries += usize::from(again.load(key, Some(value)));
    store::open(&path).unwrap().rows(&mut take).unwrap();
    assert_eq!(entries, 5_001, "and the book, with its tags");
    let read = |accounts: &mut Accounts, effects: &mut Effects| {
        let export = Command::Book(BookCommand::Export("0000".into(), false, None));
        accounts.handle(Time::START, Input::Asked(export), effects);
        let Some(Effect::Told(told)) = effects.pop_front() else { panic!() };
        told
    };
    assert!(read(&mut again, &mut told) == read(&mut accounts, &mut told));
    fs::remove_dir_all(&folder).unwrap();
}
