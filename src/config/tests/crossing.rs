//! Problems that involve more than one file.

use super::{Files, KEY};

fn tenant(name: &str, bucket: &str, prefix: &str, storage: &str) -> String {
    format!(
        "name = '{name}'\n[storage]\nbucket = '{bucket}'\nprefix = '{prefix}'\nregion = 'eu-central-1'\n{storage}\n\
         credentials.default_chain = true\n[[users]]\nname = '{name}-user'\npublic_keys = ['{KEY}']\n"
    )
}

fn two(acme: &str, globex: &str) -> Files {
    Files::new("").with_acme(acme).with("tenants/globex.toml", globex)
}

#[test]
fn all_errors_of_all_files_come_at_once_in_order() {
    let files = Files::new("max_buffer_bytes = 1\nlog.level = 1\nnonsense = true")
        .with_acme("name = 'acme'\n\n[storage]\nbucket = 'b'\nregion = 'eu-central-1'\nprefix = '/'\n[storage.credentials]\ndefault_chain = 1")
        .with("tenants/broken.toml", "name = 'broken\nx = ")
        .with("tenants/globex.toml", "name = 'globex'\nname2 = ''\n[[users]]\nname = 'a b'\n");
    let spots: Vec<String> = files
        .load()
        .unwrap_err()
        .iter()
        .map(|problem| {
            let file = problem.file.file_stem().unwrap().to_str().unwrap().to_owned();
            format!("{file}:{} {}", problem.line.unwrap(), problem.key)
        })
        .collect();
    assert_eq!(
        spots,
        [
            "acme:4 storage.bucket",
            "acme:6 storage.prefix",
            "acme:8 storage.credentials.default_chain",
            "broken:1 ",
            "broken:2 ",
            "globex:1 storage.bucket",
            "globex:1 storage.credentials",
            "globex:1 storage.prefix",
            "globex:1 storage.region",
            "globex:2 name2",
            "globex:3 users",
            "globex:4 users.name",
            "wharfinger:1 max_buffer_bytes",
            "wharfinger:2 log.level",
            "wharfinger:3 nonsense",
        ]
    );
}

#[test]
fn a_user_name_belongs_to_one_tenant() {
    let files = two(
        &tenant("acme", "files", "acme/", ""),
        &tenant("globex", "files", "globex/", "").replace("globex-user", "acme-user"),
    );
    assert_eq!(
        files.problems(),
        [
            "tenants/globex.toml:9: users.name: `acme-user` is taken at tenants/acme.toml:9; names of users are unique in the server"
        ]
    );
}

#[test]
fn tenants_may_not_reach_into_each_other() {
    let overlaps = |acme: &str, globex: &str| two(acme, globex).load().err().map_or(0, |problems| problems.len());
    assert_eq!(
        two(&tenant("acme", "files", "t/", ""), &tenant("globex", "files", "t/globex/", "")).problems(),
        ["tenants/globex.toml:4: storage.prefix: `t/globex/` lies in `t/` of tenant `acme` (tenants/acme.toml:4); it \
          takes a prefix apart, or `allow_shared_prefix = true` in `[storage]` of both"]
    );
    assert_eq!(
        overlaps(&tenant("acme", "files", "t/a/", ""), &tenant("globex", "files", "", "")),
        1,
        "either way round"
    );
    assert_eq!(overlaps(&tenant("acme", "files", "t/", ""), &tenant("globex", "files", "t/", "")), 1, "the same");
    assert_eq!(overlaps(&tenant("acme", "files", "bob/", ""), &tenant("globex", "files", "bobby/", "")), 0, "siblings");
    assert_eq!(overlaps(&tenant("acme", "files", "t/", ""), &tenant("globex", "other", "t/", "")), 0, "other bucket");
    let elsewhere = "endpoint = 'https://s3.example.com'";
    assert_eq!(overlaps(&tenant("acme", "files", "t/", ""), &tenant("globex", "files", "t/", elsewhere)), 0);
    let shared = "allow_shared_prefix = true";
    assert_eq!(overlaps(&tenant("acme", "files", "t/", shared), &tenant("globex", "files", "t/", "")), 1, "one alone");
    assert_eq!(overlaps(&tenant("acme", "files", "t/", shared), &tenant("globex", "files", "t/", shared)), 0);
}

#[test]
fn one_store_has_many_spellings() {
    let overlap = |one: &str, other: &str| {
        let endpoint =
            |url: &str| if url.is_empty() { String::new() } else { format!("endpoint = '{url}'\npath_style = true") };
        let (acme, globex) = (tenant("acme", "b-1", "", &endpoint(one)), tenant("globex", "b-1", "", &endpoint(other)));
        two(&acme, &globex).load().is_err()
    };
    let store = "https://s3.example.com";
    for same in
        ["https://s3.example.com/", "https://S3.Example.com", "https://s3.example.com:443", "http://s3.example.com"]
    {
        assert!(overlap(store, same), "{same}");
    }
    for aws in [
        "https://s3.eu-central-1.amazonaws.com",
        "http://S3.amazonaws.com:80/",
        "https://bucket.vpce-0123456789abcdef0-abcdefgh.s3.eu-central-1.vpce.amazonaws.com",
    ] {
        assert!(overlap("", aws), "{aws}");
    }
    for other in ["", "https://s3.example.com:8443", "https://s3.example.org", "https://notamazonaws.com"] {
        assert!(!overlap(store, other), "{other}");
    }
}

#[test]
fn mounts_apart_may_lie_in_one_prefix_but_an_overlap_further_in_is_found() {
    let mount = |prefix: &str| format!("[[users.mounts]]\nentry = '/'\nprefix = '{prefix}'\n");
    let acme = |prefix| tenant("acme", "files", "", "") + &mount(prefix);
    let globex = |prefix| tenant("globex", "files", "", "") + &mount(prefix);
    assert!(two(&acme("a/"), &globex("b/")).load().is_ok());
    assert_eq!(two(&acme("a/x/"), &globex("a/")).load().unwrap_err().len(), 1);
}

#[test]
fn users_of_one_tenant_may_share() {
    let both = tenant("acme", "files", "t/", "") + &format!("[[users]]\nname = 'other'\npublic_keys = ['{KEY}']\n");
    assert_eq!(Files::new("").with_acme(&both).load().unwrap().config.tenants[0].users.len(), 2);
}
