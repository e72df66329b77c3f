//! Runs a test of this binary under callgrind, and reads the functions that it saw.

use std::{
    collections::BTreeSet,
    env, fs,
    io::ErrorKind,
    path::Path,
    process::{Command, Stdio},
};

/// A part of callgrind's output: all that ran since the part before it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OutputPart {
    /// The function before whose call the part ended. Empty at the end of the process.
    pub ended_before: String,
    /// The lines that ran, as pairs of a file's path and a number.
    pub lines: BTreeSet<(String, usize)>,
}

/// Runs `test` alone. A part of the output ends before each call of a function that one of `ends` matches: a name in which
/// `*` stands for any letters.
pub fn watch(test: &str, ends: &[&str]) -> Vec<OutputPart> {
    let directory = tempfile::tempdir().unwrap();
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-line=yes", "--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", directory.path().join("out").display()))
        .args(ends.iter().map(|end| format!("--dump-before={end}")))
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .stdin(Stdio::null())
        .output();
    let done = match done {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("valgrind isn't installed: scripts/test installs it, and so does `apt-get install valgrind`")
        }
        done => done.unwrap(),
    };
    let said = [&done.stdout[..], &done.stderr].map(String::from_utf8_lossy).concat();
    assert!(done.status.success() && said.contains("test result: ok. 1 passed"), "{said}");
    parts(directory.path())
}

/// True if the function `name` matches `pattern`, which has a `*` for any letters.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = name;
    let (first, others) = pattern.split_once('*').unwrap_or((pattern, ""));
    let Some(behind) = rest.strip_prefix(first) else { return false };
    rest = behind;
    let Some((middle, last)) = others.rsplit_once('*').or(pattern.contains('*').then_some(("", others))) else {
        return rest.is_empty();
    };
    for piece in middle.split('*') {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// Reads the parts in `directory`, in their order.
fn parts(directory: &Path) -> Vec<OutputPart> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        parts.push(parse(&text));
    }
    parts.sort_by_key(|(number, _)| *number);
    parts.into_iter().map(|(_, part)| part).collect()
}

/// Parses a part. Returns its number too.
fn parse(text: &str) -> (usize, OutputPart) {
    let (mut number, mut part, mut file) = (0, OutputPart::default(), "");
    for line in text.lines() {
        // `fi` and `fe` name the files of inlined code and of the code behind it.
        let of_file = ["fl=", "fi=", "fe="].iter().find_map(|key| line.strip_prefix(key));
        if let Some(name) = of_file {
            file = name;
        } else if let Some(digits) = line.strip_prefix("part: ") {
            number = digits.parse().unwrap();
        } else if let Some(function) = line.strip_prefix("desc: Trigger: --dump-before=") {
            function.clone_into(&mut part.ended_before);
        } else if let Some(number) = line.split(' ').next().and_then(|first| first.parse().ok())
            // Code that belongs to no line has the number 0, and the crate's first file.
            && number > 0
        {
            part.lines.insert((file.to_owned(), number));
        }
    }
    (number, part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_its_end_and_the_lines_that_ran() {
        let text = "version: 1\npart: 12\ndesc: Trigger: --dump-before=a::b\nevents: Ir\n\nob=x\nfl=/a.rs\nfn=f\n7 3\n\
                    cfi=/c.rs\ncfn=g\ncalls=1 99\n8 100\nfi=/b.rs\n0 1\n9 1\nfe=/a.rs\n10 1\n";
        let lines = [("/a.rs", 7), ("/a.rs", 8), ("/a.rs", 10), ("/b.rs", 9)];
        let lines = lines.map(|(file, line)| (file.to_owned(), line)).into();
        assert_eq!(parse(text), (12, OutputPart { ended_before: "a::b".to_owned(), lines }));
    }

    #[test]
    fn a_star_matches_any_letters() {
        let name = "<a::B as c::D>::put";
        for pattern in ["<a::B as c::D>::put", "*::B as *::D>::put", "*put", "<a::B*"] {
            assert!(matches(pattern, name), "{pattern}");
        }
        for pattern in ["<a::B", "*::B as *::E>::put", "*::D>::put*::B", "put"] {
            assert!(!matches(pattern, name), "{pattern}");
        }
    }
}
