//! The allowed imports of each module, in the server and in the crates beside it. The test reads the sources as tokens, so a path counts in a `use`, in an
//! expression and in the body of a macro. The same rules apply to tests inside the modules.

mod circles;
mod imports;
pub mod product;
mod rooms;
mod source;

use crate::support::sources::sources;
use source::{Mention, SourceFile};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The modules of the crate that a module may import.
enum May {
    Import(&'static [&'static str]),
    ImportEverything,
}
use May::{Import, ImportEverything};

/// A crate of the workspace, with the rules of its sources.
struct Member {
    /// The directory of the sources, with `/` at its end.
    root: &'static str,
    layers: &'static [(&'static str, May)],
    crates: &'static [(&'static str, &'static [&'static str])],
}

/// The crates of the workspace. A crate without a row fails the test.
const MEMBERS: &[Member] = &[
    Member { root: "src/", layers: LAYERS, crates: CRATES },
    Member { root: "crates/fake-aws/src/", layers: FAKE_AWS_LAYERS, crates: FAKE_AWS_CRATES },
];

/// The server's modules, each with its rule, from the bottom to the top. A module without a row fails the test.
const LAYERS: &[(&str, May)] = &[
    ("clock", Import(&[])),
    ("name", Import(&[])),
    ("bounded", Import(&["name"])),
    ("files", Import(&[])),
    ("shares", Import(&[])),
    ("account", Import(&["name"])),
    ("tenants", Import(&["account", "name"])),
    ("sftp", Import(&[])),
    ("sftp::wire", Import(&[])),
    ("store", Import(&["name", "policy", "shares"])),
    ("memory", Import(&["name"])),
    // Journal entries contain permissions.
    ("journal", Import(&["account", "name", "policy", "shares", "store"])),
    ("upload", Import(&["account", "journal", "memory", "name", "policy", "store"])),
    ("download", Import(&["memory", "name", "store"])),
    ("objects", Import(&["account", "journal", "memory", "name", "policy", "store"])),
    // Limits and amounts per day are plain data.
    ("policy", Import(&["account", "name"])),
    // Log lines have rates.
    ("events", Import(&["name", "policy"])),
    ("identity", Import(&["account", "name", "tenants"])),
    ("ledger", Import(&["account", "events", "files", "journal", "name", "policy", "store"])),
    ("cloud", Import(&["account", "name", "policy", "shares", "store", "tenants"])),
    ("onboarding", Import(&["account", "cloud", "name", "store", "tenants"])),
    ("vfs", Import(&["account", "cloud", "download", "journal", "memory", "name", "objects", "store", "upload"])),
    ("testing", Import(&["account", "journal", "name", "policy", "store"])),
    ("session", Import(&["account", "events", "name", "policy", "tenants", "vfs"])),
    ("access", Import(&["events", "identity", "name", "policy", "session", "tenants"])),
    ("sftp::channel", Import(&["memory", "name", "session", "sftp::wire", "shares", "vfs"])),
    ("ssh", Import(&["access", "account", "events", "files", "policy", "session", "sftp::channel"])),
    // The edge for an operator's commands. It asks a running server, which doesn't know it.
    ("control", Import(&["app", "config", "events", "session"])),
    ("config", ImportEverything),
    ("demo", ImportEverything),
    ("app", ImportEverything),
    ("cli", ImportEverything),
    ("lib", ImportEverything),
    ("main", ImportEverything),
];

/// The same of `crates/fake-aws`.
const FAKE_AWS_LAYERS: &[(&str, May)] = &[
    ("clock", Import(&[])),
    ("unique", Import(&[])),
    ("iam", Import(&[])),
    ("requests", Import(&["iam"])),
    ("sts", Import(&["iam", "requests", "unique"])),
    ("iam_api", Import(&["iam", "requests", "sts"])),
    ("s3", Import(&["iam", "requests", "sts", "unique"])),
    ("settings", Import(&["iam", "s3"])),
    ("levers", Import(&["iam", "requests", "s3", "sts"])),
    ("server", Import(&["iam", "iam_api", "levers", "requests", "s3", "settings", "sts", "unique"])),
    ("lib", ImportEverything),
    ("main", ImportEverything),
];

/// Modules that every module may import: the ground, and the doubles, which only tests use.
const GROUND: &[&str] = &["bounded", "clock", "testing"];

/// The places in the server that may name other crates, as beginnings of paths below `src/`. A name that ends in `_`
/// stands for all crates with that beginning.
const CRATES: &[(&str, &[&str])] = &[
    ("arc_swap", &["tenants/"]),
    ("moka", &["cloud/"]),
    ("anyhow", &["app/", "cli/", "demo/accounts.rs", "demo/mod.rs", "demo/tenants.rs"]),
    // aws_lc_rs is AWS's cryptography library, not a client of AWS.
    ("aws_", &["cloud/", "store/s3/", "ssh/host_key_signer.rs"]),
    ("russh", &["ssh/"]),
    (
        "rustix",
        &[
            "app/mod.rs",
            "cli/descriptors.rs",
            "config/edit/replace.rs",
            "config/tests/exposure.rs",
            "control/client.rs",
            "control/socket.rs",
            "files.rs",
            "ssh/port_holder.rs",
            "ssh/bind.rs",
        ],
    ),
    ("fake_aws", &["cloud/clients/tests/access_point.rs", "demo/", "onboarding/verify/tests.rs"]),
    ("s3s", &[]),
    ("axum", &[]),
    ("sqlx", &["ledger/"]),
    ("tikv_", &["main.rs"]),
];

