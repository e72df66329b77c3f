//! The levers over HTTP, for tests in other languages. Bodies are JSON, but for the bytes of objects.
//!
//! | request | lever |
//! |---|---|
//! | `GET /requests` | counts by operation, and the record |
//! | `DELETE /requests` | begins both again |
//! | `PUT /faults` | a list of faults, in place of all earlier ones |
//! | `PUT /latency-ms` | a delay of every request |
//! | `PUT /source-vpce` | the VPC endpoint of the following requests to S3; `null` ends it |
//! | `PUT /clock-offset-seconds` | the difference of the clock from the machine's |
//! | `PUT /disabled-kms-keys` | a list of KMS keys to disable; all others are enabled |
//! | `POST /hang-up` | closes all connections |
//! | `POST /end-sessions` | ends all sessions of roles |
//! | `PUT /session-seconds` | the lifetime of new sessions; `null` ends it |
//! | `GET /assume-role-requests` | the requests for roles |
//! | `GET /objects/BUCKET` | keys and sizes |
//! | `GET`, `PUT`, `DELETE /objects/BUCKET/KEY` | one object; the key is percent-encoded |
//! | `PUT /objects/BUCKET/KEY?zeros=SIZE` | an object of zeros, which takes no memory |
//! | `GET /uploads/BUCKET` | keys and ids of open uploads |
//!
//! The answer is 200, 204, 404 for a path that isn't here, or 400 with a sentence.

use super::Levers;
use crate::iam::KmsKeyArn;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::{convert::Infallible, fmt::Display, io, net::SocketAddr, time::Duration};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

/// The server of the levers. It serves until it is dropped.
#[derive(Debug)]
pub struct LeverServer {
    /// Address that it listens on.
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl LeverServer {
    /// Serves `levers` on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(levers: Levers) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, serving: tokio::spawn(serve(listener, levers)) })
    }
}

impl Drop for LeverServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, levers: Levers) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // Without it replies are slow, but not wrong.
        let _ = stream.set_nodelay(true);
        let levers = levers.clone();
        let answer = service_fn(move |request| {
            let levers = levers.clone();
            async move { Ok::<_, Infallible>(answered(&levers, request).await) }
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        while connections.try_join_next().is_some() {}
    }
}

/// An answer with a status of its own.
type LeverAnswer = Response<Full<Bytes>>;

async fn answered(levers: &Levers, request: Request<Incoming>) -> LeverAnswer {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().trim_start_matches('/');
    let names: Vec<&str> = path.splitn(3, '/').collect();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return refused(error),
    };
    if let ["objects", bucket, key] = names[..] {
        let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
        return object(levers, &parts.method, bucket, &key, parts.uri.query(), body).await;
    }
    match (&parts.method, &names[..]) {
        (&Method::GET, ["requests"]) => shown(&json!({"counts": levers.requests(), "record": levers.record()})),
        (&Method::DELETE, ["requests"]) => moved(|| levers.forget_requests()),
        (&Method::PUT, ["faults"]) => with(&body, |faults| levers.set_faults(faults)),
        (&Method::PUT, ["latency-ms"]) => with(&body, |ms| levers.delay(Duration::from_millis(ms))),
        (&Method::PUT, ["source-vpce"]) => with(&body, |endpoint: Option<String>| {
            levers.set_source_vpce(endpoint.as_deref());
        }),
        (&Method::PUT, ["clock-offset-seconds"]) => with(&body, |seconds| levers.set_clock_offset(seconds)),
        (&Method::PUT, ["disabled-kms-keys"]) => with(&body, |keys: Vec<KmsKeyArn>| levers.disable_kms_keys(&keys)),
        (&Method::POST, ["hang-up"]) => moved(|| levers.hang_up()),
        (&Method::POST, ["end-sessions"]) => moved(|| levers.end_sessions()),
        (&Method::PUT, ["session-seconds"]) => with(&body, |seconds: Option<u64>| {
            levers.set_session_lifetime(seconds.map(Duration::from_secs));
        }),
        (&Method::GET, ["assume-role-requests"]) => shown(&levers.assume_role_requests()),
        (&Method::GET, ["objects", bucket]) => match levers.objects(bucket) {
            Ok(sizes) => shown(&sizes),
            Err(error) => refused(error),
        },
        (&Method::GET, ["uploads", bucket]) => shown(&levers.uploads(bucket)),
        _ => answer(StatusCode::NOT_FOUND, Bytes::from_static(b"there is no such lever")),
    }
}

async fn object(
    levers: &Levers,
    method: &Method,
    bucket: &str,
    key: &str,
    query: Option<&str>,
    body: Bytes,
) -> LeverAnswer {
    let zeros = query.and_then(|query| query.strip_prefix("zeros=")).map(str::parse::<u64>);
    let set = match (method, zeros) {
        (&Method::GET, _) => {
            return match levers.object(bucket, key).await {
                Ok(bytes) => answer(StatusCode::OK, bytes),
                Err(error) => refused(error),
            };
        }
        (&Method::PUT, Some(Ok(size))) => levers.put_zeros(bucket, key, size),
        (&Method::PUT, Some(Err(error))) => return refused(error),
        (&Method::PUT, None) => levers.put_object(bucket, key, body).await,
        (&Method::DELETE, _) => levers.remove_object(bucket, key).await,
        _ => return answer(StatusCode::NOT_FOUND, Bytes::from_static(b"there is no such lever")),
    };
    set.map_or_else(refused, |()| done())
}

/// Moves a lever with the JSON in `body`.
fn with<T: DeserializeOwned>(body: &[u8], lever: impl FnOnce(T)) -> LeverAnswer {
    match serde_json::from_slice(body) {
        Ok(value) => moved(|| lever(value)),
        Err(error) => refused(error),
    }
}

fn shown(value: &impl Serialize) -> LeverAnswer {
    match serde_json::to_vec(value) {
        Ok(text) => answer(StatusCode::OK, text.into()),
        Err(error) => refused(error),
    }
}

fn moved(lever: impl FnOnce()) -> LeverAnswer {
    lever();
    done()
}

fn done() -> LeverAnswer {
    answer(StatusCode::NO_CONTENT, Bytes::new())
}

fn refused(error: impl Display) -> LeverAnswer {
    answer(StatusCode::BAD_REQUEST, error.to_string().into())
}

fn answer(status: StatusCode, body: Bytes) -> LeverAnswer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer
}
