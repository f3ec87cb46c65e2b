//! JSON: whatever is written is read, whatever stands between, and whatever is read is written
//! again as the same. C175.

use hbb_core::base::json::{Value, Writer, quote};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use crate::check;

/// A value as a test makes it.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Null,
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Flag),
        any::<i64>().prop_map(Tree::Number),
        any::<String>().prop_map(Tree::Text),
    ];
    leaf.prop_recursive(8, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Tree::List),
            vec((any::<String>(), inner), 0..6).prop_map(Tree::Object),
        ]
    })
}

/// As text, with the next of `blanks` wherever blanks may stand.
fn spaced(tree: &Tree, blanks: &mut dyn Iterator<Item = &'static str>, text: &mut String) {
    text.push_str(blanks.next().unwrap());
    match tree {
        Tree::Null => text.push_str("null"),
        Tree::Flag(flag) => text.push_str(&flag.to_string()),
        Tree::Number(number) => text.push_str(&number.to_string()),
        // With all spelled out, as some clients do.
        Tree::Text(word) => quote(text, word, true),
        Tree::List(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                spaced(item, blanks, text);
            }
            text.push_str(&[blanks.next().unwrap(), "]"].concat());
        }
        Tree::Object(members) => {
            text.push('{');
            for (at, (name, item)) in members.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                spaced(&Tree::Text(name.clone()), blanks, text);
                text.push_str(&[blanks.next().unwrap(), ":"].concat());
                spaced(item, blanks, text);
            }
            text.push_str(&[blanks.next().unwrap(), "}"].concat());
        }
    }
    text.push_str(blanks.next().unwrap());
}

fn written(tree: &Tree, writer: &mut Writer) {
    match tree {
        Tree::Null => writer.raw("null"),
        Tree::Flag(flag) => writer.flag(*flag),
        Tree::Number(number) => writer.number(*number),
        Tree::Text(text) => writer.text(text),
        Tree::List(items) => {
            writer.open('[');
            items.iter().for_each(|item| written(item, writer));
            writer.close(']');
        }
        Tree::Object(members) => {
            writer.open('{');
            for (name, item) in members {
                writer.name(name);
                written(item, writer);
            }
            writer.close('}');
        }
    }
}

fn read(value: Value<'_>) -> Tree {
    if let Some(text) = value.text() {
        return Tree::Text(text.into());
    }
    if let Some(number) = value.number() {
        return Tree::Number(number);
    }
    match value.flag() {
        Some(flag) => Tree::Flag(flag),
        None if value.is_null() => Tree::Null,
        None if value.raw().starts_with('[') => Tree::List(value.items().map(read).collect()),
        None => Tree::Object(value.members().map(|(name, it)| (name.into(), read(it))).collect()),
    }
}

#[test]
fn c175_what_is_written_is_read_with_blanks_anywhere() {
    let blanks = vec(proptest::sample::select(&["", " ", "\t\r\n"][..]), 1..8);
    check(300, &(tree(), blanks), |(tree, blanks)| {
        let mut text = String::new();
        spaced(&tree, &mut blanks.iter().copied().cycle(), &mut text);
        assert_eq!(read(Value::parse(&text).expect(&text)), tree, "{text}");
        let mut writer = Writer::default();
        written(&tree, &mut writer);
        let text = writer.into_text();
        assert_eq!(read(Value::parse(&text).expect(&text)), tree, "{text}");
    });
}

#[test]
fn c175_what_is_cut_off_or_changed_is_refused_or_read_to_its_end() {
    check(300, &(tree(), any::<proptest::sample::Index>(), any::<char>()), |(tree, at, c)| {
        let mut text = String::new();
        spaced(&tree, &mut std::iter::repeat(""), &mut text);
        let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        places.push(text.len());
        let at = places[at.index(places.len())];
        let cut = text.split_at(at).0;
        let whole = matches!(tree, Tree::Number(_)) || at == text.len();
        if !whole {
            let wrong = Value::parse(cut).expect_err(cut);
            assert!(wrong.at <= cut.len());
        }
        text.insert(at, c);
        if let Ok(value) = Value::parse(&text) {
            // It says something, and that can be written.
            let mut writer = Writer::default();
            written(&read(value), &mut writer);
            assert!(Value::parse(&writer.into_text()).is_ok(), "{text}");
        }
    });
}
