//! The tenants that are served after a file changed: a file counts as a whole, and the tenant that was there first
//! stays.

use super::{Files, KEY};
use crate::config::{ConfigReading, RefusedTenant, ServedTenants, load_to_serve};
use crate::name::UserName;
use std::fs;

/// A tenant's file with these users and prefixes.
fn tenant(name: &str, prefix: &str, users: &[&str]) -> String {
    let users = users.iter().map(|user| format!("[[users]]\nname = '{user}'\npublic_keys = ['{KEY}']\n"));
    format!(
        "name = '{name}'\n[storage]\nbucket = 'files'\nprefix = '{prefix}'\nregion = 'eu-central-1'\n\
         credentials.default_chain = true\n{}",
        users.collect::<String>()
    )
}

/// A running server's tenants.
struct ServedConfig {
    files: Files,
    served: ServedTenants,
}

impl ServedConfig {
    fn new() -> Self {
        Self { files: Files::new(""), served: ServedTenants::default() }
    }

    fn write(&self, name: &str, text: &str) {
        let file = format!("tenants/{name}.toml");
        fs::write(self.files.path(&file), text).unwrap();
        self.files.chmod(&file, 0o600);
    }

    /// Reads the files again. Returns the refused tenants.
    fn reload(&mut self) -> Vec<RefusedTenant> {
        let (served, refused) = ConfigReading::of(&self.files.path("wharfinger.toml")).served_after(&self.served);
        self.served = served;
        refused
    }

    /// Returns the names of the refused tenants, with `*` behind those that stay in force.
    fn refused(&mut self) -> Vec<String> {
        let name = |tenant: RefusedTenant| {
            assert!(!tenant.problems.is_empty(), "{tenant:?}");
            format!("{}{}", tenant.name.unwrap(), if tenant.is_served { "*" } else { "" })
        };
        self.reload().into_iter().map(name).collect()
    }

    /// Returns each served tenant with its users.
    fn served(&self) -> Vec<String> {
        let setups = self.served.setups();
        let users = |setup: &crate::tenants::TenantSetup| {
            let users: Vec<_> = setup.users.iter().map(|user| user.user.name.as_str()).collect();
            format!("{}: {}", setup.tenant.name, users.join(" "))
        };
        setups.iter().map(users).collect()
    }
}

#[test]
fn a_broken_file_leaves_the_tenant_as_it_was_and_the_others_alone() {
    let mut running = ServedConfig::new();
    running.write("acme", &tenant("acme", "acme/", &["alice"]));
    running.write("globex", &tenant("globex", "globex/", &["bob"]));
    assert_eq!(running.refused(), [] as [&str; 0]);
    running.write("acme", "name = 'acme");
    running.write("globex", &tenant("globex", "globex/", &["bob", "carol"]));
    running.write("initech", &tenant("initech", "no slash", &["dave"]));
    assert_eq!(running.refused(), ["acme*", "initech"]);
    assert_eq!(running.served(), ["acme: alice", "globex: bob carol"]);
    fs::remove_file(running.files.path("tenants/acme.toml")).unwrap();
    assert_eq!(running.refused(), ["initech"]);
    assert_eq!(running.served(), ["globex: bob carol"], "a tenant whose file is gone is gone, broken or not");
}

#[test]
fn tenants_share_a_vendors_role_and_the_one_that_works_as_it_is_refused_alone() {
    let tenant = |name: &str, role: &str, via: &str| {
        format!(
            "name = '{name}'\n[storage]\nbucket = '{name}'\nprefix = ''\nregion = 'eu-central-1'\n{via}\n[storage.assume_role]\n\
             role_arn = 'arn:aws:iam::111122223333:role/{role}'\nexternal_id = 'wh-{name}'\n[[users]]\nname = '{name}-user'\n\
             public_keys = ['{KEY}']\n"
        )
    };
    let via = "credentials.role_arn = 'arn:aws:iam::111122223333:role/tenants'";
    let mut running = ServedConfig::new();
    for name in ["acme", "initech"] {
        running.write(name, &tenant(name, name, via));
    }
    running.write("globex", &tenant("globex", "tenants", ""));
    assert_eq!(running.refused(), ["globex"], "at the start");
    assert_eq!(running.served(), ["acme: acme-user", "initech: initech-user"]);
    running.write("globex", &tenant("globex", "globex", ""));
    assert_eq!(running.refused(), [""; 0]);
    running.write("globex", &tenant("globex", "tenants", ""));
    assert_eq!(running.refused(), ["globex*"]);
    let mut running = ServedConfig::new();
    running.write("globex", &tenant("globex", "tenants", ""));
    assert_eq!(running.refused(), [""; 0]);
    running.write("acme", &tenant("acme", "acme", via));
    assert_eq!(running.refused(), ["acme"], "globex was there before");
}

