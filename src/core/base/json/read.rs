//! Reading. Text is checked whole at first, by one loop that a stranger cannot make recurse; what
//! comes then looks at it in place, and passes over what it does not ask for. A list of 5,000 peers
//! takes no memory but that of its text. C175.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::base::limits::JSON_DEPTH_MAX;

/// A value: the text of it, which is known to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a>(&'a str);

/// The text is no JSON, is nested deeper than `JSON_DEPTH_MAX`, or goes on after the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson {
    /// The byte that does not fit.
    pub at: usize,
}

impl<'a> Value<'a> {
    #[cfg(any(feature = "accounts", feature = "testing"))]
    /// Nothing.
    pub const NULL: Self = Self("null");

    /// Checks `text`, whose length is for the caller to bound; blanks may stand around the value.
    ///
    /// # Errors
    /// `NotJson`
    pub fn parse(text: &'a str) -> Result<Self, NotJson> {
        let mut scan = Scan::new(text);
        let value = scan.value();
        match value {
            Some(value) if scan.mark().is_none() => Ok(value),
            _ => Err(NotJson { at: scan.at }),
        }
    }

    #[cfg(any(feature = "accounts", feature = "testing"))]
    /// Text that was checked before, or was written by [`super::Writer`]: other text says nothing
    /// that makes sense, and no more harm comes of it.
    pub(crate) const fn checked(text: &'a str) -> Self {
        Self(text)
    }

    /// Its text, as it was written.
    pub const fn raw(self) -> &'a str {
        self.0
    }

    /// What a string says; None if it is something else. Half of a surrogate pair, which only an
    /// escape can be, becomes U+FFFD.
    pub fn text(self) -> Option<Cow<'a, str>> {
        self.0.strip_prefix('"')?.strip_suffix('"').map(unescape)
    }

    /// A whole number without fraction or exponent that fits.
    pub fn number(self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// True or false.
    pub fn flag(self) -> Option<bool> {
        self.0.parse().ok()
    }

    #[cfg(any(feature = "accounts", feature = "testing"))]
    /// Whether it is nothing.
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// The first member of an object by this name; None if there is none, or it is no object.
    pub fn get(self, name: &str) -> Option<Self> {
        self.members().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    #[cfg(any(feature = "accounts", feature = "testing"))]
    /// The text of a member; None if there is none.
    pub fn text_of(self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.text()
    }

    #[cfg(any(feature = "accounts", feature = "testing"))]
    /// The values of a list that is a member; none if there is none.
    pub fn items_of(self, name: &str) -> impl Iterator<Item = Self> + use<'a> {
        self.get(name).unwrap_or(Self::NULL).items()
    }

    /// Names and values of an object, in their order; none if it is something else.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Self)> {
        let mut scan = Scan::within(self.0, b'{');
        core::iter::from_fn(move || {
            scan.next_begins(b'}')?;
            let from = scan.at;
            scan.string()?;
            let name = Value(scan.since(from)).text()?;
            scan.take(b':')?;
            Some((name, scan.value()?))
        })
    }

    /// The values of a list, in their order; none if it is something else.
    pub fn items(self) -> impl Iterator<Item = Self> {
        let mut scan = Scan::within(self.0, b'[');
        core::iter::from_fn(move || {
            scan.next_begins(b']')?;
            scan.value()
        })
    }
}

/// A place in a text.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// What is open around a place: a bit each, the innermost last, 1 for an object.
#[derive(Default)]
struct Around {
    objects: u32,
    depth: u32,
}

impl Around {
    fn open(&mut self, object: bool) -> Option<()> {
        self.depth += 1;
        self.objects = self.objects << 1 | u32::from(object);
        (self.depth <= JSON_DEPTH_MAX).then_some(())
    }

