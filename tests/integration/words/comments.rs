//! The sentences of comments, as plain text.
//!
//! Lines of comment that follow each other are one text, whatever their mark (`//`, `///`, `//!`). A blank line of
//! comment ends a paragraph, and blocks of code between fences are left out. A sentence ends with a paragraph, or at
//! `.`, `!`, `?`, `:` or `;` before a space. It counts if it begins with a letter, with a backtick or with `[`.

/// Stands for the end of a paragraph.
const PARAGRAPH: char = '¶';
/// A mark of Markdown before or after a sentence, such as that of a heading or of a list.
const MARKDOWN: [char; 4] = [' ', '#', '*', '-'];

/// Returns the sentences of the comments in `source`.
pub fn sentences(source: &str) -> Vec<String> {
    texts(source).iter().flat_map(|text| split(&without_code(text))).collect()
}

/// Returns the comments of `source`, each as one line.
fn texts(source: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut text = String::new();
    for line in source.lines() {
        let Some(comment) = line.trim_start().strip_prefix("//") else {
            texts.extend((!text.is_empty()).then(|| std::mem::take(&mut text)));
            continue;
        };
        let comment = comment.strip_prefix(['/', '!']).unwrap_or(comment).trim();
        text.push(' ');
        if comment.is_empty() { text.push(PARAGRAPH) } else { text.push_str(comment) }
    }
    texts.extend((!text.is_empty()).then_some(text));
    texts
}

/// Returns `text` without the code between fences. A fence that has no end is text.
fn without_code(text: &str) -> String {
    let parts: Vec<&str> = text.split("```").collect();
    let is_code = |at: usize| at % 2 == 1 && at + 1 < parts.len();
    parts.iter().enumerate().filter(|(at, _)| !is_code(*at)).map(|(_, part)| *part).collect()
}

fn split(text: &str) -> Vec<String> {
    let mut sentences = vec![String::new()];
    for letter in text.chars() {
        let sentence = sentences.last_mut().unwrap();
        let ends = letter.is_whitespace() && sentence.ends_with(['.', '!', '?', ':', ';']);
        if ends || letter == PARAGRAPH {
            sentences.push(String::new());
        } else {
            sentence.push(letter);
        }
    }
    let trimmed = sentences.iter().map(|sentence| sentence.trim_matches(MARKDOWN));
    trimmed.filter(|sentence| begins(sentence)).map(str::to_owned).collect()
}

fn begins(sentence: &str) -> bool {
    sentence.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '`' | '['))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_goes_over_lines_and_ends_at_code() {
        assert_eq!(
            sentences("//! One\n//! text.\nfn f() {}\n    // Another one\nlet x = 1; // not this"),
            ["One text.", "Another one"]
        );
    }

    #[test]
    fn sentences_end_at_punctuation_and_at_paragraphs() {
        assert_eq!(
            sentences("/// One: two; three. Four v1.2\n///\n/// # Five\n/// - six"),
            ["One:", "two;", "three.", "Four v1.2", "Five - six"]
        );
    }

    #[test]
    fn code_and_numbers_are_no_sentences() {
        assert_eq!(sentences("/// ```text\n/// What. Is. This\n/// ```\n/// `Code` is. 9 is none."), ["`Code` is."]);
        assert_eq!(sentences("let address = \"http://x\";"), [] as [&str; 0]);
    }
}
