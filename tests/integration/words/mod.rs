//! The words of the code. Names use the words of the SFTP draft, the SSH RFCs, S3's API and tokio, and none means two
//! things. Comments are sentences with a subject.

mod comments;
mod definitions;

use crate::support::sources::sources;
use definitions::{Definition, ItemKind, definitions, words};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Words that no name may contain, each in all its forms, with the word to use.
///
/// Some words that the style guide replaces are not here, because the field uses them in another sense: `client` and
/// `message` (of an error), `cache`, `move`, `base` (of a path), `notes`, `chunked`, and `partial` (RFC 4252's partial
/// success, a partial upload). A form is left out for the same reason: `later` compares times, a `marker` stands for a
/// directory.
const BANNED: &[(&[&str], &str)] = &[
    (&["packet", "packets"], "request, reply; frame for the bytes of either"),
    (&["fd", "fds"], "handle"),
    (&["chunk", "chunks"], "part"),
    (&["customer", "customers"], "tenant"),
    (&["root_dir", "root_dirs"], "mount"),
    (&["object_path", "object_paths"], "key"),
    (&["delete_file", "delete_files", "deleted_file", "deleted_files"], "remove"),
    (&["src"], "source"),
    (&["dst"], "target"),
    (&["util", "utils"], "the noun of what the module holds"),
    (&["common"], "the noun of what the module holds"),
    (&["helper", "helpers"], "the noun of what the module holds"),
    (&["manager", "managers"], "the noun of what the type is"),
    (&["seen"], "stat_cache"),
    (&["sight", "sights"], "stat_cache"),
    (&["late"], "attribute_overlay"),
    (&["noted"], "attribute_overlay"),
    (&["kept"], "attribute_overlay, cached, retained"),
    (&["live", "lives"], "open_uploads"),
    (&["ahead"], "prefetch"),
    (&["early"], "prefetch"),
    (&["taken"], "resumed, in_use"),
    (&["anew"], "origin"),
    (&["patched"], "origin"),
    (&["gapless"], "origin"),
    (&["flying", "flies", "flew", "flown"], "in_flight"),
    (&["held"], "leased; the noun of a permit"),
    (&["tend", "tends", "tended", "tending"], "lease_keeper"),
    (&["slot", "slots"], "pending_reply"),
    (&["mark", "marks", "marked"], "outstanding_request"),
    (&["runs"], "read_queue"),
    (&["intake", "intakes"], "write_brake"),
    (&["allowance", "allowances"], "upload_memory"),
    (&["unstored"], "failed_uploads"),
    (&["unsaid"], "suppressed"),
    (&["strike", "strikes", "struck", "striking"], "delete"),
    (&["believe", "believes", "believed", "believing"], "confirm_own_write"),
    (&["settle", "settles", "settled", "settling"], "finish"),
    (&["cut", "cuts", "cutting"], "split, truncated, disconnected, interrupted"),
    (&["beginner", "beginners"], "owner_lookup"),
    (&["give_up", "gives_up", "gave_up", "given_up", "giving_up"], "abandon, abort"),
    (&["go_on", "goes_on", "went_on", "gone_on", "going_on"], "resume"),
    (&["under_way"], "in_flight"),
];

/// Names with a banned word that another standard or a key of the config has: file, name, reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("src/account/mod.rs", "fetch_ahead", "a key of a tenant's file"),
    ("src/account/mod.rs", "partial_uploads_kept_for", "a key of a tenant's file"),
    ("src/account/mod.rs", "DEFAULT_PARTIAL_UPLOADS_KEPT_FOR", "a key of a tenant's file"),
    ("src/ssh/configs.rs", "MAX_PACKET_BYTES", "RFC 4253 calls the unit of SSH a packet"),
    ("src/ssh/greeting.rs", "packet_bytes", "RFC 4253 calls the unit of SSH a packet"),
    ("src/sftp/wire/extension.rs", "max_packet_bytes", "limits@openssh.com has the field max-packet-length"),
    ("tests/bench/bare/main.rs", "packets", "RFC 4253 calls the unit of SSH a packet"),
    ("tests/bench/bare/packets.rs", "PACKET_BYTES", "RFC 4253 calls the unit of SSH a packet"),
    ("tests/bench/bare/packets.rs", "packet", "RFC 4253 calls the unit of SSH a packet"),
];

/// Types that every layer has under the same name.
const ONE_A_LAYER: [&str; 2] = ["Error", "Result"];

