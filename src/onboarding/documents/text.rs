//! JSON, HCL and shell words.

use crate::cloud::ascii_json;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use std::io::{self, Write};

/// Returns `value` as JSON on several lines. It is ASCII, because IAM takes no character above U+00FF.
pub(super) fn json(value: &impl Serialize) -> String {
    ascii_json(&utf8_json(value))
}

/// Returns `value` as JSON on several lines, in UTF-8.
pub(super) fn utf8_json(value: &impl Serialize) -> String {
    // The documents are structs, lists, and maps with string keys, which always have a JSON form.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Returns `value` as an expression of HCL. Its strings are UTF-8, because HCL has no escape for one half of a surrogate
/// pair.
///
/// Source: HCL native syntax specification, "Template literals".
pub(super) fn hcl(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    // As in `json`. Writing to a Vec never fails.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut text, HclFormatter(PrettyFormatter::new())));
    String::from_utf8(text).unwrap_or_default()
}

/// Returns `text` with the lines behind the first one indented.
pub(super) fn indented(text: &str, spaces: usize) -> String {
    text.replace('\n', &format!("\n{}", " ".repeat(spaces)))
}

/// Returns `text` as one word of a shell.
pub(super) fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Writes JSON as HCL: `"key" : value`, as `terraform fmt` does, and no template sequence in a string.
struct HclFormatter(PrettyFormatter<'static>);

impl Formatter for HclFormatter {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b" : ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        writer.write_all(fragment.replace("${", "$${").replace("%{", "%%{").as_bytes())
    }
}
