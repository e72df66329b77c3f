//! Session policies that STS refuses.

use super::{Cloud, allow, only, packed, refusal};
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};

#[tokio::test]
async fn a_policy_that_is_not_understood_whole_is_malformed_and_named() {
    let cloud = Cloud::start().await;
    let good = only("p/");
    for (from, to, named) in [
        ("\"Resource\"", "\"NotResource\"", "NotResource"),
        ("\"Action\": \"s3:ListBucket\"", "\"NotAction\": \"s3:ListBucket\"", "NotAction"),
        (
            "\"Action\": \"s3:ListBucket\"",
            "\"Principal\": {\"AWS\": \"*\"}, \"Action\": \"s3:ListBucket\"",
            "Principal",
        ),
        ("StringLike", "StringLikeIfExists", "StringLikeIfExists"),
        ("StringLike", "ForAllValues:StringLike", "ForAllValues:StringLike"),
        ("s3:prefix", "s3:prefixes", "s3:prefixes"),
        ("s3:ListBucket", "s3:ListObjectsV2", "s3:ListObjectsV2"),
        ("vendor/p/", "vendor/${aws:userid}/", "${aws:userid}"),
        ("2012-10-17", "2008-10-17", "2008-10-17"),
        ("\"Statement\"", "\"Comment\": \"\", \"Statement\"", "Comment"),
        ("\"Condition\"", "\"Conditions\"", "Conditions"),
    ] {
        assert!(good.contains(from), "{from}");
        let (code, status, message) = refusal(cloud.assume_data().policy(good.replacen(from, to, 1)).send().await);
        assert_eq!((code.as_str(), status), ("MalformedPolicyDocument", 400), "{to}");
        assert!(message.contains(named), "{to}: {message}");
    }
    cloud.assume_data().policy(good).send().await.unwrap();
}

#[tokio::test]
async fn a_policy_has_a_size_and_a_character_set() {
    let cloud = Cloud::start().await;
    let policy = |length: usize, filler: &str| {
        let policy = allow("s3:*", "*");
        format!("{policy}{}", filler.repeat(length - policy.len()))
    };
    let granted = cloud.assume_data().policy(policy(2048, "\n")).send().await.unwrap();
    assert_eq!(packed(&granted), Some(50));
    let (code, _, message) = refusal(cloud.assume_data().policy(policy(2049, "\n")).send().await);
    assert!(code == "ValidationError" && message.contains("less than or equal to 2048"), "{message}");
    let (code, _, message) = refusal(cloud.assume_data().policy(allow("s3:*", "arn:aws:s3:::b/\u{101}")).send().await);
    assert!(code == "ValidationError" && message.contains("regular expression"), "{message}");
    // Percent-encoded, this exceeds the limit that s3s has on forms.
    let long = allow("s3:*", &format!("arn:aws:s3:::b/{}", "ÿ".repeat(1900)));
    cloud.assume_data().policy(long).send().await.unwrap();

    let tag = |number: usize| Tag::builder().key(format!("k{number}")).value("v".repeat(256)).build().unwrap();
    let tagged = cloud.assume_data().policy(policy(2048, " ")).set_tags(Some((0..8).map(tag).collect()));
    let (code, status, _) = refusal(tagged.send().await);
    assert_eq!((code.as_str(), status), ("PackedPolicyTooLarge", 400));
}

#[tokio::test]
async fn what_this_sts_does_not_judge_it_refuses() {
    let cloud = Cloud::start().await;
    let managed = PolicyDescriptorType::builder().arn("arn:aws:iam::aws:policy/ReadOnlyAccess").build();
    let (code, _, message) = refusal(cloud.assume_data().policy_arns(managed).send().await);
    assert!(code == "ValidationError" && message.contains("PolicyArns"), "{message}");
    let (code, ..) = refusal(cloud.assume_data().transitive_tag_keys("tenant").send().await);
    assert_eq!(code, "ValidationError");
    let (code, ..) = refusal(cloud.assume_data().serial_number("GAHT12345678").token_code("123456").send().await);
    assert_eq!(code, "ValidationError");
}