    const fn close(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    const fn is_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

impl<'a> Scan<'a> {
    const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Behind the bracket that `text` begins with; at its end if it begins with another.
    fn within(text: &'a str, bracket: u8) -> Self {
        let mut scan = Self::new(text);
        if scan.take(bracket).is_none() {
            scan.at = text.len();
        }
        scan
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes over blanks and gives what stands there.
    fn mark(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    /// Passes over blanks and this byte; None, and stays, where there is another.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.mark().filter(|found| *found == byte)?;
        self.at += 1;
        Some(())
    }

    /// What was passed over since `from`.
    fn since(&self, from: usize) -> &'a str {
        self.text.get(from..self.at).unwrap_or_default()
    }

    /// Goes to the next of what is inside brackets, None at the end.
    fn next_begins(&mut self, end: u8) -> Option<()> {
        let _ = self.take(b',');
        self.mark().filter(|found| *found != end).map(drop)
    }

    /// A whole value; where there is none it stays at what does not fit.
    fn value(&mut self) -> Option<Value<'a>> {
        self.mark();
        let (from, mut around) = (self.at, Around::default());
        loop {
            if !self.begin(&mut around)? && self.end(&mut around)? {
                return Some(Value(self.since(from)));
            }
        }
    }

    /// Where a value is due; whether one is due next, as this one is open.
    fn begin(&mut self, around: &mut Around) -> Option<bool> {
        let (object, end) = match self.mark()? {
            b'{' => (true, b'}'),
            b'[' => (false, b']'),
            _ => return self.scalar().map(|()| false),
        };
        around.open(object)?;
        self.at += 1;
        if self.take(end).is_some() {
            around.close();
            return Some(false);
        }
        if object {
            self.name()?;
        }
        Some(true)
    }

    /// Behind a value; whether all is closed. If not, a value is due next.
    fn end(&mut self, around: &mut Around) -> Option<bool> {
        while around.depth > 0 {
            let end = if around.is_object() { b'}' } else { b']' };
            if self.take(end).is_some() {
                around.close();
                continue;
            }
            self.take(b',')?;
            if around.is_object() {
                self.name()?;
            }
            return Some(false);
        }
        Some(true)
    }

    fn name(&mut self) -> Option<()> {
        self.mark();
        self.string()?;
        self.take(b':')
    }

    fn scalar(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.digits_all(),
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.strip_prefix(word)?;
        self.at += word.len();
        Some(())
    }

    fn digits_all(&mut self) -> Option<()> {
        self.skip(b'-');
        // No further digit may stand behind a zero that comes first.
        if !self.skip(b'0') {
            self.digits()?;
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            let _ = self.skip(b'+') || self.skip(b'-');
            self.digits()?;
        }
        Some(())
    }

    /// Passes over this byte, if it is next.
    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }

    fn string(&mut self) -> Option<()> {
        self.skip(b'"').then_some(())?;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let plain = rest.iter().position(|byte| matches!(byte, ..b' ' | b'"' | b'\\'));
            self.at += plain.unwrap_or(rest.len());
            match self.peek()? {
                b'"' => break,
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    fn escape(&mut self) -> Option<()> {
        self.at += 1;
        let mut length = 1;
        match self.peek()? {
            b'u' => length += 4,
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            _ => return None,
        }
        let digits = self.text.as_bytes().get(self.at + 1..self.at + length)?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
        self.at += length;
        Some(())
    }
}

/// What stands between the quotes, which was checked.
fn unescape(inner: &str) -> Cow<'_, str> {
    if !inner.as_bytes().contains(&b'\\') {
        return inner.into();
    }
    let (mut text, mut chars) = (String::with_capacity(inner.len()), inner.chars());
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { escaped(&mut chars) } else { c });
    }
    text.into()
}

/// The character that what follows a backslash stands for.
fn escaped(chars: &mut core::str::Chars<'_>) -> char {
    match chars.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => code(chars),
        other => other.unwrap_or_default(),
    }
}

