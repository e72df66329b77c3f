//! Tiers: limits that tenants share, and the problems of their file.

use super::{Files, STORAGE};
use crate::{
    account::{DailyLimits, RateLimits, Tenant, TenantRates},
    config::{ConfigReading, load_to_serve},
};
use std::{fs, sync::Arc, time::Duration};

const BUSINESS: &str = "[[tiers]]\nname = 'business'\nmax_object_bytes = '1GiB'\nmax_rename_objects = 7\n\
                        partial_uploads_kept_for = '2d'\ndaily_limits = { bytes_written = '1TiB', s3_requests = 9 }\n\
                        rates = { upload_bytes_per_second = '1MiB', download_bytes_per_second = 70_000, \
                        each_user = { requests_per_second = 5, logins_per_second = 6 }, \
                        each_session = { listing_entries_per_second = 200 } }\n";

fn files(tiers: &str, acme: &str) -> Files {
    Files::new("").with("tiers.toml", tiers).with_acme(&format!("name = 'acme'\n{acme}\n{STORAGE}"))
}

fn acme(files: &Files) -> Arc<Tenant> {
    Arc::clone(&files.load().unwrap().config.tenants[0].tenant)
}

#[test]
fn a_tenant_has_the_limits_of_its_tier_and_its_own_come_first() {
    let of_tier = acme(&files(BUSINESS, "tier = 'business'"));
    assert_eq!((of_tier.max_object_bytes, of_tier.max_rename_objects), (1 << 30, 7));
    assert_eq!(of_tier.partial_uploads_kept_for, Some(Duration::from_hours(48)));
    let daily = DailyLimits { bytes_written: Some(1 << 40), s3_requests: Some(9), ..DailyLimits::default() };
    assert_eq!(of_tier.daily_limits, daily);
    let own = "tier = 'business'\nmax_rename_objects = 8\n\
               daily_limits = { bytes_written = 'unlimited', zero_bytes = 0 }\n";
    let own = acme(&files(BUSINESS, own));
    assert_eq!((own.max_object_bytes, own.max_rename_objects), (1 << 30, 8));
    let daily = DailyLimits { zero_bytes: Some(0), s3_requests: Some(9), ..DailyLimits::default() };
    assert_eq!(own.daily_limits, daily);
    let endless = acme(&files(BUSINESS, "tier = 'business'\ndaily_limits.s3_requests = 'unlimited'"));
    let daily = DailyLimits { bytes_written: Some(1 << 40), ..DailyLimits::default() };
    assert_eq!(endless.daily_limits, daily);
    assert_eq!(acme(&files(BUSINESS, "")), acme(&files("", "")), "a tenant without a tier");
    let discards = acme(&files(BUSINESS, "tier = 'business'\npartial_uploads = 'discard'"));
    assert_eq!(discards.partial_uploads_kept_for, None);
}

#[test]
fn a_tenant_has_the_rates_of_its_tier_and_its_own_come_first() {
    assert_eq!(acme(&files(BUSINESS, "")).rates, TenantRates::default(), "off without a tier");
    let of_tier = acme(&files(BUSINESS, "tier = 'business'")).rates;
    let both = RateLimits { upload_bytes: Some(1 << 20), download_bytes: Some(70_000), ..RateLimits::default() };
    let each_user = RateLimits { requests: Some(5), logins: Some(6), ..RateLimits::default() };
    let each_session = RateLimits { listing_entries: Some(200), ..RateLimits::default() };
    assert_eq!(of_tier, TenantRates { together: both, each_user, each_session });
    let counts = "rates = { requests_per_second = 1, s3_requests_per_second = 2, logins_per_second = 3, \
                  listing_entries_per_second = 100 }";
    let counts = acme(&files("", counts)).rates.together;
    let expected = RateLimits { requests: Some(1), s3_requests: Some(2), logins: Some(3), ..RateLimits::default() };
    assert_eq!(counts, RateLimits { listing_entries: Some(100), ..expected });
    let own = "tier = 'business'\n[rates]\nupload_bytes_per_second = 'unlimited'\n\
               download_bytes_per_second = '64KiB'\neach_user = { logins_per_second = 'unlimited' }\n\
               [rates.each_session]\nlisting_entries_per_second = 300\ns3_requests_per_second = 7\n\
               upload_bytes_per_second = '1MiB'";
    let own = acme(&files(BUSINESS, own)).rates;
    assert_eq!(own.together, RateLimits { download_bytes: Some(64 << 10), ..RateLimits::default() });
    assert_eq!(own.each_user, RateLimits { requests: Some(5), ..RateLimits::default() });
    let each_session = RateLimits { listing_entries: Some(300), s3_requests: Some(7), ..RateLimits::default() };
    assert_eq!(own.each_session, RateLimits { upload_bytes: Some(1 << 20), ..each_session });
}

