//! Bad inputs, one at a time, each with its exact message.

use super::{Files, KEY, STORAGE};
use base64::{Engine as _, engine::general_purpose::STANDARD};

#[test]
fn the_server_file() {
    for (text, message) in [
        (
            "listen = 1",
            "1: listen: no such key; there are max_buffer_bytes, upload_wait, drain_timeout, strict, watch_config, verify_on_add, reload_grace, server_principal, control_socket, log, ledger, ssh, tenants_directory, tiers_file",
        ),
        ("max_bufer_bytes = 1", "1: max_bufer_bytes: no such key; did you mean `max_buffer_bytes`?"),
        ("\n\n[ssh]\nlogin_timout = '1m'", "4: ssh.login_timout: no such key; did you mean `login_timeout`?"),
        ("\nmax_buffer_bytes = '16MiB'", "2: max_buffer_bytes: is 16MiB; it takes 20MiB or more"),
        (
            "max_buffer_bytes = 'much'",
            "1: max_buffer_bytes: `much` is no size; it takes a size such as \"256MiB\" or \"5 GiB\", or a number of bytes",
        ),
        (
            "drain_timeout = 30",
            "1: drain_timeout: is an integer; it takes a duration such as \"30s\", \"5m\" or \"1h\"",
        ),
        (
            "drain_timeout = '0s'",
            "1: drain_timeout: is 0s; it takes a duration such as \"30s\", \"5m\" or \"1h\", from 1ms to 365d",
        ),
        (
            "upload_wait = '1m'\nssh.idle_timeout = '1m'",
            "1: upload_wait: is 60s; it takes less than `ssh.idle_timeout`, 60s",
        ),
        (
            "[log]\nlevel = 'loud'",
            "2: log.level: `loud` is not known; it takes one of `error`, `warn`, `info`, `debug`, `trace`",
        ),
        (
            "[ledger]\nurl = 'ledger.db'",
            "2: ledger.url: is no URL of a ledger; it takes `sqlite:FILE` or `postgres://USER@HOST/DATABASE`",
        ),
        (
            "[ledger]\nurl = 'sqlite:l.db'\nurl_env = 'PATH'",
            "1: ledger: it has more than one URL; it takes one of `url`, `url_file` and `url_env`",
        ),
        (
            "[ledger.retention]\ntransfers_days = 0",
            "2: ledger.retention.transfers_days: is 0; it takes a whole number from 1 on, or \"unlimited\"",
        ),
        (
            "[ledger.retention]\nrefusals_days = '30d'",
            "2: ledger.retention.refusals_days: `30d` is no number; it takes a number of days from 1 on, or \"unlimited\"",
        ),
        (
            "[ledger.retention]\ndays = 5",
            "2: ledger.retention.days: no such key; there are transfers_days, sessions_days, changes_days, refusals_days, operations_days",
        ),
        ("log = 'json'", "1: log: is a string; it takes a table, `[log]`"),
        (
            "[ssh]\nlisten = []",
            "2: ssh.listen: is empty; it takes one or more, each an address and a port, such as \"0.0.0.0:2222\" or \"[::]:2222\"",
        ),
        (
            "[ssh]\nlisten = [\n '0.0.0.0:22',\n 'x:22' ]",
            "4: ssh.listen: `x:22` is no address; it takes an address and a port, such as \"0.0.0.0:2222\" or \"[::]:2222\"",
        ),
        (
            "[ssh]\nlisten = '0.0.0.0:22'",
            "2: ssh.listen: is a string; it takes a list, each an address and a port, such as \"0.0.0.0:2222\" or \"[::]:2222\"",
        ),
        (
            "[ssh]\nproxy_protocol = 'require'",
            "1: ssh.proxy_from: is empty; where `proxy_protocol` is \"require\" it takes one or more, each a network such as \"10.0.0.0/16\", or an address",
        ),
        (
            "[ssh]\nproxy_protocol = 'require'\nproxy_from = []",
            "3: ssh.proxy_from: is empty; where `proxy_protocol` is \"require\" it takes one or more, each a network such as \"10.0.0.0/16\", or an address",
        ),
        (
            "[ssh]\nproxy_protocol = 'require'\nproxy_from = ['10.0.0.0/33']",
            "3: ssh.proxy_from: `10.0.0.0/33` is no network; it takes a network such as \"10.0.0.0/16\", or an address",
        ),
        (
            "[ssh]\nproxy_from = ['10.0.0.0/8']",
            "2: ssh.proxy_from: means nothing where `proxy_protocol` is \"off\"; say \"require\", or leave it out",
        ),
        ("[ssh]\nproxy_protocol = 'v2'", "2: ssh.proxy_protocol: `v2` is not known; it takes one of `off`, `require`"),
        (
            "[ssh]\nshared_sources = ['10.1.0.0/8']",
            "2: ssh.shared_sources: `10.1.0.0/8` has bits set behind its prefix; the network is \"10.0.0.0/8\"",
        ),
        ("[ssh]\nlogin_burst = 0", "2: ssh.login_burst: is 0; it takes a whole number from 1 on"),
        ("[ssh]\nmax_login_tries = 0", "2: ssh.max_login_tries: is 0; it takes a whole number from 1 on"),
        (
            "[ssh.algorithms]\nmacs = ['hmac-md5']",
            "2: ssh.algorithms.macs: `hmac-md5` is no MAC that can be chosen; there are hmac-sha2-256-etm@openssh.com, hmac-sha2-512-etm@openssh.com, hmac-sha2-256, hmac-sha2-512",
        ),
        ("tenants_directory = ''", "1: tenants_directory: is empty; it takes a path"),
        (
            "tenants_directory = 'none'",
            "1: tenants_directory: `none` can't be read (No such file or directory (os error 2)); it takes a directory, relative to this file's",
        ),
        ("[ssh\nlisten = 1", "1: isn't TOML: unclosed table, expected `]`"),
    ] {
        assert_eq!(Files::new(text).problems(), [format!("wharfinger.toml:{message}")], "{text}");
    }
}

