//! Style as a test: what neither rustc nor clippy can say of the whole tree.
//!
//! Beside each rule a test shows that it finds a planted fault. A rule that is wrong is mended
//! here, not worked round.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::string_slice)] // a test may panic, anywhere in it

use source::File;
use std::sync::LazyLock;

#[path = "tidy/checks.rs"]
mod checks;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/pages.rs"]
mod pages;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/unused.rs"]
mod unused;
#[path = "tidy/words.rs"]
mod words;

/// Looks at all files and gives findings, `file:line: what to do`.
pub(crate) type Rule = fn(&[File]) -> Vec<String>;

/// What a rule finds in planted files, each a path and its text.
pub(crate) fn found(rule: Rule, files: &[(&str, &str)]) -> Vec<String> {
    rule(&files.iter().map(|(path, text)| File::new(path, text)).collect::<Vec<_>>())
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(source::tracked);

macro_rules! hold {
    ($($name:ident: $rule:path;)*) => { $(
        #[test]
        fn $name() {
            let found = $rule(&FILES);
            assert!(found.is_empty(), "\n{}\n", found.join("\n"));
        }
    )* };
}

hold! {
    knowledge_runs_downward: layers::upward;
    imports_go_in_no_circle: layers::circles;
    folders_are_small: layers::crowds;
    outside_crates_stay_in_their_files: layers::outside;
    outside_crates_are_known: layers::dependencies;
    the_page_names_each_layer_and_crate: layers::told;
    files_are_short_and_open_with_their_purpose: words::shape;
    file_names_say_what_is_inside: words::file_names;
    names_follow_the_vocabulary: words::identifiers;
    comments_leave_nothing_undone: words::unfinished;
    nothing_names_a_machine_or_a_registry: words::places;
    the_top_level_holds_only_what_is_agreed: tree::top_level;
    pages_of_folders_are_short: tree::readme_length;
    pages_and_comments_name_files_that_are_there: pages::paths;
    sections_that_are_cited_are_there: pages::sections;
    nothing_is_public_for_tests_alone: unused::public;
    every_reason_for_a_drop_is_given: unused::drop_reasons;
    the_page_of_checks_names_the_tests_there_are: checks::compare;
}