#[test]
fn names_use_the_words_of_the_field() {
    let files = files();
    let faults: Vec<String> = files.iter().flat_map(|(path, found)| banned_words(path, found)).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn a_type_name_means_one_thing() {
    let faults = repeated_types(&files());
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn sentences_of_comments_have_a_subject() {
    let texts = paths().into_iter().map(|path| fs::read_to_string(path).unwrap());
    let sentences: Vec<String> = texts.flat_map(|text| comments::sentences(&text)).collect();
    let clauses: Vec<&String> = sentences.iter().filter(|sentence| begins_with_a_clause(sentence)).collect();
    assert!(clauses.len() * 50 < sentences.len(), "{} of {}:\n{clauses:#?}", clauses.len(), sentences.len());
}

#[test]
fn exceptions_exist() {
    let files = files();
    for (path, name, _) in ALLOWED {
        let exists = files.get(*path).is_some_and(|found| found.iter().any(|definition| definition.name == *name));
        assert!(exists, "{path} has no {name} any more: remove it from the list");
    }
}

/// The definitions of all files, by their paths below the root of the repository.
fn files() -> BTreeMap<String, Vec<Definition>> {
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let found = definitions(&name, &fs::read_to_string(&path).unwrap());
        (name, found)
    };
    paths().into_iter().map(read).collect()
}

/// The source files of the product, of the crates beside it, and of their tests.
fn paths() -> Vec<PathBuf> {
    ["src", "crates", "tests"].iter().flat_map(|directory| sources(&root().join(directory), &["rs"])).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns a line for each banned word in the names of a file.
fn banned_words(path: &str, found: &[Definition]) -> Vec<String> {
    let mut faults = Vec::new();
    for Definition { line, kind, name } in found {
        if ALLOWED.iter().any(|(file, excepted, _)| file == &path && excepted == name) {
            continue;
        }
        let words = words(name);
        for (forms, instead) in BANNED {
            faults.extend(
                forms
                    .iter()
                    .filter(|form| contains(&words, form))
                    .map(|form| format!("{path}:{line}: {name}: instead of {form}: {instead}")),
            );
        }
        if *kind == ItemKind::Function && words.len() > 1 && words[0] == "get" {
            faults.push(format!("{path}:{line}: {name}: the name without get_"));
        }
    }
    faults
}

fn contains(words: &[String], form: &str) -> bool {
    let form: Vec<&str> = form.split('_').collect();
    words.windows(form.len()).any(|words| words == form)
}

/// True if a clause stands where a sentence has its subject: its actor is then missing or far away.
fn begins_with_a_clause(sentence: &str) -> bool {
    let first = sentence.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next();
    ["What", "Whatever", "Where", "Wherever", "Whether", "Who", "Whoever", "Whose"].map(Some).contains(&first)
}

/// Returns a line for each name of several types, with their places.
fn repeated_types(files: &BTreeMap<String, Vec<Definition>>) -> Vec<String> {
    let mut types = BTreeMap::<&str, Vec<(&str, usize)>>::new();
    for (path, found) in files {
        for Definition { line, name, .. } in found.iter().filter(|definition| definition.kind == ItemKind::Type) {
            types.entry(name).or_default().push((path, *line));
        }
    }
    types.retain(|name, places| places.len() > 1 && !ONE_A_LAYER.contains(name));
    let faults = types.iter().map(|(name, places)| {
        let places: Vec<String> = places.iter().map(|(path, line)| format!("{path}:{line}")).collect();
        format!("{name} means {} things: {}", places.len(), places.join(", "))
    });
    faults.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> usize {
        banned_words(path, &definitions(path, text)).len()
    }

    #[test]
    fn banned_words_are_found_in_any_case_and_only_as_whole_words() {
        assert_eq!(faults("src/ssh/x.rs", "struct CutStream; fn cut() {} const CUT: u8 = 0; mod cut {}"), 4);
        assert_eq!(faults("src/ssh/x.rs", "struct Cutter; fn shortcut() {} fn execute() {}"), 0);
        assert_eq!(faults("src/ssh/x.rs", "fn give_up_now() {} fn give() {} fn up() {}"), 1);
    }

    #[test]
    fn banned_words_are_found_in_their_other_forms_and_in_tests() {
        let text = "struct Slots; mod cuts {} fn is_given_up() {} fn what_goes_on() {} enum E { Settled }";
        assert_eq!((faults("src/ssh/x.rs", text), faults("tests/integration/x.rs", text)), (5, 5));
        assert_eq!(faults("tests/integration/x.rs", "fn given() {} fn is_later() {} struct Marker;"), 0);
    }

    #[test]
    fn a_function_with_the_prefix_get_is_a_fault() {
        assert_eq!(faults("src/ssh/x.rs", "fn get_user() {}"), 1);
        assert_eq!(faults("src/ssh/x.rs", "fn get() {} struct GetObject; fn target() {}"), 0);
    }

    #[test]
    fn an_exception_is_one_name_of_one_file() {
        assert_eq!(faults("src/ssh/configs.rs", "const MAX_PACKET_BYTES: u32 = 1; fn packet() {}"), 1);
        assert_eq!(faults("src/ssh/x.rs", "const MAX_PACKET_BYTES: u32 = 1;"), 1);
    }

    /// Returns the names of several types, of files with these paths and texts.
    fn repeated(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), definitions(path, text))).collect();
        repeated_types(&files).iter().map(|fault| fault.split(' ').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_type_may_have_its_name_alone() {
        assert_eq!(
            repeated(&[("src/ssh/x.rs", "struct A;"), ("src/cli/y.rs", "enum A {} fn B() {} mod c { type A = u8; }")]),
            ["A"]
        );
        assert_eq!(
            repeated(&[("src/ssh/x.rs", "struct A; mod b {}"), ("src/cli/y.rs", "fn A() {} enum B { A }")]),
            [] as [&str; 0]
        );
    }

    #[test]
    fn a_clause_is_a_word_of_its_own_at_the_beginning() {
        assert!(begins_with_a_clause("What it does.") && begins_with_a_clause("Whose it is;"));
        assert!(!begins_with_a_clause("Whole files.") && !begins_with_a_clause("It does what it says."));
    }

    #[test]
    fn errors_are_one_a_layer() {
        assert_eq!(repeated(&[("src/ssh/x.rs", "enum Error {}"), ("src/cli/y.rs", "enum Error {}")]), [] as [&str; 0]);
    }
}