#[test]
fn wrong_rates_are_problems() {
    for (rates, problem) in [
        (
            "upload_bytes_per_second = 65535",
            "rates.upload_bytes_per_second: is 65535; it takes a size from 64KiB on, or",
        ),
        ("download_bytes_per_second = '1KiB'", "rates.download_bytes_per_second: is 1KiB; it takes a size from 64KiB"),
        ("download_bytes_per_second = 'fast'", "rates.download_bytes_per_second: `fast` is no size; it takes a size"),
        ("download_bytes_per_second = -1", "rates.download_bytes_per_second: is -1; it takes a size"),
        ("requests_per_second = 0", "rates.requests_per_second: is 0; it takes a whole number from 1 on"),
        ("logins_per_second = '9'", "rates.logins_per_second: `9` is no number; it takes a whole number from 1 on, or"),
        (
            "listing_entries_per_second = 99",
            "rates.listing_entries_per_second: is 99; it takes a whole number from 100",
        ),
        ("upload = 1", "rates.upload: no such key"),
        ("each_user = { requests_per_second = 0 }", "rates.each_user.requests_per_second: is 0; it takes a whole"),
        ("each_user = { s3_requests_per_second = 0 }", "rates.each_user.s3_requests_per_second: is 0; it takes a"),
        ("each_session = { logins_per_second = 9 }", "rates.each_session.logins_per_second: no such key"),
        ("each_session = 9", "rates.each_session: is "),
    ] {
        let problems = files("", &format!("rates = {{ {rates} }}")).problems();
        assert!(problems.len() == 1 && problems[0].contains(problem), "{rates}: {problems:?}");
        let problems = files(&format!("[[tiers]]\nname = 'a'\nrates = {{ {rates} }}"), "").problems();
        assert!(problems.len() == 1 && problems[0].contains(problem), "{rates}: {problems:?}");
    }
}

#[test]
fn an_unknown_tier_is_a_problem_of_the_tenants_file() {
    let unknown = files(BUSINESS, "tier = 'busines'");
    assert_eq!(unknown.problems(), ["tenants/acme.toml:2: tier: there is no tier `busines`; there are `business`"]);
    let loaded = load_to_serve(&unknown.path("wharfinger.toml")).unwrap();
    assert_eq!((loaded.config.tenants.len(), loaded.refused.len()), (0, 1), "the server starts without it");
    let none = Files::new("").with_acme(&format!("name = 'acme'\ntier = 'trial'\n{STORAGE}"));
    assert_eq!(none.problems(), ["tenants/acme.toml:2: tier: there is no tier `trial`; there are none"]);
}

