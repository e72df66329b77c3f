//! The addresses of buckets and of STS: those that fit together, and those that no request could use.

use super::Files;
use crate::account::BucketAddress;

const ARN: &str = "arn:aws:s3:eu-central-1:111122223333:accesspoint/acme";
const ALIAS: &str = "acme-1a2b3c4d-s3alias";

/// The config of a tenant with this bucket and these lines in `[storage]`, from line 7 on.
fn acme(bucket: &str, storage: &str) -> Files {
    let text = format!(
        "name = 'acme'\n[storage]\nbucket = '{bucket}'\nprefix = 'in/'\nregion = 'eu-central-1'\n\
         credentials.default_chain = true\n{storage}"
    );
    Files::new("").with_acme(&text)
}

fn address(files: &Files) -> BucketAddress {
    files.load().unwrap().config.tenants[0].storage.address.clone()
}

fn problem(bucket: &str, storage: &str) -> String {
    let problems = acme(bucket, storage).problems();
    let [problem] = &problems[..] else { panic!("{bucket} {storage}: {problems:?}") };
    problem.trim_start_matches("tenants/acme.toml:").to_owned()
}

#[test]
fn an_alias_may_have_the_arn_of_its_access_point() {
    let known = address(&acme(ALIAS, &format!("access_point_arn = '{ARN}'")));
    assert_eq!(known.access_point_arn.as_deref(), Some(ARN));
    assert_eq!(address(&acme(ALIAS, "")), BucketAddress::default(), "without a role it takes none");
    let elsewhere = format!("access_point_arn = '{ARN}'\nendpoint = 'http://127.0.0.1:8333'\npath_style = true");
    assert_eq!(address(&acme(ALIAS, &elsewhere)).access_point_arn.as_deref(), Some(ARN));
}

#[test]
fn an_arn_that_is_not_that_of_the_alias() {
    let arn = |arn: &str| format!("access_point_arn = '{arn}'");
    for wrong in [
        "acme",
        ALIAS,
        "arn:aws:s3:::files",
        "arn:aws:s3::111122223333:accesspoint/mfzwi23gnjvgw.mrap",
        "arn:aws:s3:eu-central-1:1111:accesspoint/acme",
        "arn:aws:s3:eu-central-1:111122223333:accesspoint/acme/object/in",
        "arn:aws:s3-object-lambda:eu-central-1:111122223333:accesspoint/acme",
    ] {
        assert_eq!(
            problem(ALIAS, &arn(wrong)),
            "7: storage.access_point_arn: doesn't fit; it takes the ARN of an access point, such as \
             \"arn:aws:s3:eu-central-1:111122223333:accesspoint/acme\""
        );
    }
    assert_eq!(
        problem(ARN, &arn(ARN)),
        "7: storage.access_point_arn: means nothing where `bucket` is an ARN itself; leave one of them out"
    );
    assert_eq!(
        problem("acme-files", &arn(ARN)),
        "7: storage.access_point_arn: goes with the access point's alias in `bucket`, which ends in `-s3alias`, and `bucket` is \
         none; requests for a bucket's own name don't go through an access point"
    );
    assert_eq!(
        problem(ALIAS, &arn(&ARN.replace("central", "west"))),
        "7: storage.access_point_arn: lies in eu-west-1, and `region` is eu-central-1; both take the bucket's own"
    );
}

#[test]
fn access_points_that_may_not_hold_what_was_stored() {
    let lambda = "3: storage.bucket: is an Object Lambda access point, whose answers may differ from the files that S3 stores; \
                  it takes the bucket itself, or an access point of it without a function";
    for bucket in [
        "arn:aws:s3-object-lambda:eu-central-1:111122223333:accesspoint/acme",
        "arn:aws-cn:s3-object-lambda:cn-north-1:111122223333:accesspoint/acme",
        "acme-lambda-1a2b3c4d--ol-s3",
    ] {
        assert_eq!(problem(bucket, ""), lambda, "{bucket}");
    }
    let regions = "3: storage.bucket: is a Multi-Region Access Point, behind which a file may be missing that was just uploaded; \
                   it takes the bucket of one region, or an access point of it";
    for bucket in ["arn:aws:s3::111122223333:accesspoint/mfzwi23gnjvgw.mrap", "mfzwi23gnjvgw.mrap"] {
        assert_eq!(problem(bucket, ""), regions, "{bucket}");
    }
    // Another store may give such a name to a bucket.
    for bucket in ["acme-lambda-1a2b3c4d--ol-s3", "mfzwi23gnjvgw.mrap"] {
        acme(bucket, "endpoint = 'http://127.0.0.1:8333'").load().unwrap();
    }
}

/// Returns the problem of a tenant with a role, whose table has this line more, in line 10.
fn problem_of_role(storage: &str, role: &str) -> Vec<String> {
    let text = format!(
        "name = 'acme'\n[storage]\nbucket = 'files'\nprefix = 'in/'\nregion = 'eu-central-1'\n{storage}\n\
         [storage.assume_role]\nrole_arn = 'arn:aws:iam::111122223333:role/acme'\nexternal_id = 'wh-4b6f'\n{role}"
    );
    let files = Files::new("").with_acme(&text);
    let problems = files.load().map_or_else(|problems| files.printed(&problems), |_| Vec::new());
    problems.iter().map(|problem| problem.trim_start_matches("tenants/acme.toml:").to_owned()).collect()
}

