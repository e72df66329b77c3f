//! Adds and removes elements of a TOML array, with its layout and its comments kept.
//!
//! toml_edit attaches the text between two elements to the second one. A comment at the end of an element's line is
//! therefore in front of the next element, or in the array's trailing text. A comment belongs to an element if it is on
//! its line or directly above it.

use toml_edit::{Array, RawString, Value};

/// Appends `value`, on a line of its own if the last element has one.
pub(super) fn push(array: &mut Array, mut value: Value) {
    let Some(last) = array.len().checked_sub(1).and_then(|last| array.get_mut(last)) else {
        value.decor_mut().clear();
        array.push_formatted(value);
        return;
    };
    let prefix = text(last.decor().prefix()).to_owned();
    let suffix = text(last.decor().suffix()).to_owned();
    let Some((_, indent)) = prefix.rsplit_once('\n') else {
        last.decor_mut().set_suffix("");
        value.decor_mut().set_prefix(" ");
        value.decor_mut().set_suffix(suffix);
        array.push_formatted(value);
        return;
    };
    last.decor_mut().set_suffix("");
    let tail = format!("{suffix}{}", text(Some(array.trailing())));
    let end = tail.rsplit_once('\n').map_or("", |(_, end)| end);
    value.decor_mut().set_prefix(format!("{}\n{indent}", tail.trim_end()));
    value.decor_mut().set_suffix("");
    array.push_formatted(value);
    array.set_trailing_comma(true);
    array.set_trailing(format!("\n{end}"));
}

/// Removes the element at `index` with its comments.
pub(super) fn remove(array: &mut Array, index: usize) {
    let removed = array.remove(index);
    let (line, above) = at_line_end(text(removed.decor().prefix()));
    let kept = format!("{line}{}", before_own_comments(above));
    if let Some(next) = array.get_mut(index) {
        let following = text(next.decor().prefix()).to_owned();
        let prefix = match at_line_end(&following) {
            (_, "") if index == 0 => kept,
            (_, rest) => format!("{}{rest}", kept.strip_suffix('\n').unwrap_or(&kept)),
        };
        next.decor_mut().set_prefix(prefix);
        return;
    }
    let tail = format!("{}{}", text(removed.decor().suffix()), text(Some(array.trailing())));
    match tail.find('\n').and_then(|end| tail.get(end..)) {
        Some(rest) => {
            array.set_trailing_comma(true);
            array.set_trailing(format!("{}{rest}", kept.trim_end_matches(['\n', ' '])));
        }
        None => array.set_trailing(tail),
    }
    if array.is_empty() {
        array.set_trailing_comma(false);
    }
}

/// Splits the text in front of an element: the end of the line before it, and the lines above it, which begin with a
/// line break.
fn at_line_end(prefix: &str) -> (&str, &str) {
    prefix.find('\n').map_or((prefix, ""), |at| prefix.split_at(at))
}

/// Returns the text without the comments directly above the element, between which and it there is no empty line.
pub(super) fn before_own_comments(prefix: &str) -> &str {
    let mut kept = prefix.trim_end_matches([' ', '\t']);
    loop {
        let above = kept.strip_suffix('\n').unwrap_or(kept);
        let line = above.rsplit_once('\n').map_or(above, |(_, line)| line);
        if !line.trim_start().starts_with('#') {
            return kept;
        }
        kept = kept.get(..above.len().saturating_sub(line.len())).unwrap_or_default();
    }
}

/// Returns the text of a decoration. A document that may be edited has all of them as strings.
pub(super) fn text(raw: Option<&RawString>) -> &str {
    raw.and_then(RawString::as_str).unwrap_or_default()
}
