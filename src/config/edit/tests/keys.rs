//! Keys of a user: in lists of every layout, and their names.

use super::{super::document::TenantDocument, KeyLine, key, key_line, name};

/// Returns a user's list of keys after an edit. `K0` to `K9` stand for the lines of keys.
fn edited(list: &str, edit: impl FnOnce(&mut super::super::document::EditedTable<'_>)) -> String {
    let lines: Vec<(String, String)> = (0..10).map(|number| (format!("K{number}"), key_line(number, ""))).collect();
    let (head, tail) = ("[[users]]\nname = 'alice'\npublic_keys = ", "# after\npassword_hash = 'x'\n");
    let list = lines.iter().fold(list.to_owned(), |text, (short, line)| text.replace(short, line));
    let mut document = TenantDocument::parse(&format!("{head}{list}{tail}")).unwrap();
    edit(&mut document.user(&name("alice")).unwrap());
    let text = document.text();
    let list = text.strip_prefix(head).unwrap().strip_suffix(tail).unwrap().to_owned();
    lines.iter().fold(list, |text, (short, line)| text.replace(line, short))
}

#[test]
fn a_key_is_added_behind_the_others_in_the_layout_of_the_list() {
    for (list, wanted) in [
        ("[]\n", "[\"K9\"]\n"),
        ("['K1']\n", "['K1', \"K9\"]\n"),
        ("[ 'K1', 'K2' ] # two\n", "[ 'K1', 'K2', \"K9\" ] # two\n"),
        ("[\n  'K1',\n  'K2',\n]\n", "[\n  'K1',\n  'K2',\n  \"K9\",\n]\n"),
        ("[\n\t'K1', # one\n\t'K2', # two\n]\n", "[\n\t'K1', # one\n\t'K2', # two\n\t\"K9\",\n]\n"),
        ("[\n  'K1',\n  'K2' # two\n  # end\n]\n", "[\n  'K1',\n  'K2', # two\n  # end\n  \"K9\",\n]\n"),
        ("[\n    'K1'\n  ]\n", "[\n    'K1',\n    \"K9\",\n  ]\n"),
    ] {
        assert_eq!(edited(list, |user| user.add_key(&key(9, ""))), wanted, "{list}");
    }
}

#[test]
fn a_key_is_removed_with_its_comments_alone() {
    for (list, number, wanted) in [
        ("['K1']\n", 1, "[]\n"),
        ("['K1', 'K2']\n", 1, "['K2']\n"),
        ("['K1', 'K2']\n", 2, "['K1']\n"),
        ("[ 'K1', 'K2', 'K3' ]\n", 2, "[ 'K1', 'K3' ]\n"),
        ("[ 'K1', 'K2' ]\n", 2, "[ 'K1' ]\n"),
        ("['K1', 'K2', 'K1']\n", 1, "['K2']\n"),
        ("[\n  'K1', # one\n  'K2', # two\n  'K3', # three\n]\n", 1, "[\n  'K2', # two\n  'K3', # three\n]\n"),
        ("[\n  'K1', # one\n  'K2', # two\n  'K3', # three\n]\n", 2, "[\n  'K1', # one\n  'K3', # three\n]\n"),
        ("[\n  'K1', # one\n  'K2', # two\n  'K3', # three\n]\n", 3, "[\n  'K1', # one\n  'K2', # two\n]\n"),
        ("[\n  'K1', # one\n  'K2' # two\n]\n", 2, "[\n  'K1', # one\n]\n"),
        ("[\n  # all\n\n  # of one\n  'K1',\n  # of two\n  'K2',\n]\n", 1, "[\n  # all\n\n  # of two\n  'K2',\n]\n"),
        ("[\n  # of one\n  'K1',\n  # of two\n  'K2',\n]\n", 2, "[\n  # of one\n  'K1',\n]\n"),
    ] {
        let removed = edited(list, |user| user.remove_key(&key(number, "").fingerprint));
        assert_eq!(removed, wanted, "{number} of {list}");
    }
}

#[test]
fn a_key_has_the_fingerprint_of_ssh_keygen() {
    // `ssh-keygen -lf` prints this fingerprint.
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEq8RyIsqly+NOdURTH8r6PYN0Y4TsqnLAztIL+R8XuX alice's laptop ";
    let key = KeyLine::parse(line).unwrap();
    assert_eq!(key.comment, "alice's laptop");
    assert_eq!(key.fingerprint, "SHA256:nt9c+w/YF+8I+tS79YGfyc8H28N8HUanRYmexo0DE5Y");
    let digest = key.fingerprint.strip_prefix("SHA256:").unwrap();
    for called in [&key.fingerprint, digest, "alice's laptop"] {
        assert!(key.is_called(called), "{called}");
    }
    assert!(!key.is_called("alice") && !key.is_called(""));
}

#[test]
fn a_file_of_keys_is_read_whole_or_refused_with_the_line() {
    let text = format!("# keys\n\n{}\r\n  {}\n", key_line(1, "a b"), key_line(2, ""));
    assert_eq!(KeyLine::read_all(&text).unwrap(), [key(1, "a b"), key(2, "")]);
    assert!(KeyLine::read_all(&format!("{text}rubbish\n")).unwrap_err().starts_with("line 5: "));
    assert_eq!(KeyLine::read_all("# none\n").unwrap(), []);
}
