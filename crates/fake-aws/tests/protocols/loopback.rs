//! An HTTP client that sends every request to a server on loopback, whatever host the request names. An SDK with it
//! addresses and signs as in AWS.

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use std::net::SocketAddr;

/// The client. Requests go out as HTTP, also those to `https://`.
#[derive(Clone, Debug)]
pub struct LoopbackClient {
    server: SocketAddr,
    http: SharedHttpClient,
}

impl LoopbackClient {
    /// A client of this server.
    pub fn new(server: SocketAddr) -> Self {
        Self { server, http: aws_smithy_http_client::Builder::new().build_http() }
    }
}

impl HttpClient for LoopbackClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let http = self.http.http_connector(settings, components);
        SharedHttpConnector::new(LoopbackConnector { server: self.server, http })
    }
}

#[derive(Debug)]
struct LoopbackConnector {
    server: SocketAddr,
    http: SharedHttpConnector,
}

impl HttpConnector for LoopbackConnector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let (_, address) = request.uri().split_once("://").expect("an absolute URI");
        let (host, path) = address.split_at(address.find(['/', '?']).unwrap_or(address.len()));
        let (host, uri) = (host.to_owned(), format!("http://{}{path}", self.server));
        // The signature covers the host.
        request.headers_mut().insert("host", host);
        request.set_uri(uri).expect("a URI");
        self.http.call(request)
    }
}
