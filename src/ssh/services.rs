//! The services that connections use.

use super::{HostKeys, Settings, arithmetic::Arithmetic, configs::Configs, proxy::ProxyProtocol};
use crate::{
    access::{Access, ClientAddress},
    sftp::channel::SftpChannels,
};
use ipnet::IpNet;
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// The services that all connections share which were accepted under the same settings.
pub(crate) struct Services {
    pub(crate) access: Arc<Access>,
    pub(crate) sftp: Arc<SftpChannels>,
    pub(crate) configs: Configs,
    pub(crate) arithmetic: Arithmetic,
    pub(crate) proxy: ProxyProtocol,
    pub(crate) shared_sources: Vec<IpNet>,
    pub(crate) login_timeout: Duration,
    pub(crate) idle_timeout: Duration,
}

impl Services {
    pub(super) fn new(settings: &Settings, host_keys: HostKeys, access: Arc<Access>, sftp: Arc<SftpChannels>) -> Self {
        Self::with(settings, host_keys, access, sftp, Arithmetic::new())
    }

    /// Returns the services of connections with other settings and keys. They share what is bounded for all connections.
    pub(super) fn changed(&self, settings: &Settings, host_keys: HostKeys) -> Self {
        let (access, sftp) = (Arc::clone(&self.access), Arc::clone(&self.sftp));
        Self::with(settings, host_keys, access, sftp, self.arithmetic.clone())
    }

    fn with(
        settings: &Settings,
        host_keys: HostKeys,
        access: Arc<Access>,
        sftp: Arc<SftpChannels>,
        arithmetic: Arithmetic,
    ) -> Self {
        Self {
            access,
            sftp,
            configs: Configs::new(settings, host_keys),
            arithmetic,
            proxy: settings.proxy_protocol.clone(),
            shared_sources: settings.shared_sources.clone(),
            login_timeout: settings.login_timeout,
            idle_timeout: settings.idle_timeout,
        }
    }

    /// Returns the address of `socket` behind `vpc_endpoint`, as the limits count it.
    pub(crate) fn client_address(&self, socket: SocketAddr, vpc_endpoint: Option<Arc<str>>) -> ClientAddress {
        ClientAddress::new(socket, vpc_endpoint, &self.shared_sources)
    }
}