#[test]
fn what_could_forge_a_line_of_output_is_escaped() {
    assert_eq!(
        Files::new("\"a\\nb\\u001b\" = 1\nlog.level = \"x\\ny\"").problems(),
        [
            "wharfinger.toml:1: a\\nb\\u{1b}: no such key; there are max_buffer_bytes, upload_wait, drain_timeout, strict, watch_config, verify_on_add, reload_grace, server_principal, control_socket, log, ledger, ssh, \
         tenants_directory, tiers_file",
            "wharfinger.toml:2: log.level: `x\\ny` is not known; it takes one of `error`, `warn`, `info`, `debug`, `trace`",
        ]
    );
}

#[test]
fn a_file_that_is_not_there() {
    let files = Files::new("");
    let missing = super::load(&files.path("other.toml")).unwrap_err();
    assert_eq!(files.printed(&missing), ["other.toml: can't be read: No such file or directory (os error 2)"]);
}

/// Returns the line of an RSA key of `bits` bits.
fn rsa_line(bits: usize) -> String {
    let modulus = [vec![0], vec![0xff; bits / 8]].concat();
    let field = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    format!("ssh-rsa {}", STANDARD.encode([field(b"ssh-rsa"), field(&[1, 0, 1]), field(&modulus)].concat()))
}

