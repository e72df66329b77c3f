//! Edits of a document: each changes its own lines and no other.

use super::{super::document::TenantDocument, key, key_line, name, new_user};
use crate::account::Permission;

/// Returns the text after an edit. Its parts `K0` to `K9` stand for the lines of keys.
fn edited(text: &str, edit: impl FnOnce(&mut TenantDocument)) -> String {
    let lines: Vec<(String, String)> = (0..10).map(|number| (format!("K{number}"), key_line(number, ""))).collect();
    let text = lines.iter().fold(text.to_owned(), |text, (short, line)| text.replace(short, line));
    let mut document = TenantDocument::parse(&text).unwrap();
    assert_eq!(document.text(), text, "reading changes nothing");
    edit(&mut document);
    lines.iter().fold(document.text(), |text, (short, line)| text.replace(line, short))
}

fn with_users(text: &str) -> String {
    format!("name = 'acme' # the file's name\n\n# Where\n[storage] # vendor\nbucket   = 'b' # wide\n\n{text}")
}

#[test]
fn a_tenant_is_disabled_and_enabled_again_in_its_root() {
    let text = with_users("[[users]]\nname = 'alice'\n");
    let disabled = edited(&text, |document| document.set_enabled(false));
    assert_eq!(disabled, text.replace("file's name\n", "file's name\nenabled = false\n"));
    assert_eq!(edited(&disabled, |document| document.set_enabled(true)), text);
    let remark = text.replace("# the file's name", "\nenabled = false # unpaid");
    let enabled = edited(&remark, |document| document.set_enabled(true));
    assert_eq!(enabled, remark.replace("enabled = false # unpaid", "enabled = true # unpaid"));
}

#[test]
fn dotted_keys_stay_dotted() {
    let text = "name = 'acme'\nstorage.bucket = 'b' # one\nstorage.credentials.default_chain = true\n";
    let disabled = edited(text, |document| document.set_enabled(false));
    assert_eq!(disabled, format!("{text}enabled = false\n"));
    let added = edited(text, |document| document.add_user(&new_user("bob")));
    assert_eq!(added, format!("{text}\n[[users]]\nname = \"bob\"\npublic_keys = [\"K9\"]\n"));
}

#[test]
fn a_user_is_disabled_in_its_table() {
    let users = "# First\n[[users]]\nname = 'alice'\npublic_keys = ['K1'] # laptop\n\n[[users.mounts]]\nentry = '/a'\n\
                 \n\
                 # Second\n[[users]]\nname = 'bob'\n# end\n";
    let text = with_users(users);
    let set = |text: &str, user: &str, enabled| {
        edited(text, |document| document.user(&name(user)).unwrap().set_enabled(enabled))
    };
    let disabled = set(&text, "alice", false);
    assert_eq!(disabled, text.replace("# laptop\n", "# laptop\nenabled = false\n"));
    assert_eq!(set(&disabled, "alice", true), text);
    assert_eq!(set(&text, "alice", true), text);
    assert_eq!(set(&text, "bob", false), text.replace("'bob'\n", "'bob'\nenabled = false\n"));
    let mut document = TenantDocument::parse(&text).unwrap();
    assert!(document.user(&name("carol")).is_none());
}

#[test]
fn inline_users_stay_inline() {
    let text = "name = 'acme'\nusers = [{ name = 'alice', public_keys = ['K1'] }, { name = 'bob' }] # two\n";
    let set =
        |text: &str, enabled| edited(text, |document| document.user(&name("alice")).unwrap().set_enabled(enabled));
    let disabled = set(text, false);
    assert_eq!(disabled, text.replace("['K1'] }", "['K1'], enabled = false }"));
    assert_eq!(set(&disabled, true), text.replace("['K1'] }", "['K1'], enabled = true }"));
    let added = edited(text, |document| document.add_user(&new_user("carol")));
    let carol = "{ name = \"carol\", public_keys = [\"K9\"] }";
    assert_eq!(added, text.replace("'bob' }]", &format!("'bob' }}, {carol}]")));
    let removed = edited(text, |document| assert!(document.remove_user(&name("alice"))));
    assert_eq!(removed, "name = 'acme'\nusers = [{ name = 'bob' }] # two\n");
    let removed = edited(text, |document| assert!(document.remove_user(&name("bob"))));
    assert_eq!(removed, "name = 'acme'\nusers = [{ name = 'alice', public_keys = ['K1'] }] # two\n");
    let lines = "name = 'acme'\nusers = [\n    # The first\n    { name = 'alice' }, # A\n    { name = 'bob' } # B\n]\n";
    let added = edited(lines, |document| document.add_user(&new_user("carol")));
    assert_eq!(added, lines.replace("'bob' } # B\n", &format!("'bob' }}, # B\n    {carol},\n")));
    let removed = edited(lines, |document| assert!(document.remove_user(&name("alice"))));
    assert_eq!(removed, lines.replace("    # The first\n    { name = 'alice' }, # A\n", ""));
    let removed = edited(lines, |document| assert!(document.remove_user(&name("bob"))));
    assert_eq!(removed, lines.replace("\n    { name = 'bob' } # B", ""));
}

