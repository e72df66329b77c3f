//! Each claim of `src/vfs/SEMANTICS.md` has a test that quotes it, by its number and word for word.
//!
//! A quote is a line above the test: `// S`, the number, a colon and the claim. A long claim may be cut after at least
//! 40 characters. ` …` marks the cut.

use crate::support::sources::sources;
use std::{collections::BTreeSet, fs, path::Path};

/// Least length of a cut quote.
const LEAST_CHARACTERS: usize = 40;

#[derive(Debug, PartialEq)]
struct NumberedClaim {
    number: usize,
    text: String,
}

/// A comment line that looks like a quote.
#[derive(Debug)]
struct Quote {
    place: String,
    number: usize,
    text: String,
    is_above_a_test: bool,
}

/// Splits `text` at `end` into a number and the rest.
fn numbered<'a>(text: &'a str, end: &str) -> Option<(usize, &'a str)> {
    let (number, text) = text.split_once(end)?;
    Some((number.parse().ok()?, text))
}

/// Returns the claims of a text. A line that isn't indented ends a claim.
fn claims(text: &str) -> Vec<NumberedClaim> {
    let mut claims: Vec<NumberedClaim> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        if let Some((number, text)) = line.strip_prefix("- **S").and_then(|rest| numbered(rest, "** ")) {
            claims.push(NumberedClaim { number, text: text.to_owned() });
            goes_on = true;
        } else if let Some(claim) = claims.last_mut().filter(|_| goes_on && line.starts_with("  ")) {
            claim.text = format!("{} {}", claim.text, line.trim());
        } else {
            goes_on = false;
        }
    }
    claims
}

/// Returns the quotes in the source at `place`.
fn quotes(place: &str, source: &str) -> Vec<Quote> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let is_comment = |line: &str| line.starts_with("//") || line.starts_with("# ");
    let quote = |(index, line): (usize, &&str)| {
        let text = ["// S", "# S"].iter().find_map(|mark| line.strip_prefix(mark))?;
        let (number, text) = numbered(text, ": ")?;
        let below = lines[index..].iter().find(|line| !is_comment(line)).copied().unwrap_or_default();
        let is_above_a_test = ["#[", "fn ", "async fn ", "def test_"].iter().any(|start| below.starts_with(start));
        Some(Quote { place: format!("{place}:{}", index + 1), number, text: text.to_owned(), is_above_a_test })
    };
    lines.iter().enumerate().filter_map(quote).collect()
}

/// Returns the faults, one sentence each.
fn faults(claims: &[NumberedClaim], quotes: &[Quote]) -> Vec<String> {
    let mut faults = Vec::new();
    for (before, claim) in claims.iter().zip(claims.iter().skip(1)) {
        if claim.number <= before.number {
            faults.push(format!("SEMANTICS.md: S{} stands behind S{}: {}", claim.number, before.number, claim.text));
        }
    }
    for Quote { place, number, text, is_above_a_test } in quotes {
        let Some(claim) = claims.iter().find(|claim| claim.number == *number) else {
            faults.push(format!("{place}: there is no claim S{number}: {text}"));
            continue;
        };
        let is_quoted = match text.strip_suffix(" …") {
            Some(start) => start.chars().count() >= LEAST_CHARACTERS && claim.text.starts_with(start),
            None => *text == claim.text,
        };
        if !is_quoted {
            faults.push(format!("{place}: S{number} is quoted as `{text}`, and says `{}`", claim.text));
        }
        if !is_above_a_test {
            faults.push(format!("{place}: S{number} is quoted, but not directly above a test"));
        }
    }
    let held: BTreeSet<usize> = quotes.iter().map(|quote| quote.number).collect();
    let missing = claims.iter().filter(|claim| !held.contains(&claim.number));
    faults.extend(missing.map(|claim| format!("no test quotes S{}: {}", claim.number, claim.text)));
    faults
}

#[test]
fn every_claim_is_quoted_by_a_test_and_every_quote_is_a_claim() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let claims = claims(&fs::read_to_string(root.join("src/vfs/SEMANTICS.md")).unwrap());
    assert!(claims.len() >= 80, "only {} claims were found", claims.len());
    let mut found = Vec::new();
    for source in ["src", "tests"].iter().flat_map(|directory| sources(&root.join(directory), &["rs", "py"])) {
        let place = source.strip_prefix(root).unwrap().display().to_string();
        found.extend(quotes(&place, &fs::read_to_string(&source).unwrap()));
    }
    let faults = faults(&claims, &found);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn what_is_wrong_is_found() {
    let long = "A claim that goes on until it is too long for a line, and is cut.";
    let text =
        format!("# Title\n- **S1** Short,\n  over two lines.\n\n| a | table |\n- **S2** {long}\n- **S3** Third.\n");
    let claims = claims(&text);
    assert_eq!(claims[0], NumberedClaim { number: 1, text: "Short, over two lines.".into() });
    let faults_of = |source: &str| faults(&claims, &quotes("a.rs", source));
    // Joined here, so that this file itself holds no quote.
    let right = [
        "",
        &["//", "S1: Short, over two lines."].join(" "),
        &["//", "S2: A claim that goes on until it is too long for a …"].join(" "),
        "#[test]",
        "fn one() {}",
        &["#", "S3: Third."].join(" "),
        "def test_two(self):",
    ]
    .join("\n");
    assert_eq!(faults_of(&right), [""; 0]);
    for (was, is, found) in [
        ("Third", "Other", "a.rs:6: S3 is quoted as `Other.`, and says `Third.`"),
        (" goes on until it is too long for a", "", "a.rs:3: S2 is quoted as"),
        ("S3", "S4", "a.rs:6: there is no claim S4: Third."),
        ("S3: ", "", "no test quotes S3: Third."),
        ("def test_two", "x = ", "a.rs:6: S3 is quoted, but not directly above a test"),
    ] {
        let faults = faults_of(&right.replace(was, is));
        assert!(faults.iter().any(|fault| fault.starts_with(found)), "{was}: {faults:?}");
    }
    let disorder = self::claims(&text.replace("**S2**", "**S5**"));
    assert!(faults(&disorder, &[])[0].starts_with("SEMANTICS.md: S3 stands behind S5"));
}
