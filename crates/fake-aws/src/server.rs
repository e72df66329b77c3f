//! The services as one server on loopback: start, serve, stop.

use crate::{
    iam::{BucketAccess, Register},
    iam_api,
    levers::Levers,
    requests::Requests,
    s3::{BucketSettings, Gate, HostNames, KmsKeys, Service, UnusableDirectory},
    settings::AwsSettings,
    sts::{self, Sts},
    unique::unique,
};
use hyper::{
    body::Incoming,
    header::{DATE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use s3s::{
    config::{S3Config, StaticConfigProvider},
    dto::{Timestamp, TimestampFormat},
    service::{S3Service, S3ServiceBuilder},
};
use std::{
    io,
    net::SocketAddr,
    ops::Deref,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Limit on concurrent connections. Further ones wait in the listener's queue.
const MAX_CONNECTIONS: usize = 1024;
/// Time that requests in flight have to end after [`FakeAws::stop`].
const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// Pause after a failed accept, which mostly means that the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// hyper's read buffer. A large buffer delivers large bodies in large pieces.
const READ_BUFFER_BYTES: usize = 1 << 20;

/// Reason why the server didn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address isn't loopback, so other machines could reach it.
    #[error("the fake AWS listens on loopback only, not on {0}")]
    NotLoopback(SocketAddr),
    /// Listening on the address failed.
    #[error("the fake AWS can't listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The directory of the objects can't be used.
    #[error(transparent)]
    Directory(#[from] UnusableDirectory),
}

/// S3, STS and IAM at one address, which serve until they are stopped or dropped. It derefs to its [`Levers`].
#[derive(Debug)]
pub struct FakeAws {
    /// Address that it listens on. The endpoint of S3, STS and IAM is `http://ADDRESS`, with path style for S3.
    pub address: SocketAddr,
    levers: Levers,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl FakeAws {
    /// Opens the storage and serves it.
    ///
    /// # Errors
    /// The address isn't loopback or is taken, or the directory can't be used.
    pub async fn start(settings: AwsSettings) -> Result<Self, StartError> {
        let AwsSettings { listen, users, roles, buckets, bucket_settings, access_points, session_lifetime, storage } =
            settings;
        if !listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(listen));
        }
        let taken = |error| StartError::Listen(listen, error);
        let listener = TcpListener::bind(listen).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let names = buckets.iter().map(|(name, _)| name.clone()).collect();
        let aliases = access_points.iter().map(|point| (point.alias.clone(), point.bucket.clone())).collect();
        let s3 = Service::new(storage.open(names).await?.with_aliases(aliases), KmsKeys::of(&bucket_settings));
        let buckets_with = |is_set: fn(&BucketSettings) -> bool| {
            bucket_settings.iter().filter(|(_, settings)| is_set(settings)).map(|(name, _)| name.clone()).collect()
        };
        let access = BucketAccess {
            public: buckets_with(|settings| settings.public_read),
            requester_pays: buckets_with(|settings| settings.requester_pays),
            delegates_to: bucket_settings.into_iter().map(|(name, settings)| (name, settings.delegates_to)).collect(),
            access_points,
        };
        let requests = Arc::new(Requests::default());
        let sts = Arc::new(Sts::new(Register::new(users, roles, buckets, access), session_lifetime));
        let gate = Gate::new(Arc::clone(&sts), Arc::clone(&requests));
        let mut builder = S3ServiceBuilder::new(s3.clone());
        // Both are set because s3s ignores S3Access without S3Auth.
        builder.set_auth(gate.clone());
        builder.set_access(gate);
        builder.set_host(HostNames::new(Arc::clone(&sts.register), address.ip()));
        // The gate and the STS compare the times of signatures with a clock that a test can set, so s3s compares nothing.
        let mut config = S3Config::default();
        config.presigned_url_max_skew_time_secs = u32::MAX;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_route(sts::Route::new(Arc::clone(&sts), Arc::clone(&requests)));
        let (stop, stopped) = oneshot::channel();
        let connections = Arc::default();
        let levers = Levers { requests, connections, hang_up: Arc::default(), sts, s3 };
        let serving = tokio::spawn(serve(listener, builder.build(), levers.clone(), stopped));
        Ok(Self { address, levers, stop, serving })
    }

    /// Returns the levers, which may outlive the server.
    #[must_use]
    pub fn levers(&self) -> Levers {
        self.levers.clone()
    }

    /// Stops accepting, lets requests end within five seconds, and releases address and directory.
    pub async fn stop(self) {
        // An error means that the server has ended already.
        let _ = self.stop.send(());
        let _ = self.serving.await;
    }
}

impl Deref for FakeAws {
    type Target = Levers;

    fn deref(&self) -> &Levers {
        &self.levers
    }
}

/// Accepts connections until `stopped` receives, or its sender is dropped.
async fn serve(listener: TcpListener, service: S3Service, levers: Levers, mut stopped: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accept => accepted,
            Some(_) = connections.join_next() => continue,
            () = levers.hang_up.notified() => {
                connections.abort_all();
                continue;
            }
            _ = &mut stopped => break,
        };
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        levers.connections.fetch_add(1, Ordering::Relaxed);
        let connection = connection(stream, service.clone(), levers.clone());
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            // A client that disconnects is no event.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = timeout(STOP_DEADLINE, graceful.shutdown()).await;
    connections.shutdown().await;
}

fn connection(
    stream: TcpStream,
    service: S3Service,
    levers: Levers,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    // Without it replies are slow, but not wrong.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let (service, levers) = (service.clone(), levers.clone());
        async move {
            let is_form = sts::is_form(request.method(), request.uri(), request.headers());
            let mut response = if is_form && iam_api::is_for_iam(request.headers()) {
                iam_api::serve(&levers.sts, &levers.requests, request).await
            } else if is_form {
                sts::serve(&service, request).await?
            } else {
                hyper::service::Service::call(&service, request).await?
            };
            if let Ok(id) = HeaderValue::try_from(unique()) {
                response.headers_mut().insert("x-amz-request-id", id);
            }
            let mut date = Vec::new();
            let written = Timestamp::from(levers.sts.clock.now()).format(TimestampFormat::HttpDate, &mut date);
            if let (Ok(()), Ok(date)) = (written, HeaderValue::try_from(date)) {
                response.headers_mut().insert(DATE, date);
            }
            Ok::<_, s3s::HttpError>(response)
        }
    });
    http1::Builder::new().max_buf_size(READ_BUFFER_BYTES).serve_connection(TokioIo::new(stream), answer)
}