#[test]
fn an_inline_user_over_several_lines_gets_one_more_line() {
    let text = "name = 'acme'\nusers = [{\n    name = 'alice',\n    public_keys = ['K1']\n}]\n";
    let disabled = edited(text, |document| document.user(&name("alice")).unwrap().set_enabled(false));
    assert_eq!(disabled, text.replace("['K1']", "['K1'],\n    enabled = false"));
}

#[test]
fn a_user_is_added_behind_the_others_and_before_other_tables() {
    let alice = "[[users]]\nname = 'alice'\n\n[[users.mounts]] # inner\nentry = '/a'\n";
    let bob = "\n[[users]]\nname = \"bob\"\npublic_keys = [\"K9\"]\n";
    let add = |text: &str| edited(text, |document| document.add_user(&new_user("bob")));
    let last = with_users(&format!("{alice}# the end\n"));
    assert_eq!(add(&last), format!("{last}{bob}"));
    let unended = last.trim_end();
    assert_eq!(add(unended), format!("{unended}\n{bob}"));
    let rest = "\n# The store\n[storage]\nbucket = 'b'\n# the end\n";
    let first = format!("name = 'acme'\n{alice}{rest}");
    assert_eq!(add(&first), format!("name = 'acme'\n{alice}{bob}{rest}"));
    let none = with_users("# No user yet\n");
    assert_eq!(add(&none), format!("{none}{bob}"));
}

#[test]
fn a_new_user_has_what_was_asked_for() {
    let mut user = new_user("bob");
    user.keys = vec![key(1, ""), key(2, "")];
    user.password_hash = Some("$argon2id$x".into());
    user.permissions = Some(vec![Permission::Read, Permission::List]);
    user.landing = Some("/in".into());
    let added = edited("name = 'acme'\n", |document| document.add_user(&user));
    assert_eq!(
        added,
        "name = 'acme'\n\n[[users]]\nname = \"bob\"\npublic_keys = [\n    \"K1\",\n    \"K2\",\n]\n\
         password_hash = \"$argon2id$x\"\npermissions = [\"read\", \"list\"]\nlanding = \"/in\"\n"
    );
}

#[test]
fn a_user_is_removed_with_its_tables_and_the_comments_directly_above() {
    let text = with_users(
        "# Berlin\n\n# alice is in Berlin\n[[users]]\nname = 'alice' # A\n# of alice\n[[users.mounts]]\nentry = '/a'\n\
         \n\
         # bob is in Bonn\n[[users]]\nname = 'bob'\n\n# Bonn\n\n# carol\n[[users]]\nname = 'carol'\n# the end\n",
    );
    let remove = |text: &str, user: &str| edited(text, |document| assert!(document.remove_user(&name(user))));
    let alice = "# alice is in Berlin\n[[users]]\nname = 'alice' # A\n# of alice\n[[users.mounts]]\nentry = '/a'\n\n";
    assert_eq!(remove(&text, "alice"), text.replace(alice, "\n").replace("# Berlin\n\n\n", "# Berlin\n\n"));
    let bob = "# bob is in Bonn\n[[users]]\nname = 'bob'\n\n";
    assert_eq!(remove(&text, "bob"), text.replace(bob, ""));
    let carol = "\n# carol\n[[users]]\nname = 'carol'\n";
    assert_eq!(remove(&text, "carol"), text.replace(carol, ""));
    let one = with_users("[[users]]\nname = 'alice'\n");
    assert_eq!(remove(&one, "alice").trim_end(), with_users("").trim_end());
    edited(&one, |document| assert!(!document.remove_user(&name("bob"))));
}

#[test]
fn line_ends_and_the_bom_stay() {
    let text = "\u{feff}name = 'acme'\r\n\r\n[storage]\r\nbucket = 'b'\r\n";
    let disabled = edited(text, |document| document.set_enabled(false));
    assert_eq!(disabled, "\u{feff}name = 'acme'\r\nenabled = false\r\n\r\n[storage]\r\nbucket = 'b'\r\n");
}

#[test]
fn the_reference_files_are_edited_in_their_own_lines_alone() {
    let read = |tenant: &str| {
        std::fs::read_to_string(format!("{}/config/tenants/{tenant}.toml", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let acme = read("acme");
    let added = edited(&acme, |document| document.add_user(&new_user("bob")));
    assert_eq!(added, format!("{acme}\n[[users]]\nname = \"bob\"\npublic_keys = [\"K9\"]\n"));
    let removed = edited(&added, |document| assert!(document.remove_user(&name("bob"))));
    assert_eq!(removed.trim_end(), acme.trim_end());
    let globex = read("globex");
    let changed = edited(&globex, |document| document.user(&name("bob")).unwrap().set_password_hash("x"));
    let (new, old): (Vec<&str>, Vec<&str>) =
        changed.lines().zip(globex.lines()).filter(|(new, old)| new != old).unzip();
    assert_eq!(new, ["password_hash = \"x\""]);
    assert!(old[0].starts_with("password_hash = ") && changed.lines().count() == globex.lines().count());
}
