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