/// The same of `crates/fake-aws`. Its errors are types of its own, and it is no part of the server.
const FAKE_AWS_CRATES: &[(&str, &[&str])] = &[
    ("wharfinger", &[]),
    ("anyhow", &[]),
    ("aws_", &[]),
    ("s3s", &["iam_api/", "s3/", "server.rs", "sts/"]),
    ("hyper_util", &["levers/http.rs", "server.rs"]),
];

/// The modules that do no IO. The log is a sink of `tracing`.
const WITHOUT_IO: &[&str] = &["account", "events", "name", "policy", "sftp::wire", "tenants"];

/// Names of the modules, types and macros of IO in the standard library and in tokio.
const IO: &[&str] = &[
    "File",
    "OpenOptions",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixListener",
    "UnixStream",
    "Command",
    "fs",
    "process",
    "stdin",
    "stdout",
    "stderr",
    "print",
    "println",
    "eprint",
    "eprintln",
    "dbg",
];

/// The types of the vfs that read and change files. The verbs of `session` use them and leave a record of each use.
const VERBS: &[&str] = &["Vfs", "ReadHandle", "WriteHandle", "DirectoryHandle", "PendingWrite"];

/// The modules that may name [`VERBS`].
const RECORDERS: &[&str] = &["vfs", "session"];

impl Member {
    /// Reads the files of the crate.
    fn files(&self) -> Vec<SourceFile> {
        let root = repository().join(self.root);
        let read = |path: &PathBuf| {
            let text = fs::read_to_string(path).unwrap();
            SourceFile::parse(path.strip_prefix(&root).unwrap().to_str().unwrap(), &text)
        };
        sources(&root, &["rs"]).iter().map(read).collect()
    }

