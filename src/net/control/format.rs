//! Answers as text for people and as JSON for programs, from one description. The names are part
//! of the documented schema. It must not know what it shows.

use hbb_core::base::text::{Quoted, is_invisible, named};

use hbb_core::base::json::quote;
use hbb_core::base::time::Utc;

/// What an answer is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Lines and columns.
    Text,
    /// One JSON object.
    Json,
}

/// A value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// Text, escaped where need be.
    Text(&'a str),
    /// A number that is written as it is.
    Decimal(&'a str),
    /// A whole number.
    Number(u64),
    /// Unix time; in text a date.
    Moment(u64),
    /// Yes or no.
    Flag(bool),
    /// Several numbers.
    Numbers(&'a [u16]),
    /// Not known, or none.
    Nothing,
}

/// An answer in the making.
pub(super) struct Output {
    form: Form,
    /// What is written and not yet taken.
    pub(super) text: String,
    /// Whether nothing stands yet in the object or list that is open.
    first: bool,
    /// Of the table that is open: names, each with its width in text.
    columns: Vec<(&'static str, usize)>,
}

/// Columns of names in text.
const NAME_CHARS: usize = 26;

impl Output {
    /// An empty one.
    pub(super) fn new(form: Form) -> Self {
        let text = if form == Form::Json { "{".into() } else { String::new() };
        Self { form, text, first: true, columns: Vec::new() }
    }

    /// A name and its value.
    pub(super) fn field(&mut self, name: &str, value: Value<'_>) {
        match self.form {
            Form::Json => {
                self.name(name);
                self.value(value);
            }
            Form::Text => {
                let from = self.text.len();
                self.text.push_str(&name.replace('_', " "));
                self.pad(from, NAME_CHARS);
                self.value(value);
                self.text.push('\n');
            }
        }
    }

    /// Several: names with a blank between, and a value for each.
    pub(super) fn fields(&mut self, names: &str, values: &[Value<'_>]) {
        names.split(' ').zip(values).for_each(|(name, value)| self.field(name, *value));
    }

    /// A name and what belongs together under it, as for [`Self::fields`].
    pub(super) fn group(&mut self, name: &str, names: &str, values: &[Value<'_>]) {
        match self.form {
            Form::Json => {
                self.name(name);
                self.open('{');
                self.fields(names, values);
                self.close('}');
            }
            Form::Text => {
                let from = self.text.len();
                self.text.push_str(&name.replace('_', " "));
                self.pad(from, NAME_CHARS);
                for (index, (name, value)) in names.split(' ').zip(values).enumerate() {
                    self.text.push_str(if index == 0 { "" } else { ", " });
                    self.value(*value);
                    self.text.push(' ');
                    self.text.push_str(name);
                }
                self.text.push_str(if values.is_empty() { "nothing\n" } else { "\n" });
            }
        }
    }

    /// Begins a table of columns with their widths in text, such as `id:17 user:0`; one without
    /// columns is of values.
    pub(super) fn table(&mut self, name: &str, columns: &'static str) {
        self.columns = named(columns);
        match self.form {
            Form::Json => {
                self.name(name);
                self.open('[');
            }
            Form::Text if columns.is_empty() => {}
            Form::Text => {
                let names: Vec<_> = self.columns.iter().map(|it| Value::Text(it.0)).collect();
                self.row(&names);
            }
        }
    }

    /// One row, a value for each column.
    pub(super) fn row(&mut self, values: &[Value<'_>]) {
        let columns = core::mem::take(&mut self.columns);
        let json = self.form == Form::Json;
        if json {
            self.comma();
        }
        if columns.is_empty() {
            values.iter().for_each(|value| self.value(*value));
        } else if json {
            self.open('{');
            for ((name, _), value) in columns.iter().zip(values) {
                self.field(name, *value);
            }
            self.close('}');
        } else {
            for ((_, width), value) in columns.iter().zip(values) {
                let from = self.text.len();
                self.value(*value);
                self.pad(from, *width);
            }
            self.text.truncate(self.text.trim_end().len());
        }
        if !json {
            self.text.push('\n');
        }
        self.columns = columns;
    }

    /// Ends a table.
    pub(super) fn end_table(&mut self) {
        if self.form == Form::Json {
            self.close(']');
        }
    }

    /// A name and a list of texts; for people a line each.
    pub(super) fn texts(&mut self, name: &str, texts: &[String]) {
        if self.form == Form::Text {
            return texts.iter().for_each(|text| self.field(name, Value::Text(text)));
        }
        self.table(name, "");
        texts.iter().for_each(|text| self.row(&[Value::Text(text)]));
        self.end_table();
    }

    /// Ends the answer.
    pub(super) fn end(&mut self) {
        if self.form == Form::Json {
            self.text.push_str("}\n");
        }
    }

    /// Whether people read it.
    pub(super) fn is_text(&self) -> bool {
        self.form == Form::Text
    }

    fn name(&mut self, name: &str) {
        self.comma();
        quote(&mut self.text, name, false);
        self.text.push(':');
    }

    fn comma(&mut self) {
        if !core::mem::take(&mut self.first) {
            self.text.push(',');
        }
    }

    fn open(&mut self, bracket: char) {
        self.text.push(bracket);
        self.first = true;
    }

    fn close(&mut self, bracket: char) {
        self.text.push(bracket);
        self.first = false;
    }

    /// A value alone.
    pub(super) fn value(&mut self, value: Value<'_>) {
        let json = self.form == Form::Json;
        match value {
            Value::Text(text) if json => quote(&mut self.text, text, false),
            // A terminal must not obey it.
            Value::Text(text) if text.chars().any(is_invisible) => {
                self.text.push_str(&Quoted(text).to_string());
            }
            Value::Text(text) | Value::Decimal(text) => self.text.push_str(text),
            Value::Moment(unix_secs) if !json => {
                self.text.push_str(&Utc { unix_secs }.in_one_word());
            }
            Value::Number(number) | Value::Moment(number) => {
                self.text.push_str(&number.to_string())
            }
            Value::Flag(yes) if json => self.text.push_str(if yes { "true" } else { "false" }),
            Value::Flag(yes) => self.text.push_str(if yes { "yes" } else { "no" }),
            Value::Nothing => self.text.push_str(if json { "null" } else { "-" }),
            Value::Numbers(numbers) => {
                self.text.push_str(if json { "[" } else { "" });
                for (index, number) in numbers.iter().enumerate() {
                    let between = if json { "," } else { " " };
                    self.text.push_str(if index == 0 { "" } else { between });
                    self.text.push_str(&number.to_string());
                }
                self.text.push_str(if json { "]" } else { "" });
            }
        }
    }

    /// Fills up to `width` characters since `from`, and at least one.
    fn pad(&mut self, from: usize, width: usize) {
        let written = self.text.get(from..).unwrap_or_default().chars().count();
        let blanks = width.saturating_sub(written).max(1);
        self.text.extend(core::iter::repeat_n(' ', blanks));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(form: Form) -> String {
        let mut out = Output::new(form);
        out.field("a_b", Value::Text("x\"\\\n"));
        out.group("g", "one two", &[Value::Number(1), Value::Nothing]);
        out.field("p", Value::Numbers(&[1, 2]));
        out.table("t", "id:4 on:4");
        out.row(&[Value::Text("abcdef"), Value::Flag(true)]);
        out.row(&[Value::Text("x"), Value::Flag(false)]);
        out.end_table();
        out.table("e", "");
        out.row(&[Value::Text("y")]);
        out.end_table();
        out.field("z", Value::Decimal("0.66"));
        out.end();
        out.text
    }

    #[test]
    fn one_description_gives_json_and_text() {
        assert_eq!(
            sample(Form::Json),
            "{\"a_b\":\"x\\\"\\\\\\u000a\",\"g\":{\"one\":1,\"two\":null},\"p\":[1,2],\
             \"t\":[{\"id\":\"abcdef\",\"on\":true},{\"id\":\"x\",\"on\":false}],\"e\":[\"y\"],\
             \"z\":0.66}\n"
        );
        let text = sample(Form::Text);
        assert!(text.contains("g                         1 one, - two\n"), "{text}");
        assert!(text.contains("id  on\nabcdef yes\nx   no\ny\n"), "{text}");
        assert!(
            text.starts_with("a b                       \"x\\u{22}\\u{5c}\\u{a}\"\n"),
            "{text}"
        );
    }
}
