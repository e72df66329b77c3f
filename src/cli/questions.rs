//! Questions on a terminal, for what a command line leaves out.

use super::table::escaped;
use anyhow::{Context as _, Result, ensure};
use std::io::{self, BufRead, Read as _, Stderr, StdinLock, Write};

/// The longest answer, in bytes. No setting is longer.
const MAX_ANSWER_BYTES: u64 = 4096;

/// An operator who answers questions. They go to stderr, so that stdout has the outcome alone.
pub(super) struct Questions<R, W> {
    answers: R,
    questions: W,
}

impl Questions<StdinLock<'static>, Stderr> {
    pub(super) fn on_terminal() -> Self {
        Self { answers: io::stdin().lock(), questions: io::stderr() }
    }
}

impl<R: BufRead, W: Write> Questions<R, W> {
    #[cfg(test)]
    pub(super) fn new(answers: R, questions: W) -> Self {
        Self { answers, questions }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn say(&mut self, line: &str) -> Result<()> {
        writeln!(self.questions, "{}", escaped(line)).context("the terminal can't be written to")
    }

    /// Asks until `parse` takes the answer, without the spaces around it. The error of `parse` follows a wrong answer.
    ///
    /// # Errors
    /// The input ends, or the terminal is gone.
    pub(super) fn ask<T, E: ToString>(&mut self, question: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<T> {
        loop {
            write!(self.questions, "{question}: ").context("the terminal can't be written to")?;
            self.questions.flush().context("the terminal can't be written to")?;
            let mut line = String::new();
            let bytes = (&mut self.answers).take(MAX_ANSWER_BYTES).read_line(&mut line);
            let bytes = bytes.context("the answer can't be read as UTF-8")?;
            ensure!(bytes > 0, "the input ended before this answer; nothing was changed");
            match parse(line.trim()) {
                Ok(answer) => return Ok(answer),
                Err(error) => self.say(&format!("  {}", error.to_string()))?,
            }
        }
    }

    /// Like [`Self::ask`]. An empty answer is none.
    ///
    /// # Errors
    /// The input ends, or the terminal is gone.
    pub(super) fn ask_optional<T, E: ToString>(
        &mut self,
        question: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>> {
        self.ask(question, |answer| if answer.is_empty() { Ok(None) } else { parse(answer).map(Some) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(answers: &[u8]) -> (Result<Option<u8>>, String) {
        let mut said = Vec::new();
        let answer = Questions::new(answers, &mut said).ask_optional("How many", str::parse);
        (answer, String::from_utf8(said).unwrap())
    }

    #[test]
    fn a_question_is_repeated_until_its_answer_is_right() {
        let (answer, said) = asked(b"x\n 300\n 7 \nrest");
        assert_eq!(answer.unwrap(), Some(7));
        let [wrong, large] = ["invalid digit found in string", "number too large to fit in target type"];
        assert_eq!(said, format!("How many:   {wrong}\nHow many:   {large}\nHow many: "));
        assert_eq!(asked(b"\n").0.unwrap(), None);
    }

    #[test]
    fn an_input_that_ends_or_has_no_end_ends_the_questions() {
        let ended = "the input ended before this answer; nothing was changed";
        assert_eq!(asked(b"").0.unwrap_err().to_string(), ended);
        assert_eq!(asked(b"x").0.unwrap_err().to_string(), ended);
        assert_eq!(asked(&[b'1'; 10_000]).0.unwrap_err().to_string(), ended);
        assert_eq!(asked(b"\xff\n").0.unwrap_err().to_string(), "the answer can't be read as UTF-8");
    }
}
