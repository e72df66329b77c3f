//! A client's clock that is wrong, made by a wrong clock of the server.

use super::{Cloud, keys, now, refusal, session};
use aws_sdk_s3::{
    presigning::PresigningConfig,
    primitives::{ByteStream, DateTime, DateTimeFormat},
};
use std::time::Duration;

const SKEW: &str = "The difference between the request time and the current time is too large.";

#[tokio::test]
async fn a_signature_from_a_wrong_clock_is_refused_by_s3_and_sts() {
    let cloud = Cloud::start().await;
    cloud.put("vendor", &["a"]).await;
    for offset in [-14 * 60, 14 * 60] {
        cloud.s3.set_clock_offset(offset);
        cloud.s3_with(keys("server")).get_object().bucket("vendor").key("a").send().await.unwrap();
        cloud.sts("server").get_caller_identity().send().await.unwrap();
    }
    for (offset, sentence) in [(-16 * 60, "Signature not yet current: "), (16 * 60, "Signature expired: ")] {
        cloud.s3.set_clock_offset(offset);
        let client = || cloud.s3_with(keys("server"));
        let skewed = ("RequestTimeTooSkewed".to_owned(), 403, SKEW.to_owned());
        assert_eq!(refusal(client().get_object().bucket("vendor").key("a").send().await), skewed);
        assert_eq!(refusal(client().list_objects_v2().bucket("vendor").send().await), skewed);
        let put = client().put_object().bucket("vendor").key("b").body(ByteStream::from(vec![7; 8 << 20]));
        assert_eq!(refusal(put.send().await), skewed);
        let (code, status, message) = refusal(cloud.sts("server").get_caller_identity().send().await);
        assert_eq!((code.as_str(), status), ("SignatureDoesNotMatch", 403));
        assert!(message.starts_with(sentence), "{message}");
        let (code, _, message) = refusal(cloud.assume_tenant_role().send().await);
        assert!(code == "SignatureDoesNotMatch" && message.starts_with(sentence), "{code} {message}");
    }
    cloud.s3.set_clock_offset(0);
    assert_eq!(cloud.s3.objects("vendor").unwrap().len(), 1);
}

#[tokio::test]
async fn every_answer_has_the_date_of_that_clock() {
    let cloud = Cloud::start().await;
    for offset in [0, -86_400, 86_400] {
        cloud.s3.set_clock_offset(offset);
        // Nobody signs these, so they are refused, by the S3 and by the STS.
        let form = "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\nX:";
        for request in ["GET /vendor", form] {
            let answer = crate::s3::answer(&cloud.s3, request).await;
            let dates: Vec<&str> = answer.lines().filter_map(|line| line.strip_prefix("date: ")).collect();
            let [date] = dates[..] else { panic!("{answer}") };
            let seconds = DateTime::from_str(date, DateTimeFormat::HttpDate).unwrap().secs();
            let expected = DateTime::from(now()).secs() + offset;
            assert!((expected - 60..=expected).contains(&seconds), "{date} at {offset}");
        }
    }
}

#[tokio::test]
async fn sessions_expire_by_that_clock() {
    let cloud = Cloud::start().await;
    cloud.s3.set_clock_offset(-10 * 60);
    let granted = cloud.assume_data().duration_seconds(900).send().await.unwrap();
    let left = granted.credentials().unwrap().expiration().secs() - DateTime::from(now()).secs();
    assert!((240..=300).contains(&left), "{left} seconds are left");
    let client = cloud.s3_with(session(&granted));
    client.head_bucket().bucket("vendor").send().await.unwrap();
    // The SDK learns the difference from the answers, and would sign with it.
    let client = cloud.s3_with(session(&granted));
    cloud.s3.set_clock_offset(10 * 60);
    assert_eq!(refusal(client.list_objects_v2().bucket("vendor").send().await).0, "ExpiredToken");
}

#[tokio::test]
async fn a_presigned_request_expires_by_that_clock() {
    let cloud = Cloud::start().await;
    cloud.put("vendor", &["a"]).await;
    let expires = PresigningConfig::expires_in(Duration::from_hours(1)).unwrap();
    let get = cloud.s3_with(keys("server")).get_object().bucket("vendor").key("a").presigned(expires).await.unwrap();
    let answer = async |offset| {
        cloud.s3.set_clock_offset(offset);
        let path = get.uri().strip_prefix(&format!("http://{}", cloud.s3.address)).unwrap();
        crate::s3::answer(&cloud.s3, &format!("GET {path}")).await
    };
    assert!(answer(50 * 60).await.starts_with("HTTP/1.1 200 "));
    assert!(answer(70 * 60).await.contains("<Message>Request has expired</Message>"));
    assert!(answer(-16 * 60).await.contains("<Code>RequestTimeTooSkewed</Code>"));
}
