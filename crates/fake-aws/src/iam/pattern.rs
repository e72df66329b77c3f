//! IAM's patterns: `*` matches any characters including `/`, and `?` matches one. `${*}`, `${?}` and `${$}` stand for
//! the characters themselves. Any other `${…}` would be a policy variable, and is refused.

use super::MalformedPolicy;
use std::iter::Peekable;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Exactly(char),
    AnyOne,
    AnyNumber,
}

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Piece>);

impl Pattern {
    pub(crate) fn everything() -> Self {
        Self(vec![Piece::AnyNumber])
    }

    /// Parses a pattern with wildcards and escapes, as in `Resource` and `StringLike`.
    pub(crate) fn parse(text: &str) -> Result<Self, MalformedPolicy> {
        Self::read(text, |character| match character {
            '*' => Piece::AnyNumber,
            '?' => Piece::AnyOne,
            _ => Piece::Exactly(character),
        })
    }

    /// Parses a pattern in which `*` and `?` stand for themselves, as in `StringEquals`. Escapes still work.
    pub(crate) fn literal(text: &str) -> Result<Self, MalformedPolicy> {
        Self::read(text, Piece::Exactly)
    }

    fn read(text: &str, plain: impl Fn(char) -> Piece) -> Result<Self, MalformedPolicy> {
        let mut pieces = Vec::with_capacity(text.len());
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let escape = character == '$' && characters.peek() == Some(&'{');
            let piece = if escape { Piece::Exactly(escaped(&mut characters, text)?) } else { plain(character) };
            pieces.push(piece);
        }
        Ok(Self(pieces))
    }

    /// True if the pattern matches the whole of `text`.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut piece, mut at) = (0, 0);
        // Backtracking point (piece, character): behind the latest `*`, with one more character taken by the `*`.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(piece), text.get(at)) {
                (None, None) => return true,
                (Some(Piece::AnyNumber), _) => {
                    piece += 1;
                    retry = Some((piece, at + 1));
                }
                (Some(Piece::AnyOne), Some(_)) => (piece, at) = (piece + 1, at + 1),
                (Some(Piece::Exactly(wanted)), Some(there)) if wanted == there => (piece, at) = (piece + 1, at + 1),
                _ => match retry {
                    Some((behind, next)) if next <= text.len() => {
                        (piece, at) = (behind, next);
                        retry = Some((behind, next + 1));
                    }
                    _ => return false,
                },
            }
        }
    }
}

/// Reads `{…}` and returns the character that it stands for.
fn escaped(characters: &mut Peekable<std::str::Chars<'_>>, text: &str) -> Result<char, MalformedPolicy> {
    let variable = || MalformedPolicy::Variable(text.to_owned());
    match (characters.next(), characters.next(), characters.next()) {
        (Some('{'), Some(character @ ('*' | '?' | '$')), Some('}')) => Ok(character),
        _ => Err(variable()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(text)
    }

    #[test]
    fn wildcards_stand_for_any_characters() {
        for (pattern, text) in
            [("*", ""), ("p/*", "p/"), ("p/*", "p/a/b"), ("*b", "abb"), ("a?c", "aüc"), ("a*b*c", "abbbc")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("p/*", "p"), ("p/*", "p-x/a"), ("a?c", "ac"), ("P", "p"), ("a*b*c", "acb")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_missing_slash_and_a_missing_escape_reach_siblings() {
        assert!(matches("arn:aws:s3:::b/p*", "arn:aws:s3:::b/p-x/secret"));
        assert!(!matches("arn:aws:s3:::b/p/*", "arn:aws:s3:::b/p-x/secret"));
        assert!(matches("a*b/*", "aXb/secret"));
        assert!(!matches("a${*}b/*", "aXb/secret"));
        assert!(matches("a${*}b/*", "a*b/mine"));
        assert!(matches("${$}{*}", "${anything}") && matches("${?}", "?") && !matches("${?}", "x"));
        assert!(matches("a$b{c", "a$b{c"), "a dollar alone is one");
    }

    #[test]
    fn literals_know_escapes_but_no_wildcards() {
        let literal = |pattern: &str, text: &str| Pattern::literal(pattern).unwrap().matches(text);
        assert!(literal("a*b", "a*b") && literal("a${*}b", "a*b"));
        assert!(!literal("a*b", "aXb") && !literal("?", "x"));
    }

    #[test]
    fn variables_are_refused() {
        for text in ["${aws:username}", "x/${}", "${*", "${", "${**}", "${ *}"] {
            assert_eq!(Pattern::parse(text), Err(MalformedPolicy::Variable(text.to_owned())));
            assert!(Pattern::literal(text).is_err());
        }
    }

    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), there) => naive(rest, text) || there.is_some_and(|(_, text)| naive(pattern, text)),
            (Some((wanted, pattern)), Some((there, text))) => {
                (*wanted == '?' || wanted == there) && naive(pattern, text)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_what_a_naive_matcher_says(pattern in "[ab*?]{0,7}", text in "[ab]{0,9}") {
            let (shapes, characters): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), naive(&shapes, &characters));
        }
    }
}
