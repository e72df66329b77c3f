//! The files and types through which a newcomer follows a WRITE or a READ. callgrind sees the functions of a debug build
//! that run for one request. Their files count, and the product's structs, enums and traits in their signatures.
//!
//! A path begins where russh calls `Handler::data`. It ends where russh gets the reply, or at `Bucket::put`. The READ asks
//! the bucket for bytes that the OPEN didn't fetch. The functions that run for each packet of SSH don't count: they also
//! run for a request of SSH's own. The bucket doesn't count either, because it is a double.

mod callgrind;
mod imports;
mod signatures;
mod transfer;

use crate::layering::product::product;
use callgrind::{OutputPart, matches, watch};
use signatures::Signatures;
use std::{collections::BTreeSet, fmt, path::Path};

/// The doubles for tests, which count neither as files nor for their types.
const DOUBLES: &str = "testing/";

/// The functions at which callgrind ends parts. Of two patterns that begin alike it knows one.
const ENDS: [&str; 2] = ["*request_path::transfer::*_begins", "*MemoryBucket as *Bucket>::*"];

const PING: &str = "*::ping_begins";
const WRITE: &str = "*::write_begins";
const CLOSE: &str = "*::close_begins";
const PUT: &str = "*Bucket>::put";
const READ: &str = "*::read_begins";
const GET: &str = "*Bucket>::read";
const CHECK: &str = "*::check_begins";

/// The largest numbers of files and types. The goal of both requests is 20 files and 25 types: a number that falls
/// becomes the new limit, and none may grow. It grew once, by the three files and eight types that put an upload on the
/// record before S3 is told to publish it.
const MAX_TO_PUBLISH: Reached = Reached { files: 64, types: 129 };
const MAX_TO_READ: Reached = Reached { files: 35, types: 64 };

/// The numbers of files and types on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reached {
    files: usize,
    types: usize,
}

/// The files and types on the path of a request.
struct RequestPath {
    files: BTreeSet<String>,
    types: BTreeSet<String>,
}

#[test]
fn a_write_and_a_read_pass_few_files_and_types() {
    let parts = watch(transfer::TEST, &ENDS);
    let signatures = Signatures::of(&product(&root().join("src")));
    let asks_bucket = between(&parts, READ, CHECK).iter().any(|part| matches(GET, &part.ended_before));
    assert!(asks_bucket, "the READ was answered from memory");
    let functions = |begin, end| functions(between(&parts, begin, end), &signatures);
    let of_ssh = functions(PING, WRITE);
    let path = |functions: &BTreeSet<Function>| RequestPath::of(functions - &of_ssh, &signatures);
    let (write, close, read) = (functions(WRITE, CLOSE), functions(CLOSE, PUT), functions(READ, CHECK));
    println!("WRITE alone: {}", path(&write));
    let (publish, read) = (path(&(&write | &close)), path(&read));
    for path in [&publish, &read] {
        assert!(path.files.contains("ssh/handler.rs"), "callgrind names the files otherwise: {:#?}", parts[0].lines);
    }
    // A test that fails shows the lists.
    println!("WRITE, and CLOSE until Bucket::put: {publish}\nREAD: {read}");
    assert!(publish.is_within(MAX_TO_PUBLISH), "WRITE and CLOSE exceed {MAX_TO_PUBLISH:?}: {publish}");
    assert!(read.is_within(MAX_TO_READ), "READ exceeds {MAX_TO_READ:?}: {read}");
}

/// A function's file below `src/`, and its first line. Code outside of functions, such as that of a `derive`, has its own
/// line.
type Function = (String, usize);

/// Returns the parts from the call of one function to the next call of the other.
fn between<'a>(parts: &'a [OutputPart], begin: &str, end: &str) -> &'a [OutputPart] {
    let behind = |parts: &[OutputPart], name| parts.iter().position(|part| matches(name, &part.ended_before));
    let ends: Vec<&String> = parts.iter().map(|part| &part.ended_before).collect();
    let first = behind(parts, begin).unwrap_or_else(|| panic!("callgrind saw no {begin}, but {ends:#?}")) + 1;
    let length =
        behind(&parts[first..], end).unwrap_or_else(|| panic!("{end} isn't behind {begin}, but {ends:#?}")) + 1;
    &parts[first..first + length]
}

/// Returns the product's functions that ran in `parts`.
fn functions(parts: &[OutputPart], signatures: &Signatures) -> BTreeSet<Function> {
    let sources = root().join("src");
    let lines = parts.iter().flat_map(|part| &part.lines).filter_map(|(file, line)| {
        let file = Path::new(file).strip_prefix(&sources).ok()?.to_str()?;
        Some((file.to_owned(), signatures.function_at(file, *line).unwrap_or(*line)))
    });
    lines.filter(|(file, _)| !file.starts_with(DOUBLES)).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl RequestPath {
    fn of(functions: BTreeSet<Function>, signatures: &Signatures) -> Self {
        let types = functions.iter().flat_map(|(file, line)| signatures.types_at(file, *line)).collect();
        Self { types, files: functions.into_iter().map(|(file, _)| file).collect() }
    }

    fn is_within(&self, max: Reached) -> bool {
        self.files.len() <= max.files && self.types.len() <= max.types
    }
}

impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files {:#?} and {} types {:#?}", self.files.len(), self.files, self.types.len(), self.types)
    }
}