#[test]
fn a_broken_file_is_a_problem_of_the_whole_config_and_the_only_one() {
    for (tiers, problem) in [
        ("[[tiers]]\nname = 'business'\nmax_objects = 1", "tiers.toml:3: tiers.max_objects: no such key"),
        ("[[tier]]\nname = 'business'", "tiers.toml:1: tier: no such key; did you mean `tiers`?"),
        ("[[tiers]]\nmax_rename_objects = 1", "tiers.toml:1: tiers.name: is missing"),
        ("[[tiers]]\nname = 'a'\n[[tiers]]\nname = 'a'", "tiers.toml:4: tiers.name: `a` is the name of another"),
        ("[[tiers]]\nname = 'a'\nmax_rename_objects = 100001", "tiers.toml:3: tiers.max_rename_objects: is 100001"),
        ("[[tiers]]\nname = 'a'\ndaily_limits = { zero_bytes = 'no' }", "tiers.daily_limits.zero_bytes: `no` is no"),
        ("[[tiers]]\nname = 'a'\ndaily_limits = { bytes_written = 0 }", "tiers.daily_limits.bytes_written: is 0"),
        ("[[tiers]]\nname = 'a'\ndaily_limits = { s3_requests = 0 }", "tiers.daily_limits.s3_requests: is 0"),
        ("[[tiers]]\nname = 'a'\ndaily_limits = { s3_requests = 'no' }", "s3_requests: `no` is no number"),
        ("[[tiers]]\nname = 'a'\ndaily_limits = { s3_requests = true }", "s3_requests: is a boolean; it takes a whole"),
        ("[[tiers", "tiers.toml:1: isn't TOML"),
    ] {
        let files = files(tiers, "tier = 'business'");
        let problems = files.problems();
        assert!(problems.len() == 1 && problems[0].contains(problem), "{tiers}: {problems:?}");
        let reading = ConfigReading::of(&files.path("wharfinger.toml"));
        assert!(reading.server().is_err(), "a reload changes nothing");
    }
    let missing = Files::new("tiers_file = 'none.toml'").with_acme(&format!("name = 'acme'\n{STORAGE}"));
    assert!(missing.problems()[0].starts_with("none.toml: can't be read"), "{:?}", missing.problems());
    let wrong = Files::new("tiers_file = 1").with_acme(&format!("name = 'acme'\n{STORAGE}"));
    assert_eq!(wrong.problems(), ["wharfinger.toml:1: tiers_file: is an integer; it takes a path"]);
}

#[test]
fn the_server_file_names_another_file() {
    let named = files("[[tiers]]\nname = 'trial'", "tier = 'business'").with("plans.toml", BUSINESS);
    let named = named.with("wharfinger.toml", "tiers_file = 'plans.toml'");
    assert_eq!(acme(&named).max_rename_objects, 7);
}

#[test]
fn a_reload_takes_other_limits_over_and_a_tenant_without_its_tier_stays_as_it_was() {
    let files = files(BUSINESS, "tier = 'business'");
    let former = load_to_serve(&files.path("wharfinger.toml")).unwrap().served;
    let reload = |former| {
        let (served, refused) = ConfigReading::of(&files.path("wharfinger.toml")).served_after(former);
        let max = served.get(&"acme".parse().unwrap()).unwrap().setup.tenant.max_rename_objects;
        (served, refused.len(), max)
    };
    fs::write(files.path("tiers.toml"), BUSINESS.replace("objects = 7", "objects = 6")).unwrap();
    let (changed, refused, max) = reload(&former);
    assert_eq!((refused, max), (0, 6));
    fs::remove_file(files.path("tiers.toml")).unwrap();
    let (_, refused, max) = reload(&changed);
    assert_eq!((refused, max), (1, 6));
}

#[test]
fn the_file_is_watched_also_before_it_is_there() {
    let files = Files::new("").with_acme(&format!("name = 'acme'\n{STORAGE}"));
    let watched = ConfigReading::of(&files.path("wharfinger.toml")).watched().clone();
    let before = watched.contents();
    let files = files.with("tiers.toml", BUSINESS);
    let with_it = watched.contents();
    assert_ne!(before, with_it);
    drop(files.with("tiers.toml", ""));
    assert_ne!(watched.contents(), with_it);
}