#[test]
fn an_interface_endpoint_fits_the_bucket() {
    let s3 = |kind: &str, service: &str, region: &str| {
        format!("endpoint = 'https://{kind}vpce-0123-abcd.{service}.{region}.vpce.amazonaws.com'")
    };
    for (bucket, kind) in [("files", "bucket."), (ALIAS, "bucket."), (ARN, "accesspoint."), ("files", "")] {
        assert!(acme(bucket, &s3(kind, "s3", "eu-central-1")).load().is_ok(), "{bucket} {kind}");
    }
    let zonal = "endpoint = 'https://bucket.vpce-0123-abcd-eu-central-1a.s3.eu-central-1.vpce.amazonaws.com:443/'";
    assert!(acme("files", zonal).load().is_ok());
    for (bucket, kind, message) in [
        ("files", "accesspoint", "a name or an alias in `bucket` it takes the host that begins with `bucket.`"),
        (ALIAS, "accesspoint", "a name or an alias in `bucket` it takes the host that begins with `bucket.`"),
        ("files", "control", "a name or an alias in `bucket` it takes the host that begins with `bucket.`"),
        (ARN, "bucket", "the ARN of an access point in `bucket` it takes the host that begins with `accesspoint.`"),
    ] {
        let wanted = format!("7: storage.endpoint: begins with `{kind}.`; with {message}");
        assert_eq!(problem(bucket, &s3(&format!("{kind}."), "s3", "eu-central-1")), wanted);
    }
    let sts = problem("files", &s3("", "sts", "eu-central-1"));
    assert_eq!(sts, "7: storage.endpoint: is a VPC endpoint of sts; it takes one of S3");
}

#[test]
fn an_interface_endpoint_whose_name_has_another_region_is_warned_about() {
    let endpoint = |region: &str| {
        format!(
            "endpoint = 'https://bucket.vpce-0123-abcd.s3.{region}.vpce.amazonaws.com'\nexpected_bucket_owner = '111122223333'"
        )
    };
    let warnings = |region: &str| {
        let warnings = acme("files", &endpoint(region)).warnings();
        warnings.into_iter().filter(|warning| warning.contains("storage.endpoint")).collect::<Vec<_>>()
    };
    assert_eq!(warnings("eu-central-1"), [""; 0]);
    let wanted = "tenants/acme.toml:7: storage.endpoint: is a VPC endpoint in eu-west-1, and `region` is eu-central-1: requests \
                  fail if it doesn't serve both";
    assert_eq!(warnings("eu-west-1"), [wanted]);
}

#[test]
fn an_interface_endpoint_of_sts_is_one_of_sts() {
    let sts = |service: &str, region: &str| {
        problem_of_role("", &format!("sts_endpoint = 'https://vpce-0123-abcd.{service}.{region}.vpce.amazonaws.com'"))
    };
    assert_eq!(sts("sts", "eu-central-1"), [""; 0]);
    assert_eq!(sts("sts-fips", "eu-central-1"), [""; 0]);
    assert_eq!(sts("sts", "eu-west-1"), [""; 0], "it may serve a VPC of that region");
    assert_eq!(
        sts("s3", "eu-central-1"),
        ["10: storage.assume_role.sts_endpoint: is a VPC endpoint of s3; it takes one of STS"]
    );
}

#[test]
fn dual_stack_and_fips_are_for_the_hosts_of_aws() {
    let both = address(&acme("files", "dual_stack = true\nfips = true"));
    assert!(both.dual_stack && both.fips);
    for key in ["dual_stack", "fips"] {
        for endpoint in ["https://s3.example.com", "https://bucket.vpce-1-a.s3.eu-central-1.vpce.amazonaws.com"] {
            assert_eq!(
                problem("files", &format!("endpoint = '{endpoint}'\n{key} = true")),
                format!(
                    "8: storage.{key}: chooses AWS's host in the region, and `endpoint` names another; leave one of them out"
                )
            );
        }
        let sts = "sts_endpoint = 'https://sts.eu-central-1.amazonaws.com'";
        assert_eq!(problem_of_role(&format!("{key} = true"), ""), [""; 0]);
        assert_eq!(
            problem_of_role(&format!("{key} = true"), sts),
            [
                "10: storage.assume_role.sts_endpoint: names a host of STS, and `dual_stack` and `fips` in `[storage]` choose \
                 another; leave it out, or them"
            ]
        );
    }
}

#[test]
fn a_region_without_fips_is_said() {
    let text = "name = 'acme'\n[storage]\nbucket = 'files'\nprefix = 'in/'\nregion = 'cn-north-1'\n\
                credentials.default_chain = true\nfips = true";
    assert_eq!(
        Files::new("").with_acme(text).problems(),
        [
            "tenants/acme.toml:7: storage.fips: chooses no host of this region: no request can be sent to it: Partition does not \
          support FIPS"
        ]
    );
}