    fn forbids(&self, path: &str, name: &str) -> bool {
        let named = |rule: &str| if rule.ends_with('_') { name.starts_with(rule) } else { name == rule };
        self.crates.iter().any(|(rule, places)| named(rule) && !places.iter().any(|place| path.starts_with(place)))
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_crate_has_rules() {
    let crates = fs::read_dir(repository().join("crates")).unwrap();
    let mut roots: Vec<String> =
        crates.map(|entry| format!("crates/{}/src/", entry.unwrap().file_name().to_str().unwrap())).collect();
    roots.push("src/".to_owned());
    roots.sort();
    let mut ruled = MEMBERS.iter().map(|member| member.root).collect::<Vec<_>>();
    ruled.sort_unstable();
    assert_eq!(ruled, roots);
}

#[test]
fn every_module_keeps_to_its_layer() {
    let faults = |member: &Member| member.files().iter().flat_map(|file| faults_of(member, file)).collect::<Vec<_>>();
    let faults: Vec<_> = MEMBERS.iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// A row that allows more than its module needs would let the next import pass unseen.
#[test]
fn every_import_that_a_row_allows_is_used() {
    let mut unused = BTreeSet::new();
    for member in MEMBERS {
        for (layer, may) in member.layers {
            if let Import(allowed) = may {
                unused.extend(allowed.iter().map(|module| (member.root, (*layer).to_owned(), (*module).to_owned())));
            }
        }
        for file in member.files() {
            for (_, named) in file.names() {
                if let Mention::Module(module) = named {
                    unused.remove(&(member.root, file.layer(), module.clone()));
                }
            }
        }
    }
    assert!(unused.is_empty(), "{unused:?}");
}

/// Returns the violations of `file`, one of the crate `member`, one line each.
fn faults_of(member: &Member, file: &SourceFile) -> Vec<String> {
    let (root, layer) = (member.root, file.layer());
    let Some((_, may)) = member.layers.iter().find(|(name, _)| *name == layer) else {
        return vec![format!("{root}{}: the module {layer} has no row in its layers", file.path())];
    };
    let faults = file.names().filter_map(|(line, named)| {
        let fault = match (named, may) {
            (Mention::Module(module), _) if *module == layer || GROUND.contains(&module.as_str()) => return None,
            (Mention::Module(module), Import(allowed)) if !allowed.contains(&module.as_str()) => {
                format!("crate::{module}")
            }
            (Mention::Root, Import(_)) => "the root of the crate, which has all modules".to_owned(),
            (Mention::Elsewhere, _) => "source from elsewhere, which escapes this test".to_owned(),
            (Mention::Identifier(name), _) if member.forbids(file.path(), name) => format!("the crate {name}"),
            (Mention::Identifier(name), _) if WITHOUT_IO.contains(&&*layer) && IO.contains(&&**name) => {
                format!("{name}, which does IO")
            }
            (Mention::Identifier(name), _) if VERBS.contains(&&**name) && !RECORDERS.contains(&&*layer) => {
                format!("{name}, which leaves no record")
            }
            _ => return None,
        };
        Some(format!("{root}{}:{line}: {layer} may not name {fault}", file.path()))
    });
    faults.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the violations in a file at `path` with this text, without their positions.
    fn faults(path: &str, text: &str) -> Vec<String> {
        let start = format!("src/{path}:");
        faults_of(&MEMBERS[0], &SourceFile::parse(path, text))
            .iter()
            .map(|fault| fault.strip_prefix(&start).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_module_may_name_itself_and_what_its_row_says() {
        let text = "use crate::{account::{Tenant, User}, store, vfs::path}; fn f(_: crate::store::Bucket) {}";
        assert_eq!(faults("vfs/stat.rs", text), [] as [&str; 0]);
        assert_eq!(faults("app/mod.rs", "use crate::{ssh, store::S3Bucket};"), [] as [&str; 0]);
    }

    #[test]
    fn other_modules_are_faults_with_their_lines() {
        let text = "use crate::{\n    sftp::wire::Reply,\n    store::{self, Reader},\n};\nuse crate::policy as p;";
        assert_eq!(
            faults("vfs/stat.rs", text),
            ["2: vfs may not name crate::sftp::wire", "5: vfs may not name crate::policy"]
        );
        assert_eq!(
            faults("sftp/channel/reads.rs", "fn f(_: crate::store::Bucket) {}"),
            ["1: sftp::channel may not name crate::store"]
        );
    }

    #[test]
    fn crates_have_their_places() {
        assert_eq!(
            faults("sftp/channel/mod.rs", "use russh::server;"),
            ["1: sftp::channel may not name the crate russh"]
        );
        assert_eq!(
            faults("store/upload.rs", "fn f(_: aws_sdk_s3::Client) {}"),
            ["1: store may not name the crate aws_sdk_s3"]
        );
        assert_eq!(faults("cli/serve.rs", "use {sqlx as db};"), ["1: cli may not name the crate sqlx"]);
        assert_eq!(faults("store/s3/body.rs", "use aws_sdk_s3::primitives::SdkBody;"), [] as [&str; 0]);
        assert_eq!(faults("ssh/handler.rs", "use russh::server;"), [] as [&str; 0]);
    }

    #[test]
    fn a_crate_beside_the_server_has_rules_of_its_own() {
        let faults = |path: &str, text: &str| faults_of(&MEMBERS[1], &SourceFile::parse(path, text));
        assert_eq!(faults("s3/gate.rs", "use crate::sts::Sts; use s3s::S3Request;"), [] as [&str; 0]);
        assert_eq!(
            faults("sts/mod.rs", "use crate::s3::Gate;"),
            ["crates/fake-aws/src/sts/mod.rs:1: sts may not name crate::s3"]
        );
        assert_eq!(
            faults("iam/policy.rs", "use wharfinger::name::Key;"),
            ["crates/fake-aws/src/iam/policy.rs:1: iam may not name the crate wharfinger"]
        );
    }

    #[test]
    fn modules_without_io_name_none() {
        assert_eq!(faults("policy/rates.rs", "use std::fs;"), ["1: policy may not name fs, which does IO"]);
        let text = "use tokio::net::TcpStream;";
        assert_eq!(faults("events/log.rs", text), ["1: events may not name TcpStream, which does IO"]);
        assert_eq!(faults("ssh/listener.rs", text), [] as [&str; 0]);
        assert_eq!(faults("policy/source.rs", "use std::net::IpAddr;"), [] as [&str; 0]);
    }

    #[test]
    fn only_sessions_open_files() {
        let text = "use crate::{name::VirtualPath, vfs::{Error, Vfs}};";
        assert_eq!(faults("sftp/channel/open.rs", text), ["1: sftp::channel may not name Vfs, which leaves no record"]);
        assert_eq!(faults("app/mod.rs", "use crate::vfs::ReadHandle;").len(), 1);
        assert_eq!(faults("session/tree.rs", text), [] as [&str; 0]);
    }

    #[test]
    fn tests_inside_a_module_obey_its_rules() {
        let text = "#[cfg(test)]\nmod tests {\n    use crate::vfs::Node;\n}";
        assert_eq!(faults("store/find.rs", text), ["3: store may not name crate::vfs"]);
    }

    #[test]
    fn nothing_escapes_through_the_root() {
        for text in ["use crate as all;", "use crate::*;", "use super::*;", "use crate::{self as all};"] {
            assert_eq!(
                faults("store/mod.rs", text),
                ["1: store may not name the root of the crate, which has all modules"],
                "{text}"
            );
        }
        for text in ["include!(\"../vfs/mod.rs\");", "#[path = \"../vfs/mod.rs\"] mod x;", "extern crate self as all;"]
        {
            assert_eq!(
                faults("store/mod.rs", text),
                ["1: store may not name source from elsewhere, which escapes this test"],
                "{text}"
            );
        }
    }

    #[test]
    fn a_module_without_a_row_is_a_fault() {
        assert_eq!(faults("shiny/mod.rs", ""), [" the module shiny has no row in its layers"]);
    }
}