/// The character that digits stand for, and the second half of its pair.
fn code(chars: &mut core::str::Chars<'_>) -> char {
    let high = unit(chars);
    let mut ahead = chars.clone();
    if (0xd800..0xdc00).contains(&high) && ahead.next() == Some('\\') && ahead.next() == Some('u') {
        let low = unit(&mut ahead);
        if (0xdc00..0xe000).contains(&low) {
            *chars = ahead;
            let code = 0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
            return char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
    }
    char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Four hexadecimal digits.
fn unit(chars: &mut core::str::Chars<'_>) -> u32 {
    let digits = chars.by_ref().take(4);
    digits.fold(0, |unit, digit| unit << 4 | digit.to_digit(16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;

    fn wrong_at(text: &str) -> usize {
        Value::parse(text).expect_err(text).at
    }

    #[test]
    fn c175_what_is_no_json_is_refused_where_it_is_wrong() {
        for (text, at) in [
            ("", 0),
            (" \n", 2),
            ("nul", 0),
            ("nulls", 4),
            ("[1,]", 3),
            ("[,1]", 1),
            ("[1 2]", 3),
            ("[1", 2),
            ("{\"a\"}", 4),
            ("{\"a\":}", 5),
            ("{\"a\":1,}", 7),
            ("{a:1}", 1),
            ("{\"a\":1]", 6),
            ("[1}", 2),
            ("]", 0),
            ("01", 1),
            ("-", 1),
            ("1.", 2),
            (".5", 0),
            ("1e+", 3),
            ("+1", 0),
            ("\"a", 2),
            ("\"\\x\"", 2),
            ("\"\\u12g4\"", 2),
            ("\"\\u12", 2),
            ("\"a\nb\"", 2),
            ("\"a\u{1}\"", 2),
            ("'a'", 0),
            ("1 // two", 2),
            ("\u{feff}1", 0),
            ("[1]\u{a0}", 3),
        ] {
            assert_eq!(wrong_at(text), at, "{text:?}");
        }
    }

    #[test]
    fn c175_nesting_ends_at_its_bound_and_costs_no_stack() {
        let depth = JSON_DEPTH_MAX as usize;
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Value::parse(&nested(depth)).is_ok());
        assert_eq!(wrong_at(&nested(depth + 1)), depth);
        assert_eq!(wrong_at(&"[".repeat(1_000_000)), depth);
        assert_eq!(wrong_at(&"{\"a\":".repeat(1_000_000)), 5 * depth);
    }

    #[test]
    fn values_are_what_they_say_and_nothing_else() {
        let value = |text| Value::parse(text).unwrap();
        assert_eq!(value(" -12 ").number(), Some(-12));
        for other in ["1.0", "1e3", "\"1\"", "9223372036854775808", "null", "[1]"] {
            assert_eq!(value(other).number(), None, "{other}");
        }
        assert_eq!((value("true").flag(), value("\"true\"").flag()), (Some(true), None));
        assert!(value("null").is_null() && value("null").text().is_none());
        assert_eq!(value(r#""""#).text().as_deref(), Some(""));
        assert_eq!(value("-0.5E-7").raw(), "-0.5E-7");
        assert_eq!(value("1").members().count() + value("{}").items().count(), 0);
        assert_eq!(value("{\"a\":[1]}").items().count() + value("[ ]").items().count(), 0);
    }

    #[test]
    fn members_and_items_come_in_their_order() {
        let text = r#" { "a" : [ 1 , {"b":[]} , "]" ] , "\u0062":{"a":2} ,"a":3} "#;
        let value = Value::parse(text).unwrap();
        let names: Vec<_> = value.members().map(|(name, value)| (name, value.raw())).collect();
        let expected = [("a", r#"[ 1 , {"b":[]} , "]" ]"#), ("b", r#"{"a":2}"#), ("a", "3")]
            .map(|(a, b)| (Cow::from(a), b));
        assert_eq!(names, expected);
        let items: Vec<_> = value.get("a").unwrap().items().map(Value::raw).collect();
        assert_eq!(items, ["1", r#"{"b":[]}"#, r#""]""#]);
        assert_eq!(value.get("b").and_then(|b| b.get("a")?.number()), Some(2));
        assert_eq!((value.get("c"), value.text_of("a")), (None, None));
    }

    #[test]
    fn escapes_are_read_and_halves_of_pairs_replaced() {
        for (text, meant) in [
            (r#""a\"\\\/\b\f\n\r\t""#, "a\"\\/\u{8}\u{c}\n\r\t"),
            (r#""\u00e4\ud83d\ude00!""#, "ä😀!"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ude00x""#, "\u{fffd}x"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\u005c\u0022""#, "\\\""),
            (r#""\\u0041""#, "\\u0041"),
            ("\"ä\u{7f}\"", "ä\u{7f}"),
        ] {
            assert_eq!(Value::parse(text).unwrap().text().as_deref(), Some(meant), "{text}");
        }
        assert!(matches!(Value::parse("\"plain\"").unwrap().text(), Some(Cow::Borrowed("plain"))));
    }
}