/// Tenant files that are wrong in their own tables; `{STORAGE}` takes lines 2 to 7.
#[test]
fn a_tenant() {
    let user = format!("[[users]]\nname = 'alice'\npublic_keys = ['{KEY}']\n");
    for (text, message) in [
        (format!("name = 'globex'\n{STORAGE}"), "1: name: is `globex`; it takes the file's name, `acme`"),
        (format!("enabled = true\n{STORAGE}"), "1: name: is missing; it takes a name"),
        (
            format!("name = 'acme'\n{STORAGE}{user}permissions = ['read', 'admin']"),
            "11: users.permissions: `admin` is no permission; there are read, write, overwrite, list, delete, rename and mkdir",
        ),
        (
            format!("name = 'acme'\n{STORAGE}[[users]]\nname = 'alice'"),
            "8: users: this user can't log in; it takes one or more of `public_keys`, `public_keys_file`, `password_hash` or `password_hash_file`",
        ),
        (
            format!("name = 'acme'\n{STORAGE}[[users]]\nname = 'alice'\npassword = 'hunter2'"),
            "10: users.password: a password doesn't belong here; `wharfinger hash-password` makes a `password_hash` of it",
        ),
        (
            format!("name = 'acme'\n{STORAGE}{user}landing = 'in'"),
            "11: users.landing: the path must begin with `/` and have no empty, `.` or `..` segment and no `/` at its end; it takes an absolute path such as \"/\" or \"/outbox\"",
        ),
        (
            format!("name = 'acme'\n{STORAGE}{user}landing = '/out'\n[[users.mounts]]\nentry = '/in'\nprefix = 'in/'"),
            "11: users.landing: landing directory `/out` lies in no mount; it takes a mount's entry or a directory in one",
        ),
        (
            format!("name = 'acme'\n{STORAGE}{user}[[users.mounts]]\nentry = '/in'\nprefix = 'in'"),
            "13: users.mounts.prefix: prefix `in` doesn't end in `/`: without it, it would match its neighbours too; it takes a prefix that ends in `/`, such as \"tenants/acme/\", or \"\" for all",
        ),
        (
            format!("name = 'acme'\n{STORAGE}{user}[[users.mounts]]\nentry = '/'"),
            "11: users.mounts.prefix: is missing; it takes a prefix that ends in `/`, such as \"tenants/acme/\", or \"\" for all",
        ),
        (
            format!(
                "name = 'acme'\n{STORAGE}{user}{mount}{mount}",
                mount = "[[users.mounts]]\nentry = '/'\nprefix = ''\n"
            ),
            "15: users.mounts.entry: another mount has the entry `/`; it takes one of its own",
        ),
        (
            format!("name = 'acme'\n{STORAGE}{user}mounts = []"),
            "11: users.mounts: the user has no mount: add at least one, such as an entry `/`",
        ),
        (
            format!("name = 'acme'\n{STORAGE}[[users]]\nname = 'alice'\npublic_keys = ['{}']", rsa_line(1_024)),
            "10: users.public_keys: an RSA key of 1024 bits is not accepted; 2,048 to 8,192 bits are",
        ),
        (format!("name = 'acme'\nusers = 7\n{STORAGE}"), "2: users: is an integer; it takes tables, each `[[users]]`"),
        (
            format!("name = 'acme'\nmax_object_bytes = '1TiB'\n{STORAGE}"),
            "2: max_object_bytes: is 1TiB; it takes 1 byte to 625GiB",
        ),
        (
            format!("name = 'acme'\npartial_uploads = 'keep'\n{STORAGE}"),
            "2: partial_uploads: `keep` is not known; it takes one of `resumable`, `discard`",
        ),
        (
            format!("name = 'acme'\npartial_uploads_kept_for = '59s'\n{STORAGE}"),
            "2: partial_uploads_kept_for: is less than a minute; it takes \"1m\" to \"365d\"",
        ),
        (
            format!("name = 'acme'\npartial_uploads = 'discard'\npartial_uploads_kept_for = '1d'\n{STORAGE}"),
            "3: partial_uploads_kept_for: means nothing where `partial_uploads` is \"discard\"; leave one of them out",
        ),
    ] {
        assert_eq!(Files::new("").with_acme(&text).problems(), [format!("tenants/acme.toml:{message}")], "{text}");
    }
}

#[test]
fn a_storage() {
    let storage = "bucket = 'files'\nprefix = ''\nregion = 'eu-central-1'\ncredentials.default_chain = true\n";
    for (line, message) in [
        (
            "endpoint = 's3.example.com'",
            "7: storage.endpoint: doesn't fit; it takes a URL of host and port, such as \"https://s3.example.com\"",
        ),
        (
            "endpoint = 'https://me:secret@s3.example.com'",
            "7: storage.endpoint: doesn't fit; it takes a URL of host and port, such as \"https://s3.example.com\"",
        ),
        (
            "expected_bucket_owner = '1234'",
            "7: storage.expected_bucket_owner: doesn't fit; it takes the 12 digits of an AWS account, as a string",
        ),
        (
            "expected_bucket_owner = 111122223333",
            "7: storage.expected_bucket_owner: is an integer; it takes the 12 digits of an AWS account, as a string",
        ),
        (
            "storage_class = 'standard'",
            "7: storage.storage_class: doesn't fit; it takes a storage class such as \"STANDARD_IA\"",
        ),
        ("payload_signing = true", "7: storage.payload_signing: is a boolean; it takes `unsigned`, `signed`"),
        ("path_stile = true", "7: storage.path_stile: no such key; did you mean `path_style`?"),
    ] {
        let text = format!("name = 'acme'\n[storage]\n{storage}{line}");
        assert_eq!(Files::new("").with_acme(&text).problems(), [format!("tenants/acme.toml:{message}")], "{text}");
    }
}