#[test]
fn at_the_start_a_broken_tenant_is_left_out_unless_the_server_is_strict() {
    let running = ServedConfig::new();
    running.write("acme", &tenant("acme", "acme/", &["alice", "alex"]).replace("eu-central-1", "*"));
    running.write("globex", &tenant("globex", "globex/", &["bob"]));
    running.write("initech", "name = initech");
    let file = running.files.path("wharfinger.toml");
    let loaded = load_to_serve(&file).unwrap();
    assert_eq!(loaded.config.tenants.len(), 1);
    let [acme, initech] = &loaded.refused[..] else { panic!("{:?}", loaded.refused) };
    assert!(acme.is_toml && !acme.is_served);
    assert_eq!(acme.users.iter().map(UserName::as_str).collect::<Vec<_>>(), ["alice", "alex"]);
    assert_eq!(running.files.printed(&acme.problems).len(), 1);
    assert!(!initech.is_toml && initech.users.is_empty());
    fs::write(&file, "strict = true").unwrap();
    assert_eq!(load_to_serve(&file).unwrap_err().len(), 2);
    fs::write(&file, "strict = 1").unwrap();
    assert_eq!(load_to_serve(&file).unwrap_err().len(), 3, "a broken server file is never served");
}

#[test]
fn of_two_new_tenants_in_conflict_neither_is_served() {
    let mut running = ServedConfig::new();
    running.write("acme", &tenant("acme", "t/", &["alice"]));
    running.write("globex", &tenant("globex", "t/g/", &["bob"]));
    running.write("initech", &tenant("initech", "i/", &["alice"]));
    running.write("umbrella", &tenant("umbrella", "u/", &["dave"]));
    assert_eq!(running.refused(), ["acme", "globex", "initech"]);
    assert_eq!(running.served(), ["umbrella: dave"]);
}

#[test]
fn the_tenant_that_had_the_value_keeps_it() {
    let mut running = ServedConfig::new();
    running.write("globex", &tenant("globex", "g/", &["bob"]));
    running.reload();
    running.write("acme", &tenant("acme", "a/", &["bob"]));
    assert_eq!(running.refused(), ["acme"], "a new tenant comes second, whatever its name");
    running.write("globex", &tenant("globex", "g/", &["bob", "carol"]));
    assert_eq!(running.refused(), ["acme"], "also when the first one changes");
    assert_eq!(running.served(), ["globex: bob carol"]);
    running.write("globex", &tenant("globex", "a/deeper/", &["carol"]));
    assert_eq!(running.refused(), ["acme", "globex*"], "both are new where they meet now");
    assert_eq!(running.served(), ["globex: bob carol"]);
}

#[test]
fn a_user_moves_between_tenants_in_one_reload() {
    let mut running = ServedConfig::new();
    running.write("acme", &tenant("acme", "a/", &["alice", "bob"]));
    running.write("globex", &tenant("globex", "g/", &["carol"]));
    running.reload();
    running.write("acme", &tenant("acme", "a/", &["alice"]));
    running.write("globex", &tenant("globex", "g/", &["carol", "bob"]));
    assert_eq!(running.refused(), [] as [&str; 0]);
    assert_eq!(running.served(), ["acme: alice", "globex: carol bob"]);
}

/// Globex takes over a user that acme gives away, but acme's file is refused for another reason.
#[test]
fn a_tenant_that_builds_on_a_refused_file_is_refused_too() {
    let mut running = ServedConfig::new();
    running.write("acme", &tenant("acme", "a/", &["alice", "bob"]));
    running.write("globex", &tenant("globex", "g/", &["carol"]));
    running.write("initech", &tenant("initech", "i/", &["dave"]));
    running.reload();
    running.write("acme", &tenant("acme", "i/", &["alice"]));
    running.write("globex", &tenant("globex", "g/", &["carol", "bob"]));
    assert_eq!(running.refused(), ["acme*", "globex*"]);
    assert_eq!(running.served(), ["acme: alice bob", "globex: carol", "initech: dave"]);
}
