//! Output for people: tables, and text of others with no control characters.

use super::log::is_harmful;
use serde::Serialize;
use std::fmt::Write as _;

/// The longest text in a cell, in characters.
const MAX_CELL: usize = 120;

/// Returns `text` with the characters escaped that could move a terminal's cursor or reverse a line.
pub(super) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Returns a table with aligned columns. Cells are escaped, and cut if they are long.
pub(super) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let rows: Vec<[String; COLUMNS]> =
        rows.iter().map(|row| row.each_ref().map(|cell| shortened(&escaped(cell)))).collect();
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    let mut table = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a String never fails.
            let _ = write!(line, "{cell:width$}  ");
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

fn shortened(cell: &str) -> String {
    match cell.char_indices().nth(MAX_CELL) {
        Some((end, _)) => format!("{}…", cell.get(..end).unwrap_or_default()),
        None => cell.to_owned(),
    }
}

/// Returns `value` as one line of JSON, in which such characters are escaped too.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<String> {
    let mut shown = String::new();
    for character in serde_json::to_string(value)?.chars() {
        if is_harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String never fails.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_moves_the_cursor_or_shifts_the_columns() {
        let rows = [["NAME", "KEY"], ["a\u{1b}[2J", "x"], ["b\u{202e}", "é"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "NAME        KEY\na\\u{1b}[2J  x\nb\\u{202e}   é\n");
        let long = table(&[["x".repeat(1_000)]]);
        assert_eq!(long.chars().count(), MAX_CELL + 2, "{long}");
    }

    #[test]
    fn json_decodes_to_the_text_and_has_no_such_character() {
        let text = "a\u{1b}\u{202e}\u{e0001}\n\"";
        let shown = json(&text).unwrap();
        assert!(shown.is_ascii() && !shown.contains('\n'), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }
}
