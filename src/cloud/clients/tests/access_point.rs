//! An access point in the fake AWS, by its alias and by its ARN: real clients send their requests to AWS's hosts, in a
//! session with a real session policy. The connections end at the fake AWS.

use super::*;
use crate::{
    account::Permissions,
    cloud::SessionPolicy,
    store::{Error, ListScope, NewObject, Payload},
};
use fake_aws::{
    AwsSettings, BucketSettings, FakeAws, StorageKind,
    iam::{AccessPoint, IamRole, IamUser, Policy},
};
use std::{collections::BTreeMap, net::SocketAddr};

const ACCOUNT: &str = "111122223333";
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
    "Principal": {"AWS": "arn:aws:iam::111122223333:user/server"},
    "Condition": {"StringEquals": {"sts:ExternalId": "wh-4b6f"}}}}"#;

/// An HTTP client whose connections to every host end at one server.
#[derive(Clone, Debug)]
struct HttpDetour {
    server: SocketAddr,
    http: SharedHttpConnector,
}

impl HttpConnector for HttpDetour {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let (host, path) = request.uri().strip_prefix("https://").unwrap().split_once('/').unwrap();
        let (host, uri) = (host.to_owned(), format!("http://{}/{path}", self.server));
        request.headers_mut().insert("host", host);
        request.set_uri(uri).unwrap();
        self.http.call(request)
    }
}

impl HttpClient for HttpDetour {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// The bucket `vendor` with the access point [`ARN`], and a role that may do everything.
async fn aws() -> FakeAws {
    let account = || ACCOUNT.parse::<fake_aws::iam::AccountId>().unwrap();
    let server = IamUser {
        account: account(),
        name: "server".to_owned(),
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "secret".to_owned(),
        policy: Policy::everything(),
    };
    let role = IamRole {
        account: account(),
        name: "acme".to_owned(),
        trust: TRUST.parse().unwrap(),
        policy: Policy::everything(),
        max_session: IamRole::DEFAULT_MAX_SESSION,
    };
    let point = AccessPoint {
        name: "acme".to_owned(),
        account: account(),
        region: "eu-central-1".to_owned(),
        alias: ALIAS.to_owned(),
        bucket: "vendor".to_owned(),
        policy: None,
    };
    let delegating = BucketSettings { delegates_to: [account()].into(), ..BucketSettings::default() };
    let settings = AwsSettings {
        users: vec![server],
        roles: vec![role],
        buckets: vec![("vendor".to_owned(), account())],
        bucket_settings: BTreeMap::from([("vendor".to_owned(), delegating)]),
        access_points: vec![point],
        ..AwsSettings::one_user("", "", &[], StorageKind::Memory { max_bytes: 1 << 20 })
    };
    FakeAws::start(settings).await.unwrap()
}

/// The credentials of a session with the session policy for `in/`.
async fn session(clients: &Clients, storage: &Storage) -> Identity {
    let role = Role {
        arn: format!("arn:aws:iam::{ACCOUNT}:role/acme").parse().unwrap(),
        external_id: "wh-4b6f".parse().unwrap(),
        sts_endpoint: None,
        session_tags: false,
        source_identity: false,
        accept_without_external_id: false,
        via: None,
    };
    let policy = SessionPolicy::new(storage, &storage.prefix, Permissions::ALL).unwrap();
    let sts = clients.sts(&RetryQuotas::default(), &role, storage, identity());
    let assume = sts.assume_role().role_arn(role.arn.as_str()).external_id(role.external_id.as_str());
    let assumed = assume.role_session_name("acme").policy(policy.as_str()).send().await.unwrap();
    let key = assumed.credentials.unwrap();
    let key = AccessKey::new(key.access_key_id, key.secret_access_key, Some(key.session_token), None, "test");
    Identity { provider: SharedCredentialsProvider::new(key), cache: IdentityCache::no_cache(), session: None }
}

#[tokio::test]
async fn a_session_reaches_its_mount_through_the_access_point_and_nothing_else() {
    let aws = aws().await;
    let http = aws_smithy_http_client::Connector::builder().build_http();
    let http = HttpDetour { server: aws.address, http: SharedHttpConnector::new(http) };
    let clients = Clients::through(SharedHttpClient::new(http));
    let usage = DailyUsage::default().of(&"acme".parse().unwrap());
    let known = BucketAddress { access_point_arn: Some(ARN.to_owned()), ..BucketAddress::default() };
    for storage in [Storage { address: known, ..storage(ALIAS) }, storage(ARN)] {
        let identity = session(&clients, &storage).await;
        let bucket = clients.bucket(&RetryQuotas::default(), &usage, &storage, identity.clone());
        let copy = storage.prefix.key("copy").unwrap();
        bucket.put(&key(), Payload::default(), &NewObject::default(), Condition::Always).await.unwrap();
        let pin = bucket.head(&key()).await.unwrap().pin;
        bucket.copy(&key(), &pin, &copy, None, Condition::Always).await.unwrap();
        assert_eq!(aws.objects("vendor").unwrap().into_keys().collect::<Vec<_>>(), ["in/a b", "in/copy"]);
        let listed = bucket.list(ListScope::Below(&storage.prefix), None, 10).await.unwrap();
        assert_eq!(listed.objects.len(), 2);
        let copy = (copy.clone(), bucket.head(&copy).await.unwrap().pin);
        assert!(bucket.remove_many(&[(key(), pin), copy]).await.unwrap().iter().all(Result::is_ok));
        assert!(aws.objects("vendor").unwrap().is_empty());

        let outside = Prefix::parse("").unwrap().key("a").unwrap();
        assert!(matches!(bucket.head(&outside).await, Err(Error::Forbidden { .. })));
        let direct = Storage { bucket: "vendor".to_owned(), ..storage };
        let direct = clients.bucket(&RetryQuotas::default(), &usage, &direct, identity);
        assert!(matches!(direct.head(&key()).await, Err(Error::Forbidden { .. })), "by the bucket's own name");
    }
}
