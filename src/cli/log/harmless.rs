//! Escapes characters in log lines. No line shows, or decodes to, a character that breaks it, reverses it or moves the
//! cursor, whatever its source and whatever a client names a file.

use crate::config::LogFormat;
use std::{borrow::Cow, fmt::Write as _};

/// Returns `line`, which ends with its line break, with such characters escaped.
pub(super) fn harmless(line: &str, format: LogFormat) -> Cow<'_, str> {
    let body = line.strip_suffix('\n').unwrap_or(line);
    let harmed = match format {
        LogFormat::Human => body.contains(is_harmful),
        LogFormat::Json => body.contains(|c| is_harmful(c) || c == '\\'),
    };
    if !harmed {
        return line.into();
    }
    let mut shown = match format {
        LogFormat::Human => human(body),
        LogFormat::Json => json(body),
    };
    shown.push('\n');
    shown.into()
}

/// Keeps colours: they come from the formatter, and are harmless anywhere else.
fn human(body: &str) -> String {
    let mut shown = String::with_capacity(body.len());
    for (at, character) in body.char_indices() {
        if is_harmful(character) && !body.get(at..).is_some_and(begins_with_colour) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// True if `text` begins with a terminal's sequence that sets colours: ESC, `[`, numbers, `m`.
fn begins_with_colour(text: &str) -> bool {
    let numbers = |c: char| c.is_ascii_digit() || c == ';';
    text.strip_prefix("\x1b[").is_some_and(|rest| rest.trim_start_matches(numbers).starts_with('m'))
}

/// Adds a second backslash to JSON's own escapes of control characters, so that they decode to text.
fn json(body: &str) -> String {
    let mut shown = String::with_capacity(body.len());
    let mut characters = body.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            let escaped = characters.next();
            shown.push_str(if matches!(escaped, Some('"' | '\\' | '/')) { "\\" } else { "\\\\" });
            shown.extend(escaped);
        } else if is_harmful(character) {
            // Writing to a String never fails.
            let _ = write!(shown, "\\\\u{{{:x}}}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// True for control characters, line and paragraph separators, and format characters (Unicode's Cc, Zl, Zp and Cf).
pub(in crate::cli) fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_lines_are_not_touched() {
        for line in ["2026-01-01 INFO path=\"/a \\\"b\\\"\"\n", "INFO 東京 Zoe\u{308}\n", "\x1b[2mtime\x1b[0m\n"] {
            assert_eq!(harmless(line, LogFormat::Human), line);
        }
        let line = "{\"path\":\"/a \\\"b\\\" \\\\u{202e}\"}\n";
        assert_eq!(harmless(line, LogFormat::Json), line);
    }

    #[test]
    fn what_is_harmful_is_shown() {
        assert_eq!(harmless("\x1b[2K\x1b]0;title\x07\n", LogFormat::Human), "\\u{1b}[2K\\u{1b}]0;title\\u{7}\n");
        assert_eq!(harmless("a\rb\u{2028}c\n\n", LogFormat::Human), "a\\rb\\u{2028}c\\n\n");
        let line = harmless("{\"key\":\"a\\nb\\u001b\u{202e}\\\"\"}\n", LogFormat::Json).into_owned();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["key"], "a\\nb\\u001b\\u{202e}\"");
    }
}