/// Issue 15.4: a key that the config accepted, and that no login could use.
#[test]
fn a_key_that_is_too_long_is_left_out() {
    let long = format!("'{}'", rsa_line(16_384));
    let warning = |line| {
        format!(
            "tenants/acme.toml:{line}: users.public_keys: an RSA key of 16384 bits is not accepted; 2,048 to 8,192 bits are; the \
             key is left out"
        )
    };
    for (keys, accepted) in [(long.clone(), 0), (format!("'{KEY}', {long}"), 1)] {
        let files = Files::new("")
            .with_acme(&format!("name = 'acme'\n{STORAGE}[[users]]\nname = 'alice'\npublic_keys = [{keys}]"));
        let warnings = files.warnings();
        assert!(warnings.contains(&warning(10)), "{warnings:?}");
        assert_eq!(files.load().unwrap().config.tenants[0].users[0].credentials.public_keys.len(), accepted);
    }
}

/// Issue 15.4: a bucket that no request could reach.
#[test]
fn a_bucket() {
    let problems = |bucket: &str, region: &str, rest: &str| {
        let text = format!(
            "name = 'acme'\n[storage]\nbucket = '{bucket}'\nprefix = ''\nregion = '{region}'\n\
             credentials.default_chain = true\n{rest}"
        );
        let warnings = Files::new("").with_acme(&text).load().unwrap().warnings;
        warnings.into_iter().filter(|warning| warning.key == "storage.bucket").collect::<Vec<_>>()
    };
    let name = "is no name that S3 gives to a bucket; it takes 3 to 63 lower-case letters, digits, `-` and `.`, which \
                begins and ends with a letter or a digit, has no two dots in a row and is no IP address";
    let long = "a".repeat(64);
    for bucket in ["Files", "my_files", "files-", "-files", ".files", "my..files", "192.0.2.1", &long] {
        let [problem] = &problems(bucket, "eu-central-1", "")[..] else { panic!("{bucket}") };
        assert_eq!((problem.line, problem.key.as_str(), problem.message.as_str()), (Some(3), "storage.bucket", name));
    }
    for (arn, message) in [
        (
            "arn:aws:s3:eu-central-1:111122223333:bucket/files",
            "no request can be sent to it: Invalid ARN: Unrecognized format: \
             arn:aws:s3:eu-central-1:111122223333:bucket/files (type: bucket)",
        ),
        (
            "arn:aws:s3:eu-central-1:111122223333:accesspoint",
            "no request can be sent to it: Invalid ARN: Expected a resource of the format \
             `accesspoint:<accesspoint name>` but no name was provided",
        ),
    ] {
        let problems = problems(arn, "eu-central-1", "");
        assert_eq!(problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>(), [message], "{arn}");
    }
    for (bucket, region, rest) in [
        ("files.2024-eu", "eu-central-1", ""),
        ("acme-metadata-s3alias", "eu-central-1", ""),
        ("arn:aws:s3:eu-central-1:111122223333:accesspoint/acme", "eu-central-1", ""),
        ("Old_Files.of-2009", "us-east-1", ""),
        ("My_Files", "RegionOne", "endpoint = 'https://s3.example.com'"),
        ("My_Files", "RegionOne", "endpoint = 'https://s3.example.com'\npath_style = true"),
    ] {
        assert_eq!(problems(bucket, region, rest), [], "{bucket}");
    }
}

#[test]
fn a_missing_table_is_as_an_empty_one() {
    assert_eq!(
        Files::new("").with_acme("name = 'acme'").problems(),
        [
            "tenants/acme.toml:1: storage.bucket: is missing; it takes the name of a bucket, or the ARN or alias of an access point",
            "tenants/acme.toml:1: storage.credentials: there are none; it takes `access_key_id` with `secret_access_key_file` or `secret_access_key_env`, or `default_chain = true`",
            "tenants/acme.toml:1: storage.prefix: is missing; it takes a prefix that ends in `/`, such as \"tenants/acme/\", or \"\" for all",
            "tenants/acme.toml:1: storage.region: is missing; it takes a region such as \"eu-central-1\"",
        ]
    );
}
